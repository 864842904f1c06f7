import json
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from streams.core import codes
from streams.core.consent import Consent, Holder, Preferences
from streams.core.decision import Notification
from streams.core.events import AccountBalance, BankTransaction, SecurityAlert, ShipmentUpdate

SCHEMAS = Path(__file__).parents[2] / "schemas"


def named_types(schema: Any) -> dict[str, Any]:
    """Return every record and enum of a schema by name."""
    found: dict[str, Any] = {}
    if isinstance(schema, dict):
        if schema.get("type") in ("record", "enum"):
            found[schema["name"]] = schema
        for value in schema.values():
            found |= named_types(value)
    elif isinstance(schema, list):
        for value in schema:
            found |= named_types(value)
    return found


ALL = {
    name: schema
    for path in sorted(SCHEMAS.glob("*.avsc"))
    for name, schema in named_types(json.loads(path.read_text(encoding="utf-8"))).items()
}
ENUMS = [
    member for member in vars(codes).values() if isinstance(member, type) and issubclass(member, IntEnum)
]
OURS = [enum for enum in ENUMS if enum is not IntEnum]


@pytest.mark.parametrize("enum", OURS, ids=lambda enum: enum.__name__)
def test_a_code_is_the_place_of_its_symbol_in_the_schema(enum: type[IntEnum]) -> None:
    schema = ALL[enum.__name__]
    assert [member.name for member in enum] == schema["symbols"]
    assert [member.value for member in enum] == list(range(len(schema["symbols"])))


@pytest.mark.parametrize(
    "record",
    [
        BankTransaction,
        AccountBalance,
        SecurityAlert,
        ShipmentUpdate,
        Consent,
        Preferences,
        Holder,
        Notification,
    ],
    ids=lambda record: record.__name__,
)
def test_a_tuple_has_the_fields_of_its_schema_in_order(record: Any) -> None:
    assert list(record._fields) == [field["name"] for field in ALL[record.__name__]["fields"]]
