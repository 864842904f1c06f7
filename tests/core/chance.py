"""Strategies: events, consents and requests, ordinary and odd, close enough to each other for rules to meet."""

from typing import Any

from hypothesis import strategies as st

from streams.core.codes import ConsentAction, RequestedBy
from streams.core.consent import Consent, ConsentRequest, ConsentState, Holder, Preferences
from streams.core.events import AccountBalance, BankTransaction, Event, SecurityAlert, ShipmentUpdate
from tests.core.stories import NOW, SUBJECT

DAY_MS = 86_400_000
AMOUNTS = st.one_of(st.integers(-2_200, 2_200), st.sampled_from([0, -1_000, 1_000, -1_050, -1_051, 10**15]))
CURRENCIES = st.sampled_from(["EUR", "EUR", "EUR", "USD", "eur"])
RECENT = st.one_of(
    st.integers(NOW - 900_000, NOW + 300_000),
    st.integers(NOW - 3 * DAY_MS, NOW + 400_000),
    st.sampled_from([NOW, NOW - 900_000, NOW - 900_001, -1, 2**62]),
)
NAMES = st.sampled_from(["a", "b", "c", "parcel-1234567", "ä" * 129, ""])
MAYBE_NAMES = st.none() | st.sampled_from(["a", "b"])
CODES = st.integers(-1, 14)
TEXTS = st.none() | st.text(max_size=5)
PEOPLE = st.sampled_from(["anna", "ben", "cleo"])


def transactions() -> st.SearchStrategy[BankTransaction]:
    return st.builds(
        BankTransaction,
        event_id=NAMES,
        subject=st.just(SUBJECT),
        occurred_at=RECENT,
        status=st.integers(1, 5) | CODES,
        amount_minor=AMOUNTS,
        currency=CURRENCIES,
        lifecycle_id=MAYBE_NAMES,
        original_amount_minor=st.none() | AMOUNTS,
        original_currency=st.none() | CURRENCIES,
        merchant_name=TEXTS,
        category=TEXTS,
        decline_reason=st.none() | CODES,
        balance_after_minor=st.none() | AMOUNTS,
    )


def events() -> st.SearchStrategy[tuple[Event, int]]:
    """Return (event, event type)."""
    balances = st.builds(
        AccountBalance, NAMES, st.just(SUBJECT), RECENT, AMOUNTS, CURRENCIES, st.none() | AMOUNTS, st.none()
    )
    alerts = st.builds(SecurityAlert, NAMES, st.just(SUBJECT), RECENT, NAMES, CODES, TEXTS)
    shipments = st.builds(
        ShipmentUpdate,
        event_id=NAMES,
        subject=st.just(SUBJECT),
        shipment_id=NAMES,
        status=st.integers(1, 12) | CODES,
        status_at=RECENT,
        carrier=TEXTS,
        eta_at=st.none() | st.integers(NOW, NOW + 4 * DAY_MS),
        location=TEXTS,
        action_required=st.booleans(),
        correction_of=MAYBE_NAMES,
    )
    return st.one_of(
        st.tuples(transactions(), st.just(0)),
        st.tuples(balances, st.just(1)),
        st.tuples(alerts, st.just(2)),
        st.tuples(shipments, st.just(3)),
    )


def versions(number: int = 1) -> st.SearchStrategy[Consent]:
    return st.builds(
        Consent,
        consent_id=st.just("consent-1"),
        version=st.just(number),
        purposes=st.sampled_from([30, 30, 30, 2, 4, 8, 16, 20, 0, 255]),
        detail_level=st.integers(1, 4) | CODES,
        direction=st.just(3) | CODES,
        channel_ref=st.just("psid:1"),
        effective_at=st.integers(NOW - 4 * DAY_MS, NOW - 800_000) | RECENT,
        valid_until=st.just(NOW + 100 * DAY_MS) | RECENT,
        revoked_at=st.none(),
        notice_id=st.just("n"),
        notice_hash=st.just("h"),
        locale=st.just("en"),
        timezone=st.just("UTC"),
        preferences=st.builds(
            Preferences, st.none() | st.integers(-1, 1_500), st.none() | CURRENCIES, st.none() | AMOUNTS
        ),
    )


@st.composite
def consents(draw: st.DrawFn) -> ConsentState:
    people = draw(st.lists(PEOPLE, unique=True, min_size=1, max_size=3))
    holders = []
    for name in sorted(people):
        chain = tuple(draw(versions(number)) for number in range(1, draw(st.integers(1, 3)) + 1))
        if draw(st.integers(0, 5)) == 0:
            chain = (chain[-1]._replace(revoked_at=NOW - 1),)
        holders.append(Holder(name, chain))
    return ConsentState(SUBJECT, tuple(holders), suspended=draw(st.integers(0, 20)) == 0)


@st.composite
def requests(draw: st.DrawFn) -> Any:
    """Return a ConsentRequest, or None for one that cannot be read."""
    if draw(st.integers(0, 15)) == 0:
        return None
    return ConsentRequest(
        "request",
        draw(st.sampled_from([SUBJECT] * 9 + ["bank:other"])),
        draw(st.none() | st.sampled_from(["", "anna", "anna", "ben", "ben", *(f"h{n}" for n in range(8))])),
        draw(st.sampled_from([*ConsentAction, ConsentAction.GRANT, ConsentAction.GRANT, 77])),
        0,
        RequestedBy.USER,
        draw(st.none() | versions(0)),
        draw(st.none() | st.integers(0, 3)),
        draw(st.integers(0, 9)) == 0,
    )
