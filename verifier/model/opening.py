"""Rules 7 to 12 of section 1, and section 2 of docs/rules.md: from a value's bytes to an event, or to the
reason it is rejected for.
"""

from dataclasses import dataclass
from typing import Any

from verifier.avro import BrokenValueError, Reader, load_schema, schema_ids, unframe
from verifier.model.consents import is_currency

FUTURE_MS = 300_000
YEAR_10000_MS = 253_402_300_800_000
LARGEST_AMOUNT = 10**15

TIME_OF = {
    "bank_transaction": "occurred_at",
    "account_balance": "as_of",
    "security_alert": "occurred_at",
    "shipment_update": "status_at",
}
SCHEMA_OF = {
    "bank.transactions": "bank_transaction",
    "bank.balances": "account_balance",
    "bank.security": "security_alert",
    "shipping.events": "shipment_update",
}
_READERS = {name: Reader(load_schema(name)) for name in TIME_OF}
_IDS = schema_ids()
_IDENTITIES = ("event_id", "shipment_id", "lifecycle_id", "correction_of", "supersedes_event_id", "order_ref")
_TIMES = ("occurred_at", "as_of", "status_at", "eta_at")
_ENUMS = ("status", "channel", "decline_reason", "severity")


@dataclass(frozen=True)
class Event:
    """A value that may be decided: its schema's name, its fields, and the event's time."""

    schema: str
    fields: dict[str, Any]
    time: int


@dataclass(frozen=True)
class Rejected:
    """A value that may not: the rule and the reason; its event_id where that may be repeated; the event
    where only its time is wrong.
    """

    rule: str
    reason: str
    event_id: str | None = None
    event: Event | None = None


def opened(topic: str, key: bytes, value: bytes | None, now: int) -> Event | Rejected:
    """Open a value of a subject that has consented."""
    if value is None:
        return Rejected("tombstone", "TOMBSTONE")
    schema = SCHEMA_OF[topic]
    if len(value) >= 5 and value[0] == 0 and int.from_bytes(value[1:5], "big") != _IDS[schema]:
        return Rejected("unknown_schema", "UNKNOWN_SCHEMA")
    try:
        fields = _READERS[schema].read(unframe(value, (_IDS[schema],))[1])
    except BrokenValueError:
        return Rejected("undecodable", "UNDECODABLE")
    if fields["subject"].encode() != key:
        return Rejected("subject_mismatch", "SUBJECT_MISMATCH")
    if not is_valid(schema, fields):
        name = fields["event_id"]
        return Rejected("invalid", "INVALID", name if _is_within("event_id", name) else None)
    time: int = fields[TIME_OF[schema]]
    if time > now + FUTURE_MS:
        return Rejected("future", "FUTURE", fields["event_id"], Event(schema, fields, time))
    return Event(schema, fields, time)


def is_valid(schema: str, fields: dict[str, Any]) -> bool:
    """Whether every field keeps to its limits."""
    if schema == "bank_transaction" and fields["status"] == "UNKNOWN":
        return False
    return all(_is_within(name, value) for name, value in fields.items() if value is not None)


def _is_within(name: str, value: Any) -> bool:
    if name in _IDENTITIES:
        return len(value) in range(1, 129)
    if name in ("currency", "original_currency"):
        return is_currency(value)
    if name in _TIMES:
        return value in range(YEAR_10000_MS)
    match name:
        case "merchant_country":
            return len(value) == 2 and is_currency(value + "A")
        case "mcc":
            return len(value) == 4 and all("0" <= digit <= "9" for digit in value)
        case "type":
            return 1 <= len(value) <= 64
        case _ if name in _ENUMS or name in ("action_required", "source_seq"):
            return True
        case _ if name.endswith("_minor"):
            return value in range(1 - LARGEST_AMOUNT, LARGEST_AMOUNT)
        case _:
            return len(value) <= 1024
