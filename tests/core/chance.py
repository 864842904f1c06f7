"""Events, consents and requests by chance: ordinary and odd, close enough to each other for rules to meet.

Drawn from one seeded Random per example, which is ten times as fast as a strategy per field.
"""

from random import Random
from typing import Any

from hypothesis import strategies as st

from streams.core.codes import ConsentAction, RequestedBy
from streams.core.consent import Consent, ConsentRequest, ConsentState, Holder, Preferences
from streams.core.events import AccountBalance, BankTransaction, Event, SecurityAlert, ShipmentUpdate
from tests.core.stories import NOW, SUBJECT

DAY_MS = 86_400_000
PEOPLE = ("anna", "ben", "cleo")

chances = st.randoms(use_true_random=True)
"""One seeded Random for each example; Hypothesis prints the seed of one that fails."""


def amount(chance: Random) -> int:
    return chance.choice((0, 1, -1, -1_000, 1_000, -1_050, -1_051, chance.randint(-2_200, 2_200), 10**15 - 1))


def maybe_amount(chance: Random) -> int | None:
    return chance.choice((None, amount(chance)))


def currency(chance: Random) -> str:
    return chance.choice(("EUR",) * 6 + ("USD",))


def recent(chance: Random) -> int:
    return chance.choice(
        (
            NOW - chance.randint(0, 900_000),
            NOW - chance.randint(0, 900_000),
            NOW + chance.randint(0, 310_000),
            NOW - chance.randint(0, 3 * DAY_MS),
        )
    )


def name(chance: Random) -> str:
    return chance.choice(("a", "b", "c", "parcel-1234567", "parcel-7654321"))


def text(chance: Random) -> str:
    """Return a text with digits in it, often as many as are masked."""
    pieces = (
        "4111",
        "1111",
        "DE89 3704 0044 0532 0130 00",
        "12",
        " ",
        "-",
        "é",
        "\uff11\uff12",
        "\u0664",
        "日本",
        "x",
        "\U0001d7e1",
    )
    return "a" + "".join(chance.choices(pieces, k=chance.randint(0, 6)))


def event(chance: Random, event_type: int | None = None) -> tuple[Event, int]:
    """Return an event within its limits, and its type."""
    kind = chance.choice((0, 0, 1, 2, 3, 3)) if event_type is None else event_type
    number = str(chance.randint(0, 12))
    if kind == 0:
        life = chance.choice((None, "life-a", "life-b"))
        made: Event = BankTransaction(
            number, SUBJECT, recent(chance), chance.randint(1, 5), amount(chance), currency(chance), life,
            original_amount_minor=maybe_amount(chance), original_currency=chance.choice((None, "USD")),
            merchant_name=chance.choice((None, "Rewe", text(chance))), category=chance.choice((None, "food")),
            decline_reason=chance.choice((None, 0, 3)), balance_after_minor=maybe_amount(chance),
        )  # fmt: skip
    elif kind == 1:
        made = AccountBalance(
            number, SUBJECT, recent(chance), amount(chance), currency(chance), maybe_amount(chance)
        )
    elif kind == 2:
        made = SecurityAlert(
            number, SUBJECT, recent(chance), chance.choice(("new_device", text(chance))), chance.randint(0, 5)
        )
    else:
        eta_at = chance.choice((None, NOW + chance.randint(0, 4 * DAY_MS)))
        made = ShipmentUpdate(
            number, SUBJECT, name(chance), chance.randint(0, 12), recent(chance),
            carrier=chance.choice((None, "DHL", text(chance))), eta_at=eta_at,
            location=chance.choice((None, "Bonn", text(chance))), action_required=chance.random() < 0.5,
            correction_of=chance.choice((None, None, "a")),
        )  # fmt: skip
    return made, kind


def odd_event(chance: Random) -> tuple[Event, int]:
    """Return an event of which fields are out of their limits or their lists."""
    made, kind = event(chance)
    odd = (-1, 13, 99, 2**62, -(2**62), 0)
    texts = ("", "x" * 2_000, "\ud800", "\x1f", "ä" * 128, None)
    fields: dict[str, Any] = {}
    for field in chance.sample(made._fields, 2):
        value = getattr(made, field)
        if isinstance(value, str):
            fields[field] = chance.choice(texts[:5])
        elif value is None:
            fields[field] = None
        else:
            fields[field] = chance.choice(odd)
    return made._replace(**fields), kind


def version(chance: Random, number: int = 1) -> Consent:
    codes = (-1, 0, 5, 77)
    return Consent(
        consent_id="consent-1",
        version=number,
        purposes=chance.choice((30, 30, 30, 30, 6, 20, 8, 16, 0, 255)),
        detail_level=chance.choice((1, 2, 3, 4, 4, chance.choice(codes))),
        direction=chance.choice((3, 3, 3, 1, 2, chance.choice(codes))),
        channel_ref="psid:1",
        effective_at=chance.choice((NOW - 4 * DAY_MS, NOW - DAY_MS, recent(chance))),
        valid_until=chance.choice((NOW + 100 * DAY_MS,) * 5 + (NOW + 1, recent(chance))),
        revoked_at=None,
        notice_id="n",
        notice_hash="h",
        locale="en",
        timezone="UTC",
        preferences=Preferences(
            chance.choice((None, None, 0, 1_000)),
            chance.choice((None, "EUR", "USD")),
            chance.choice((None, None, 900)),
        ),
    )


def consents(chance: Random, oddity: float = 0.1) -> ConsentState:
    """Return consents of one to three holders; `oddity` is the share of revoked and of suspended ones."""
    holders = []
    for person in sorted(chance.sample(PEOPLE, chance.randint(1, 3))):
        chain = tuple(version(chance, number) for number in range(1, chance.choice((1, 1, 2, 3)) + 1))
        if chance.random() < oddity:
            chain = (chain[-1]._replace(revoked_at=NOW - 1),)
        holders.append(Holder(person, chain))
    return ConsentState(SUBJECT, tuple(holders), suspended=chance.random() < oddity)


def request(chance: Random) -> ConsentRequest | None:
    """Return a request, None for one that cannot be read."""
    if chance.random() < 0.06:
        return None
    actions = (*ConsentAction, ConsentAction.GRANT, ConsentAction.GRANT, ConsentAction.CHANGE, 77)
    return ConsentRequest(
        "request",
        chance.choice((SUBJECT,) * 15 + ("bank:other",)),
        chance.choice((None, "", *PEOPLE, *PEOPLE, *PEOPLE, *(f"h{number}" for number in range(9)))),
        chance.choice(actions),
        0,
        RequestedBy.USER,
        None if chance.random() < 0.1 else version(chance, 0),
        chance.choice((None, None, None, 0, 1, 2)),
        chance.random() < 0.05,
    )
