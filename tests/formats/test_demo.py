from collections import Counter
from itertools import islice

import pytest

from streams.core.codes import DetailLevel, Reason, ShipmentStatus, TransactionStatus
from streams.core.events import (
    EVENT_TYPES,
    AccountBalance,
    BankTransaction,
    Event,
    SecurityAlert,
    ShipmentUpdate,
    event_time,
)
from streams.formats.demo import Beat, demo_beats
from streams.formats.demo_world import BANKS, demo_grants, make_world
from streams.wire.codec import decode_event, encode_consent_request, encode_event
from streams.wire.topics import EVENT_TOPICS

START = 1_800_000_000_000
SEED = 11
LATE_MS = 6 * 3_600_000


def play(seed: int, beats: int, rate: float = 20.0) -> list[tuple[int, Beat]]:
    """The demo's first records, each with the time at which it is sent."""
    now = [START]
    played = []
    for beat in islice(demo_beats(seed, rate, lambda: now[0]), beats):
        now[0] += round(beat.delay_s * 1000)
        played.append((now[0], beat))
    return played


@pytest.fixture(scope="module")
def played() -> list[tuple[int, Beat]]:
    return play(SEED, 4_000)


@pytest.fixture(scope="module")
def events(played: list[tuple[int, Beat]]) -> list[Event]:
    """The events, each once."""
    return list(dict.fromkeys(beat.value for _at, beat in played if not isinstance(beat.value, bytes)))


def test_the_same_seed_and_clock_give_the_same_records(played: list[tuple[int, Beat]]) -> None:
    assert play(SEED, 300) == played[:300]
    assert play(SEED + 1, 300) != played[:300]


def test_every_event_fits_its_topic_and_key_and_can_be_published(played: list[tuple[int, Beat]]) -> None:
    for _at, beat in played:
        if not isinstance(beat.value, bytes):
            assert type(beat.value) is EVENT_TYPES[EVENT_TOPICS.index(beat.topic)]
            assert beat.value.subject.encode() == beat.key
            assert encode_event(beat.value)


def test_records_come_at_the_rate_asked_for() -> None:
    last, _beat = play(SEED, 4_000, rate=100.0)[-1]
    assert 35_000 < last - START < 45_000


def test_nothing_happens_in_the_future_and_most_of_it_just_now(played: list[tuple[int, Beat]]) -> None:
    ages = [at - event_time(beat.value) for at, beat in played if not isinstance(beat.value, bytes)]
    assert min(ages) >= -1
    assert sum(age < 1_000 for age in ages) > 0.8 * len(ages)


def test_some_events_are_late_some_come_twice_and_some_are_garbage(played: list[tuple[int, Beat]]) -> None:
    garbage = [beat.value for _at, beat in played if isinstance(beat.value, bytes)]
    assert len(garbage) > 20
    assert all(isinstance(decode_event(0, value), Reason) for value in garbage)
    sent = Counter(beat.value for _at, beat in played if not isinstance(beat.value, bytes))
    assert sum(times > 1 for times in sent.values()) > 20
    late = [
        at
        for at, beat in played
        if not isinstance(beat.value, bytes) and at - event_time(beat.value) > LATE_MS
    ]
    assert len(late) > 20


def test_every_kind_of_payment_and_five_currencies_appear(events: list[Event]) -> None:
    payments = [event for event in events if isinstance(event, BankTransaction)]
    assert {event.status for event in payments} == {
        TransactionStatus.PENDING,
        TransactionStatus.POSTED,
        TransactionStatus.REVERSED,
        TransactionStatus.DECLINED,
    }
    assert {event.currency for event in payments} == {bank.currency.code for bank in BANKS}
    assert {"EUR", "USD", "JPY", "KWD", "BRL"} == {bank.currency.code for bank in BANKS}
    assert any(event.original_currency for event in payments)


def test_a_payment_is_pending_before_it_is_posted_and_posted_before_it_is_refunded(
    events: list[Event],
) -> None:
    steps: dict[str, list[TransactionStatus | int]] = {}
    for event in events:
        if isinstance(event, BankTransaction) and event.lifecycle_id is not None:
            steps.setdefault(event.lifecycle_id, []).append(event.status)
    found = {tuple(each) for each in steps.values()}
    pending, posted, refunded, declined = (
        TransactionStatus.PENDING,
        TransactionStatus.POSTED,
        TransactionStatus.REVERSED,
        TransactionStatus.DECLINED,
    )
    assert found == {(pending,), (pending, posted), (pending, posted, refunded), (declined,)}


def test_balances_add_up(events: list[Event]) -> None:
    booked = {account.subject: account.booked for account in make_world(SEED).accounts}
    for event in events:
        if isinstance(event, BankTransaction) and event.balance_after_minor is not None:
            booked[event.subject] += event.amount_minor
            assert event.balance_after_minor == booked[event.subject]
        elif isinstance(event, AccountBalance):
            assert event.booked_minor == booked[event.subject]
            assert event.available_minor is not None
            assert event.available_minor <= event.booked_minor


def test_parcels_walk_to_an_end_with_an_eta(events: list[Event]) -> None:
    walks: dict[str, list[ShipmentUpdate]] = {}
    for event in events:
        if isinstance(event, ShipmentUpdate):
            walks.setdefault(event.shipment_id, []).append(event)
    ends = {walk[-1].status for walk in walks.values()}
    assert {ShipmentStatus.DELIVERED, ShipmentStatus.RETURNED} <= ends
    for walk in walks.values():
        assert walk[0].status is ShipmentStatus.PRE_TRANSIT
        assert [step.status_at for step in walk] == sorted(step.status_at for step in walk)
        assert all(step.eta_at is not None for step in walk)
    assert any(step.action_required for walk in walks.values() for step in walk)


def test_there_are_security_alerts(events: list[Event]) -> None:
    assert len({event.type for event in events if isinstance(event, SecurityAlert)}) == 4


def test_events_concern_people_who_consented_and_people_who_did_not(events: list[Event]) -> None:
    consented = make_world(SEED).holders.keys()
    share = sum(event.subject in consented for event in events) / len(events)
    assert 0.4 < share < 0.9


def test_consents_are_mixed_and_can_be_published() -> None:
    requests = demo_grants(SEED, START)
    consents = [request.consent for request in requests if request.consent is not None]
    assert len(consents) == len(requests) == len({request.request_id for request in requests})
    assert {consent.locale for consent in consents} == {"en", "de", "pt-BR"}
    assert {consent.detail_level for consent in consents} == set(DetailLevel) - {DetailLevel.UNKNOWN}
    assert len({consent.purposes for consent in consents}) >= 4
    assert len({consent.direction for consent in consents}) == 3
    assert any(consent.preferences.min_amount_minor for consent in consents)
    assert any(consent.preferences.low_balance_minor for consent in consents)
    assert max(Counter(request.subject for request in requests).values()) == 2
    assert all(encode_consent_request(request) for request in requests)
