"""Values as producers write them, with Apache avro: events, consents and consent requests from keyword
arguments over plain defaults.
"""

import io
import itertools
import json
from typing import Any

import avro.io
import avro.schema

from verifier.avro import load_schema, schema_ids

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
_IDS = schema_ids()


class Writer:
    """Writes framed values of one schema."""

    def __init__(self, name: str) -> None:
        plain = json.dumps(load_schema(name)).replace(', "logicalType": "timestamp-millis"', "")
        self._schema = avro.schema.parse(plain)
        self._writer = avro.io.DatumWriter(self._schema)
        self._frame = b"\x00" + _IDS[name].to_bytes(4, "big")

    def framed(self, fields: dict[str, Any]) -> bytes:
        out = io.BytesIO()
        self._writer.write_data(self._schema, fields, avro.io.BinaryEncoder(out))
        return self._frame + out.getvalue()


WRITERS = {
    name: Writer(name)
    for name in (
        "bank_transaction",
        "account_balance",
        "security_alert",
        "shipment_update",
        "consent_request",
    )
}
_NULLS = {
    name: {field["name"]: None for field in load_schema(name)["fields"] if "null" in field["type"]}
    for name in WRITERS
}
_NUMBERS = itertools.count()


def transaction(subject: str, occurred_at: int, **fields: Any) -> bytes:
    plain = {"event_id": "e-1", "status": "POSTED", "amount_minor": -1250, "currency": "CZK"}
    return event_value(
        "bank_transaction", {**plain, "subject": subject, "occurred_at": occurred_at, **fields}
    )


def balance(subject: str, as_of: int, **fields: Any) -> bytes:
    plain = {"event_id": "b-1", "booked_minor": 100_000, "currency": "CZK"}
    return event_value("account_balance", {**plain, "subject": subject, "as_of": as_of, **fields})


def alert(subject: str, occurred_at: int, **fields: Any) -> bytes:
    plain = {"event_id": "a-1", "type": "NEW_DEVICE", "severity": "HIGH"}
    return event_value("security_alert", {**plain, "subject": subject, "occurred_at": occurred_at, **fields})


def shipment(subject: str, status_at: int, **fields: Any) -> bytes:
    plain = {
        "event_id": "s-1",
        "shipment_id": "parcel-0001",
        "status": "IN_TRANSIT",
        "action_required": False,
    }
    return event_value("shipment_update", {**plain, "subject": subject, "status_at": status_at, **fields})


def event_value(name: str, fields: dict[str, Any]) -> bytes:
    """A framed value of schema `name`; what is left out and may be null is null."""
    return WRITERS[name].framed({**_NULLS[name], **fields})


def consent(valid_until: int, **fields: Any) -> dict[str, Any]:
    """A consent to everything; `min_amount_minor`, `currency` and `low_balance_minor` go to its
    preferences.
    """
    names = ("min_amount_minor", "currency", "low_balance_minor")
    return {
        "consent_id": "c-1",
        "version": 0,
        "purposes": ["RECEIPT", "BALANCE", "SHIPPING", "SECURITY"],
        "detail_level": "FULL",
        "direction": "BOTH",
        "channel_ref": "psid-1",
        "effective_at": 0,
        "valid_until": valid_until,
        "revoked_at": None,
        "notice_id": "notice-1",
        "notice_hash": "00",
        "locale": "en",
        "timezone": "Europe/Prague",
        "preferences": {name: fields.pop(name, None) for name in names},
        **fields,
    }


def request(subject: str, action: str, user_id: str | None, **fields: Any) -> bytes:
    plain = {"request_id": f"r-{next(_NUMBERS)}", "requested_at": 0, "requested_by": "USER", "consent": None}
    named = {"subject": subject, "user_id": user_id, "action": action}
    return event_value("consent_request", {**plain, **named, **fields})
