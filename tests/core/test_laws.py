"""Laws of deciding: what holds for whatever comes in."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings

from streams.core.codes import Fate
from streams.core.consent import ConsentState, Holder
from streams.core.decide import decide
from streams.core.decision import Decision, Notification
from streams.core.events import BankTransaction, Event, event_time
from streams.core.fold import fold
from streams.core.gate import closed
from streams.core.policy import make_policy
from streams.core.prepared import PreparedConsent, prepare
from streams.core.subject_state import EMPTY_STATE, SubjectState
from tests.core.chance import chances, consents, event, odd_event, version
from tests.core.stories import NOW, SUBJECT, consents_of, event_of, request_of

POLICY = make_policy()
LAW = settings(max_examples=200, deadline=None)
FILLED = Notification._fields[Notification._fields.index("status") :]


def deliver(
    told: list[tuple[Event, int]],
    prepared: PreparedConsent,
    *,
    state: SubjectState = EMPTY_STATE,
    replay: bool = False,
) -> tuple[list[Decision], SubjectState]:
    """Decide events one after another; the offset is the place in the list."""
    decisions = []
    for offset, (one, kind) in enumerate(told):
        decision, state = decide(one, kind, offset, prepared, state, POLICY, NOW, replay=replay)
        decisions.append(decision)
    return decisions, state


def recipients(decision: Decision) -> set[str | None]:
    return {holder.holder for holder in decision.holders if holder.fate == Fate.NOTIFY}


def is_in_force(holder: Holder, one: Event) -> bool:
    """Tell by the plainest reading whether a consent is in force for an event."""
    last = holder.versions[-1]
    started = any(version.effective_at <= min(event_time(one), NOW) for version in holder.versions)
    return last.revoked_at is None and last.valid_until > NOW and started


@LAW
@given(chances)
def test_no_consent_in_force_never_notifies(chance: Random) -> None:
    state = consents(chance, oddity=0.3)
    prepared = prepare(state)
    for _ in range(10):
        one, kind = event(chance)
        decision, _ = decide(one, kind, 0, prepared, EMPTY_STATE, POLICY, NOW)
        allowed = {
            holder.user_id for holder in state.holders if not state.suspended and is_in_force(holder, one)
        }
        assert recipients(decision) <= allowed
        if closed(prepared, kind, NOW) is not None:
            assert not recipients(decision)


@LAW
@given(chances)
def test_a_later_revocation_never_adds_a_notification(chance: Random) -> None:
    before = consents(chance)
    one, kind = event(chance)
    history = [event(chance) for _ in range(chance.randint(0, 4))]
    _, memory = deliver(history, prepare(before))
    told = recipients(decide(one, kind, 99, prepare(before), memory, POLICY, NOW)[0])
    person = chance.choice((None, *(holder.user_id for holder in before.holders)))
    revocation = request_of({"action": "REVOKE", "user": person})
    after = fold(before._replace(suspended=False), SUBJECT, revocation, NOW, 5, POLICY, bytes(16)).state
    assert after is not None
    still = recipients(decide(one, kind, 99, prepare(after), memory, POLICY, NOW)[0])
    assert person not in still
    assert person is not None or not still
    if not before.suspended:
        assert still <= told


@LAW
@given(chances)
def test_one_more_version_never_tells_or_shows_more(chance: Random) -> None:
    before = consents(chance, oddity=0.0)
    holders = []
    for holder in before.holders:
        more = version(chance, 9)._replace(effective_at=NOW)
        holders.append(holder._replace(versions=(*holder.versions, more)))
    narrower = ConsentState(SUBJECT, tuple(holders))
    for _ in range(5):
        one, kind = event(chance)
        if event_time(one) >= NOW:
            continue
        wide, _ = decide(one, kind, 0, prepare(before), EMPTY_STATE, POLICY, NOW)
        narrow, _ = decide(one, kind, 0, prepare(narrower), EMPTY_STATE, POLICY, NOW)
        shown = {holder.holder: holder.notification for holder in wide.holders}
        for holder_ in narrow.holders:
            if holder_.notification is None:
                continue
            wider = shown[holder_.holder]
            if wider is None:
                assert has_widened_expiry(before, holder_.holder)
                continue
            assert wider.notification_id == holder_.notification.notification_id
            assert wider.detail_level >= holder_.notification.detail_level
            for name in FILLED:
                value = getattr(holder_.notification, name)
                assert value is None or shows_less(value, getattr(wider, name))


def shows_less(value: Any, wider: Any) -> bool:
    """Tell whether a value is the wider one, or a text without what that shows of masked numbers."""
    if not isinstance(value, str) or not isinstance(wider, str) or "*" not in value:
        return bool(value == wider)
    rest = iter(wider)
    return all(char in rest for char in value)


def has_widened_expiry(state: ConsentState, user_id: str | None) -> bool:
    """Tell whether the last version had run out: a new one takes its place, earlier ones still count."""
    return any(
        holder.user_id == user_id and holder.versions[-1].valid_until <= NOW for holder in state.holders
    )


@LAW
@given(chances)
def test_a_replay_after_a_crash_tells_the_same_again(chance: Random) -> None:
    prepared = prepare(consents(chance, oddity=0.05))
    told = [event(chance) for _ in range(12)]
    first, memory = deliver(told, prepared)
    again, after = deliver(told, prepared, state=memory, replay=True)
    assert again == first
    assert after == memory


@LAW
@given(chances)
def test_a_replay_that_narrows_shows_no_more(chance: Random) -> None:
    state = consents(chance, oddity=0.0)
    told = [event(chance) for _ in range(8)]
    first, memory = deliver(told, prepare(state))
    revocation = request_of({"action": "REVOKE", "user": state.holders[0].user_id})
    after = fold(state, SUBJECT, revocation, NOW, 5, POLICY, bytes(16)).state
    assert after is not None
    again, _ = deliver(told, prepare(after), state=memory, replay=True)
    for before, later in zip(first, again, strict=True):
        assert recipients(later) == recipients(before) - {state.holders[0].user_id}


@LAW
@given(chances)
def test_the_same_input_gives_the_same_decision_and_memory(chance: Random) -> None:
    state = consents(chance)
    told = [event(chance) for _ in range(6)]
    assert deliver(told, prepare(state)) == deliver(told, prepare(state))


@LAW
@given(chances)
def test_the_same_events_again_tell_nobody(chance: Random) -> None:
    prepared = prepare(consents(chance, oddity=0.0))
    told = [event(chance) for _ in range(10)]
    _, memory = deliver(told, prepared)
    again, after = deliver(told, prepared, state=memory)
    assert not any(recipients(decision) for decision in again)
    assert after == memory


@LAW
@given(chances)
def test_the_same_step_under_another_event_tells_nobody_again(chance: Random) -> None:
    prepared = prepare(consents(chance, oddity=0.0))
    _, memory = deliver([event(chance) for _ in range(4)], prepared)
    for offset in range(5):
        one, kind = event(chance, chance.choice((0, 3)))
        if isinstance(one, BankTransaction) and one.lifecycle_id is None:
            continue
        first, memory = decide(one._replace(event_id=f"p{offset}"), kind, 90, prepared, memory, POLICY, NOW)
        second, memory = decide(one._replace(event_id=f"q{offset}"), kind, 91, prepared, memory, POLICY, NOW)
        assert not recipients(second)
        for before, after in zip(first.holders, second.holders, strict=True):
            assert before.fate != Fate.NOTIFY or after.rule == "told"


@LAW
@given(chances)
def test_the_order_of_unrelated_subjects_does_not_matter(chance: Random) -> None:
    people = {f"bank:{number}": prepare(consents(chance, oddity=0.0)) for number in range(3)}
    queue = [(subject, event(chance)) for subject in people for _ in range(5)]
    outcomes = []
    for _ in range(2):
        states = dict.fromkeys(people, EMPTY_STATE)
        decided: dict[str, list[Decision]] = {subject: [] for subject in people}
        for subject, (one, kind) in queue:
            decision, states[subject] = decide(one, kind, 0, people[subject], states[subject], POLICY, NOW)
            decided[subject].append(decision)
        outcomes.append((decided, states))
        turns = [subject for subject, _ in queue]
        chance.shuffle(turns)
        lines = {subject: iter([item for item in queue if item[0] == subject]) for subject in people}
        queue = [next(lines[subject]) for subject in turns]
    assert outcomes[0] == outcomes[1]


@LAW
@given(chances)
def test_whatever_comes_in_gets_exactly_one_fate(chance: Random) -> None:
    prepared = prepare(consents(chance))
    state = EMPTY_STATE
    for offset in range(10):
        one, kind = odd_event(chance)
        replay = chance.random() < 0.3
        decision, state = decide(one, kind, offset % 4, prepared, state, POLICY, NOW, replay=replay)
        assert decision.fate in (Fate.REJECT, Fate.DUPLICATE, Fate.NOTIFY, Fate.SUPPRESS)
        assert (decision.reason is None) == (decision.fate in (Fate.NOTIFY, Fate.DUPLICATE))
        assert decision.fate == min(holder.fate for holder in decision.holders)
        for holder in decision.holders:
            assert (holder.notification is None) == (holder.fate != Fate.NOTIFY)


def payment(event_id: str, **fields: Any) -> tuple[Event, int]:
    return event_of({"transaction": {"event_id": event_id, "lifecycle_id": "life", **fields}})


def test_a_replayed_step_does_not_take_memory_back() -> None:
    prepared = prepare(consents_of({}))
    told = [payment("a", status="PENDING"), payment("b", amount_minor=-9_999)]
    _, memory = deliver(told, prepared)
    again, after = deliver(told[:1], prepared, state=memory, replay=True)
    assert recipients(again[0]) == {"anna"}
    assert after == memory


@pytest.mark.parametrize("lost", ["seen", "told"])
def test_a_replay_tells_again_when_only_half_of_the_memory_was_written(lost: str) -> None:
    prepared = prepare(consents_of({}))
    told = [payment("a")]
    first, memory = deliver(told, prepared)
    half = memory._replace(seen=b"") if lost == "seen" else memory._replace(told=b"")
    again, after = deliver(told, prepared, state=half, replay=True)
    assert again == first
    assert after == memory


def test_a_replay_tells_a_new_arrival_day_again_under_its_own_id() -> None:
    prepared = prepare(consents_of({}))
    parcel, kind = event_of({"shipment": {"event_id": "a", "at": "20 hours ago", "eta_at": "in 1 day"}})
    later, _ = event_of({"shipment": {"event_id": "b", "at": "20 hours ago", "eta_at": "in 2 days"}})
    _, memory = decide(parcel, kind, 0, prepared, EMPTY_STATE, POLICY, NOW - 72_000_000)
    first, after = decide(later, kind, 1, prepared, memory, POLICY, NOW)
    for state in (after, after._replace(seen=memory.seen)):
        again, _ = decide(later, kind, 1, prepared, state, POLICY, NOW, replay=True)
        assert again == first
        assert recipients(again) == {"anna"}


def test_a_replay_gives_no_holder_the_answer_of_another() -> None:
    both = consents_of({"holders": {"anna": [{}], "ben": [{"minimum": 2_000}]}})
    told = [payment("a"), payment("b", status="REVERSED", amount_minor=3_000)]
    first, memory = deliver(told, prepare(both))
    assert [recipients(decision) for decision in first] == [{"anna"}, {"anna"}]
    ben = fold(
        both, SUBJECT, request_of({"action": "ERASE", "user": "anna"}), NOW, 5, POLICY, bytes(16)
    ).state
    assert ben is not None
    again, _ = deliver(told, prepare(ben), state=memory, replay=True)
    assert not any(recipients(decision) for decision in again)
