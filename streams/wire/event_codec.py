"""Events in, notifications out. Imports `frame`; the types are the core's. Read next: `consent_codec.py`."""

from streams.core.codes import Reason
from streams.core.decision import Notification
from streams.core.events import (
    EVENT_TYPES,
    AccountBalance,
    BankTransaction,
    Event,
    SecurityAlert,
    ShipmentUpdate,
)
from streams.wire.frame import framed_readers, framed_writer, read_framed, read_own
from streams.wire.schemas import our_schemas

EVENT_SCHEMAS: dict[type[Event], str] = {
    BankTransaction: "bank_transaction",
    AccountBalance: "account_balance",
    SecurityAlert: "security_alert",
    ShipmentUpdate: "shipment_update",
}

_EVENT_READERS = tuple(
    framed_readers(our_schemas(), EVENT_SCHEMAS[cls], {cls.__name__: cls}) for cls in EVENT_TYPES
)
_EVENT_WRITERS = {cls: framed_writer(our_schemas(), name) for cls, name in EVENT_SCHEMAS.items()}
_NOTIFICATION_READERS = framed_readers(our_schemas(), "notification", {"Notification": Notification})
_write_notification = framed_writer(
    our_schemas(),
    "notification",
    {
        "Notification": (
            ("recipient", "push"),
            ("subject_label", "consent_version"),
            ("shipment_status", "items"),  # nothing, for all that is about money
        )
    },
)


def decode_event(event_type: int, value: bytes, schema_header: bytes | None = None) -> Event | Reason:
    """Read an event of `EVENT_TYPES[event_type]`; `schema_header` is the value of `__value_schema_id`, if
    the record has it.

    Enums come as integers, times as UTC milliseconds. Returns Reason.UNKNOWN_SCHEMA when the frame names a
    schema that is not the topic's, Reason.UNDECODABLE when there is no frame, the Avro is broken or bytes are
    left over. Never raises. Source: docs/rules.md section 1.
    """
    result: Event | Reason = read_framed(_EVENT_READERS[event_type], value, schema_header)
    return result


def encode_event(event: Event) -> bytes:
    """Write an event with its frame. Raises ValueError or IndexError for what its schema cannot hold."""
    return _EVENT_WRITERS[type(event)](event)


def encode_notification(notification: Notification) -> bytes:
    """Write a notification with its frame.

    Raises ValueError or IndexError for what its schema cannot hold.
    """
    return _write_notification(notification)


def decode_notification(value: bytes) -> Notification:
    """Read a notification with its frame. Raises UndecodableError."""
    result: Notification = read_own(_NOTIFICATION_READERS, value)
    return result
