"""The limits as a table against the facts of the core: at every bound, and of many fields at once."""

from typing import Any

import pytest

pytest.importorskip("numba", reason="numba is not installed (extra `fast`): nothing is compiled")

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.events import (
    EVENT_TYPES,
    AccountBalance,
    BankTransaction,
    Event,
    SecurityAlert,
    ShipmentUpdate,
)
from streams.core.facts import FACTS
from streams.core.limits import LIMITS
from streams.kernel.compiled.limits import event_limits, is_within_limits
from streams.wire.event_codec import EVENT_SCHEMAS
from streams.wire.schemas import our_schemas
from tests.kernel.compiled.arrays import columns_of

FULL: tuple[Event, ...] = (
    BankTransaction(
        "e", "s", 0, 1, -5, "EUR", "l", "e0", 7, "USD", "Bäcker", "DE", "5814", "food", 1, 2, "d", "o", 0
    ),
    AccountBalance("e", "s", 0, 0, "EUR", 1, -1),
    SecurityAlert("e", "s", 0, "new-device", 0, "key"),
    ShipmentUpdate("e", "s", "p", 0, 0, "o", "carrier", 0, "place", True, "e0", "d"),
)
TABLES = [event_limits(index) for index in range(len(EVENT_TYPES))]
INDEXES = range(len(EVENT_TYPES))

LETTERS = "EUR EU EURO eur EUr XQZ AZA @AB [AB A1B ÉU ÉUR Éx DE D de D1 A@ Z[ É"
DIGITS = "1234 123 12345 12a4 /234 :234 0909 ١٢٣٤ ²345 ٣٤"
TEXTS = [
    *(letter * count for letter in "xé🥐" for count in (0, 1, 64, 65, 128, 129, 1024, 1025, 100_000)),
    *LETTERS.split(),
    *DIGITS.split(),
    *("\uff25\uff35\uff32", "\u0391\u0392\u0393", "A\0B", "12 4", "E\n", "EUR\n"),
]
NUMBERS = [
    *(-1, 0, 1, 2, *range(3, 15), 255, 256, 2**31, -(2**31), 2**63 - 1, -(2**63)),
    *(sign * (10**15 + step) for sign in (-1, 1) for step in (-1, 0, 1)),
    *(253_402_300_800_000 + step for step in (-1, 0, 1)),
]


def is_within(index: int, event: Event) -> bool:
    return bool(is_within_limits(TABLES[index], *columns_of(event)))


def odd_values(event: Event, name: str) -> list[Any]:
    """Return what a field may be given by the wire: a text, a number or a flag as before, null if it may."""
    match getattr(event, name):
        case bool():
            values: list[Any] = [False, True]
        case str():
            values = [*TEXTS]
        case _:
            values = [*NUMBERS]
    return [*values, None] if type(event)._field_defaults.get(name, "") is None else values


@pytest.mark.parametrize("index", INDEXES)
def test_each_field_at_and_around_its_bounds(index: int) -> None:
    event = FULL[index]
    assert is_within(index, event)
    assert FACTS[index](event) is not None
    for name in event._fields:
        for value in odd_values(event, name):
            changed = event._replace(**{name: value})
            expected = FACTS[index](changed) is not None
            assert is_within(index, changed) == expected, (name, value)


@pytest.mark.parametrize("index", INDEXES)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_an_event_is_within_its_limits_iff_it_has_facts(index: int, data: st.DataObject) -> None:
    event = FULL[index]
    for name in data.draw(st.lists(st.sampled_from(event._fields), max_size=4, unique=True)):
        event = event._replace(**{name: data.draw(of(event, name))})
    assert is_within(index, event) == (FACTS[index](event) is not None)


def of(event: Event, name: str) -> st.SearchStrategy[Any]:
    odd = st.sampled_from(odd_values(event, name))
    match getattr(event, name):
        case bool():
            return odd
        case str():
            return odd | st.text(max_size=5) | st.text("AZaz09Éé٣", max_size=4)
        case _:
            return odd | st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 20)


@pytest.mark.parametrize("index", INDEXES)
def test_the_table_has_every_field_in_its_order_and_null_where_the_schema_has_it(index: int) -> None:
    cls = EVENT_TYPES[index]
    fields = our_schemas().current(EVENT_SCHEMAS[cls]).avro["fields"]
    nullable = {field["name"]: isinstance(field["type"], list) for field in fields}
    assert {name: limit.is_nullable for name, limit in LIMITS[index].items()} == nullable
    assert tuple(LIMITS[index]) == cls._fields


@pytest.mark.parametrize("index", INDEXES)
def test_null_is_not_within_the_limits_of_a_field_that_is_never_null(index: int) -> None:
    for name, limit in LIMITS[index].items():
        nothing: dict[str, Any] = {name: None}
        assert is_within(index, FULL[index]._replace(**nothing)) == limit.is_nullable, name
