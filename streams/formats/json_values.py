"""JSON values to core values, by the Avro schema: strict about kinds, lenient about spelling.

Accepted: enums by symbol (one that we do not know is UNKNOWN), times as epoch milliseconds or ISO 8601 with a
zone, Avro's own union form (`{"string": "x"}`), optional fields left out, fields that we do not know.
Everything else is a FieldError that names the field, never its value. Imports `core` and `wire` only. Read
next: `jsonl.py`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from streams.core.codes import (
    Channel,
    ConsentAction,
    DeclineReason,
    DetailLevel,
    Direction,
    Purpose,
    RequestedBy,
    Severity,
    ShipmentStatus,
    TransactionStatus,
)
from streams.core.consent import Consent, ConsentRequest, Preferences
from streams.core.events import AccountBalance, BankTransaction, SecurityAlert, ShipmentUpdate

Json = Any
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_ENUMS = {
    enum.__name__: enum
    for enum in (
        Channel, ConsentAction, DeclineReason, DetailLevel, Direction, Purpose, RequestedBy, Severity,
        ShipmentStatus, TransactionStatus,
    )
}  # fmt: skip
_RECORDS: dict[str, Any] = {
    record.__name__: record
    for record in (
        AccountBalance, BankTransaction, Consent, ConsentRequest, Preferences, SecurityAlert, ShipmentUpdate,
    )
}  # fmt: skip


class FieldError(Exception):
    """A field that breaks the schema; the text is the reason. Callers turn it into a rejected line."""


def record_of(schema: Json, value: Json, path: str = "") -> Any:
    """Return the core tuple of the record `schema` for a JSON object; `path` names it in reasons.

    Raises:
        FieldError: a required field is missing or a field has the wrong kind.
    """
    if not isinstance(value, Mapping):
        raise FieldError(f"{path or 'line'} is not an object")
    fields: dict[str, Any] = {}
    for field in schema["fields"]:
        name = field["name"]
        full = f"{path}.{name}" if path else name
        if name in value:
            fields[name] = value_of(field["type"], value[name], full)
        elif "default" not in field:
            raise FieldError(f"{full} is missing")
        elif field["default"] is None:
            fields[name] = None
    if schema["name"] == "ConsentRequest" and fields.get("consent") is not None:
        fields["has_unknown_purpose"] = _names_unknown_purpose(schema, value)
    return _RECORDS[schema["name"]](**fields)


def value_of(schema: Json, value: Json, path: str) -> Any:
    """Return the core value of any schema for a JSON value. Raises FieldError as `record_of` does."""
    if isinstance(schema, list):
        return _of_union(schema, value, path)
    kind = schema["type"] if isinstance(schema, dict) else schema
    match kind:
        case "string":
            return _text(value, path)
        case "boolean":
            return _boolean(value, path)
        case "long" if isinstance(schema, dict) and schema.get("logicalType") == "timestamp-millis":
            return _time(value, path)
        case "long":
            return _long(value, path)
        case "enum":
            return _symbol(schema, value, path)
        case "array":
            return _purposes(schema["items"], value, path)
        case "record":
            return record_of(schema, value, path)
        case _:
            raise FieldError(f"{path} has a type that no line can carry")


def _of_union(branches: Json, value: Json, path: str) -> Any:
    if value is None and "null" in branches:
        return None
    branch = next(branch for branch in branches if branch != "null")
    return value_of(branch, _unwrapped(branch, value), path)


def _unwrapped(branch: Json, value: Json) -> Json:
    """Return what Avro's union form wraps: `{"string": "x"}` gives "x"; anything else stays."""
    if isinstance(value, Mapping) and len(value) == 1:
        name = branch if isinstance(branch, str) else branch.get("name", branch["type"])
        (key,) = value
        if key in (name, f"notifier.v1.{name}"):
            return value[key]
    return value


def _text(value: Json, path: str) -> str:
    if not isinstance(value, str):
        raise FieldError(f"{path} is not a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FieldError(f"{path} is not valid Unicode") from None
    return value


def _boolean(value: Json, path: str) -> bool:
    if not isinstance(value, bool):
        raise FieldError(f"{path} is not true or false")
    return value


def _long(value: Json, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(f"{path} is not a whole number")
    if not -(2**63) <= value < 2**63:
        raise FieldError(f"{path} does not fit 64 bits")
    return value


def _time(value: Json, path: str) -> int:
    if not isinstance(value, str):
        return _long(value, path)
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise FieldError(f"{path} is neither epoch milliseconds nor an ISO 8601 time") from None
    if at.tzinfo is None:
        raise FieldError(f"{path} has no zone")
    return (at - _EPOCH) // _MILLISECOND


def _symbol(schema: Json, value: Json, path: str) -> Any:
    if not isinstance(value, str):
        raise FieldError(f"{path} is not a symbol")
    enum = _ENUMS[schema["name"]]
    return enum[value] if value in schema["symbols"] else enum(0)


def _names_unknown_purpose(request_schema: Json, request: Json) -> bool:
    """Say whether a request, already found valid, asks for a purpose that has no bit."""
    union = next(field["type"] for field in request_schema["fields"] if field["name"] == "consent")
    consent = next(branch for branch in union if branch != "null")
    known = Purpose.__members__.keys() - {Purpose.UNKNOWN.name}
    return not known.issuperset(_unwrapped(consent, request["consent"])["purposes"])


def _purposes(items: Json, value: Json, path: str) -> int:
    if not isinstance(value, list):
        raise FieldError(f"{path} is not a list")
    bits = 0
    for item in value:
        purpose = _symbol(items, item, path)
        bits |= 1 << purpose if purpose else 0
    return bits
