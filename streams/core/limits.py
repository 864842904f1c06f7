"""What a field of an event may hold: one row a field, in the event's order.

`facts.py` asks the same in one expression per event type, the compiled kernel walks this table. Imports
`codes`. Read next: `facts.py`. Source: docs/rules.md section 2.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from streams.core.codes import Channel, DeclineReason, Severity, ShipmentStatus, TransactionStatus

MAX_ID_CHARS = 128
MAX_ALERT_TYPE_CHARS = 64
MAX_TEXT_CHARS = 1_024
END_OF_TIME_MS = 253_402_300_800_000
AMOUNT_BOUND = 10**15


class Check(IntEnum):
    """What is compared with `low` and `high`, both of which are allowed."""

    NOTHING = 0
    NUMBER = 1
    CHARS = 2
    """Length in code points."""
    LETTERS = 3
    """Length of a text of A-Z only."""
    DIGITS = 4
    """Length of a text of 0-9 only."""


class Limit(NamedTuple):
    """Bounds of one field; null is within them iff `is_nullable`."""

    check: Check
    low: int
    high: int
    is_nullable: bool = False

    def or_null(self) -> "Limit":
        """Return the same bounds of a field that may be null."""
        return self._replace(is_nullable=True)


_ANY = Limit(Check.NOTHING, 0, 0)
_ID = Limit(Check.CHARS, 1, MAX_ID_CHARS)
_TEXT = Limit(Check.CHARS, 0, MAX_TEXT_CHARS)
_TIME = Limit(Check.NUMBER, 0, END_OF_TIME_MS - 1)
_AMOUNT = Limit(Check.NUMBER, 1 - AMOUNT_BOUND, AMOUNT_BOUND - 1)
_CURRENCY = Limit(Check.LETTERS, 3, 3)
_COUNTRY = Limit(Check.LETTERS, 2, 2)
_CATEGORY_CODE = Limit(Check.DIGITS, 4, 4)


def _code(codes: type[IntEnum], first: int = 0) -> Limit:
    return Limit(Check.NUMBER, first, max(codes))


LIMITS: tuple[Mapping[str, Limit], ...] = (
    {
        "event_id": _ID,
        "subject": _TEXT,
        "occurred_at": _TIME,
        "status": _code(TransactionStatus, first=TransactionStatus.UNKNOWN + 1),
        "amount_minor": _AMOUNT,
        "currency": _CURRENCY,
        "lifecycle_id": _ID.or_null(),
        "supersedes_event_id": _ID.or_null(),
        "original_amount_minor": _AMOUNT.or_null(),
        "original_currency": _CURRENCY.or_null(),
        "merchant_name": _TEXT.or_null(),
        "merchant_country": _COUNTRY.or_null(),
        "mcc": _CATEGORY_CODE.or_null(),
        "category": _TEXT.or_null(),
        "channel": _code(Channel).or_null(),
        "decline_reason": _code(DeclineReason).or_null(),
        "description": _TEXT.or_null(),
        "order_ref": _ID.or_null(),
        "balance_after_minor": _AMOUNT.or_null(),
    },
    {
        "event_id": _ID,
        "subject": _TEXT,
        "as_of": _TIME,
        "booked_minor": _AMOUNT,
        "currency": _CURRENCY,
        "available_minor": _AMOUNT.or_null(),
        "source_seq": _ANY.or_null(),
    },
    {
        "event_id": _ID,
        "subject": _TEXT,
        "occurred_at": _TIME,
        "type": Limit(Check.CHARS, 1, MAX_ALERT_TYPE_CHARS),
        "severity": _code(Severity),
        "action_url_key": _TEXT.or_null(),
    },
    {
        "event_id": _ID,
        "subject": _TEXT,
        "shipment_id": _ID,
        "status": _code(ShipmentStatus),
        "status_at": _TIME,
        "order_ref": _ID.or_null(),
        "carrier": _TEXT.or_null(),
        "eta_at": _TIME.or_null(),
        "location": _TEXT.or_null(),
        "action_required": _ANY,
        "correction_of": _ID.or_null(),
        "description": _TEXT.or_null(),
    },
)
"""By event type, the order of `events.EVENT_TYPES`; every field, in its order."""
