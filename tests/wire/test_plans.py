"""The generated readers and writers against fastavro: the same bytes, and of broken bytes the same value or
none.
"""

import io
import json
import time
from random import Random
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.wire.plan import MAX_ITEMS, in_full
from streams.wire.read_plan import compile_reader
from streams.wire.schemas import our_schemas
from streams.wire.varint import UndecodableError, write_bytes, write_long
from streams.wire.write_plan import compile_writer
from tests.wire.avro_values import GOLDEN, NAMES, as_avro, fast_read, fast_write, parsed, raw_schema
from tests.wire.strategies import mutated, values

SCHEMAS = {name: our_schemas().current(name).avro for name in NAMES}
FAST = {name: parsed(name) for name in NAMES}
FULL = {name: in_full(raw_schema(name)) for name in NAMES}
READERS = {name: compile_reader(avro, avro, {}) for name, avro in SCHEMAS.items()}
WRITERS = {name: compile_writer(avro) for name, avro in SCHEMAS.items()}
VALUES = {name: values(avro) for name, avro in SCHEMAS.items()}
BODIES = {name: bytes.fromhex((GOLDEN / f"{name}.hex").read_text())[5:] for name in NAMES}
UNREADABLE = (IndexError, ValueError)


def read_or_none(name: str, data: bytes) -> Any:
    try:
        return READERS[name](data, 0)
    except UNREADABLE:
        return None


def agrees_with_fastavro(name: str, data: bytes) -> bool:
    """Tell whether our reader refuses the data, or reads all of it as fastavro does."""
    value = read_or_none(name, data)
    if value is None:
        return True
    theirs, size = fast_read(FAST[name], data)
    return size == len(data) and as_sets(theirs) == as_sets(as_avro(value, FULL[name]))


def as_sets(value: Any) -> Any:
    """Return a value with its lists of symbols as sets: our readers keep neither order nor repetition."""
    match value:
        case dict():
            return {name: as_sets(item) for name, item in value.items()}
        case [str(), *_]:
            return set(value)
        case list():
            return [as_sets(item) for item in value]
        case _:
            return value


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_writer_makes_fastavros_bytes_and_the_reader_gives_the_value_back(
    name: str, data: st.DataObject
) -> None:
    value = data.draw(VALUES[name])
    written = WRITERS[name](value)
    assert written == fast_write(FAST[name], as_avro(value, FULL[name]))
    assert READERS[name](written, 0) == value


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_mutated_bytes_are_refused_or_read_as_fastavro_reads_them(name: str, seed: int) -> None:
    random = Random(seed)
    for data in [mutated(BODIES[name], random) for _ in range(50)]:
        assert agrees_with_fastavro(name, data), data.hex()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=80))
def test_random_bytes_are_refused_or_read_as_fastavro_reads_them(name: str, data: bytes) -> None:
    assert agrees_with_fastavro(name, data)


@pytest.mark.parametrize("name", NAMES)
def test_every_cut_of_a_value_and_every_byte_after_it_is_refused(name: str) -> None:
    whole = BODIES[name]
    assert READERS[name](whole, 0) is not None
    for size in range(len(whole)):
        assert read_or_none(name, whole[:size]) is None, size
    assert read_or_none(name, whole + b"\x00") is None


@pytest.mark.parametrize("byte", [b"\x00", b"\x01", b"\x02", b"\x7f", b"\x80", b"\xff"])
@pytest.mark.parametrize("name", NAMES)
def test_long_runs_of_one_byte_are_refused_at_once(name: str, byte: bytes) -> None:
    began = time.perf_counter()
    read_or_none(name, byte * 5120)
    read_or_none(name, byte * 1_048_576)
    assert time.perf_counter() - began < 1


CONSENT_BEFORE_PURPOSES = b"\x02c\x06"
HUGE = [write_long(count) for count in (MAX_ITEMS + 1, 2**31, 2**62, -(2**40), -(2**63))]


@pytest.mark.parametrize("count", HUGE)
def test_a_huge_count_of_items_is_refused_before_memory_is_taken(count: bytes) -> None:
    began = time.perf_counter()
    data = CONSENT_BEFORE_PURPOSES + count + b"\x02" * 1_000_000
    with pytest.raises(UNREADABLE):
        READERS["consent"](data, 0)
    assert time.perf_counter() - began < 0.5


def test_many_small_blocks_are_counted_together() -> None:
    with pytest.raises(UndecodableError):
        READERS["consent"](CONSENT_BEFORE_PURPOSES + b"\x02\x02" * (MAX_ITEMS + 1), 0)


def test_a_block_with_its_size_is_read() -> None:
    name = "consent"
    plain = BODIES[name]
    purposes = bytes([6, 2, 4, 8, 0])
    at = plain.index(purposes)
    sized = plain[:at] + bytes([5, 6, 2, 4, 8, 0]) + plain[at + len(purposes) :]
    assert READERS[name](sized, 0) == READERS[name](plain, 0)
    assert agrees_with_fastavro(name, sized)


@pytest.mark.parametrize("number", [b"\xff" * 10, b"\x80" * 9 + b"\x02", b"\x80" * 11 + b"\x00"])
def test_a_number_over_64_bits_is_refused(number: bytes) -> None:
    with pytest.raises(UndecodableError):
        READERS["subject_state"](number + b"\x00", 0)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**70, -(2**70)])
def test_a_number_over_64_bits_is_not_written(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        write_long(value)
    with pytest.raises(ValueError, match="64 bits"):
        WRITERS["account_balance"](("e", "s", value, 0, "EUR", None, None))
    with pytest.raises(ValueError, match="64 bits"):
        WRITERS["account_balance"](("e", "s", 0, value, "EUR", None, None))


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1])
def test_an_int_over_32_bits_is_neither_written_nor_read(value: int) -> None:
    with pytest.raises(ValueError, match="32 bits"):
        WRITERS["position_marker"](("cluster", value, (), "", 0, None))
    with pytest.raises(UndecodableError):
        READERS["position_marker"](b"\x0ecluster" + write_long(value) + bytes(4), 0)


def test_more_items_than_a_reader_takes_are_not_written() -> None:
    run = ("t", 0, 0, 1)
    with pytest.raises(ValueError, match="items"):
        WRITERS["decision_batch"]((0, (), 0, 0, "", (), (run,) * (MAX_ITEMS + 1), (), "", ""))


def version(*fields: str, symbols: str = "UNKNOWN A B") -> Any:
    """Return a version of a record: fields as JSON, `E` stands for an enum of `symbols`."""
    enum = {"type": "enum", "name": "E", "symbols": symbols.split(), "default": "UNKNOWN"}
    avro = {"type": "record", "name": "R", "fields": [json.loads(field) for field in fields]}
    return json.loads(json.dumps(avro).replace('"E!"', json.dumps(enum), 1).replace('"E!"', '"E"'))


A = '{"name": "a", "type": "string"}'
B = '{"name": "b", "type": ["null", "long"], "default": null}'
C = '{"name": "c", "type": "E!", "default": "UNKNOWN"}'
D = '{"name": "d", "type": {"type": "array", "items": "E!"}, "default": ["A"]}'
RESOLUTIONS = {
    "added": (version(A), version(A, B, C, D)),
    "dropped": (version(A, B, C, D), version(A)),
    "moved": (version(A, B, C), version(C, B, A)),
    "symbol-added": (version(A, C), version(A, C, symbols="UNKNOWN A B NEW")),
    "symbol-dropped": (version(A, C, symbols="UNKNOWN A B NEW"), version(A, C)),
    "symbols-moved": (version(A, C), version(A, C, symbols="UNKNOWN B A")),
    "int-read-as-long": (version('{"name": "a", "type": "int"}'), version('{"name": "a", "type": "long"}')),
    "maybe-int-read-as-maybe-long": (version('{"name": "b", "type": ["int", "null"]}'), version(B)),
    "string-read-as-bytes": (version(A), version('{"name": "a", "type": "bytes"}')),
    "strings-read-as-bytes": (
        version('{"name": "a", "type": {"type": "array", "items": "string"}}'),
        version('{"name": "a", "type": {"type": "array", "items": "bytes"}}'),
    ),
    "dropped-enum-without-default": (
        version(A, '{"name": "c", "type": {"type": "enum", "name": "F", "symbols": ["A"]}}'),
        version(A),
    ),
    "made-nullable": (version(A), version('{"name": "a", "type": ["null", "string"], "default": null}')),
}


@pytest.mark.parametrize("name", RESOLUTIONS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_reader_sees_another_version_as_fastavro_does(name: str, data: st.DataObject) -> None:
    writer, reader = RESOLUTIONS[name]
    written = compile_writer(writer)(data.draw(values(writer)))
    ours = compile_reader(writer, reader, {})(written, 0)
    from_fastavro = _resolved(written, writer, reader)
    assert as_avro(ours, in_full(reader)) == from_fastavro


def _resolved(written: bytes, writer: Any, reader: Any) -> Any:
    first, second = (fastavro.parse_schema(schema, named_schemas={}) for schema in (writer, reader))
    return fastavro.schemaless_reader(io.BytesIO(written), first, second)


BYTES_AS_STRING = compile_reader(version('{"name": "a", "type": "bytes"}'), version(A), {})


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=6) | st.text(max_size=6).map(str.encode))
def test_bytes_are_read_as_a_string_if_they_are_utf_8(written: bytes) -> None:
    try:
        expected = (written.decode(),)
    except UnicodeDecodeError:
        with pytest.raises(UNREADABLE):
            BYTES_AS_STRING(write_bytes(written), 0)
    else:
        assert BYTES_AS_STRING(write_bytes(written), 0) == expected


def test_a_string_read_as_bytes_is_utf_8_all_the_same() -> None:
    reader = compile_reader(version(A), version('{"name": "a", "type": "bytes"}'), {})
    with pytest.raises(UNREADABLE):
        reader(write_bytes(b"\xff"), 0)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1])
def test_an_int_read_as_a_long_is_still_of_32_bits(value: int) -> None:
    reader = compile_reader(*RESOLUTIONS["int-read-as-long"], {})
    with pytest.raises(UndecodableError):
        reader(write_long(value), 0)


def test_a_default_of_bytes_is_bytes() -> None:
    added = '{"name": "e", "type": "bytes", "default": "a\\u00ff"}'
    assert compile_reader(version(A), version(A, added), {})(b"\x00", 0) == ("", b"a\xff")


def test_a_type_may_stand_in_a_type() -> None:
    text = version('{"name": "a", "type": {"type": {"type": "string"}}}')
    maybe = version('{"name": "a", "type": {"type": ["null", "string"]}}')
    assert compile_reader(text, maybe, {})(b"\x02x", 0) == ("x",)
    assert compile_reader(maybe, maybe, {})(b"\x00", 0) == (None,)


def test_an_index_of_two_bytes_is_read_where_an_enum_has_so_many_symbols() -> None:
    symbols = ["UNKNOWN", *(f"S{index}" for index in range(1, 200))]
    reader = compile_reader(
        version(C, symbols=" ".join(symbols)), version(C, symbols="UNKNOWN S1 S64 S199"), {}
    )
    indexes = [reader(write_long(index), 0)[0] for index in range(200)]
    assert indexes == [{1: 1, 64: 2, 199: 3}.get(index, 0) for index in range(200)]
    for index in (-1, 200, 2**40):
        with pytest.raises(UndecodableError):
            reader(write_long(index), 0)


def test_a_reader_of_versions_that_do_not_resolve_is_not_made() -> None:
    with pytest.raises(ValueError, match="no default"):
        compile_reader(version(A), version(A, '{"name": "b", "type": "long"}'), {})
    with pytest.raises(ValueError, match="string was written where long is read"):
        compile_reader(version(A), version('{"name": "a", "type": "long"}'), {})
    with pytest.raises(ValueError, match="null may have been written"):
        compile_reader(version(B), version('{"name": "b", "type": "long"}'), {})
    with pytest.raises(ValueError, match="long was written where int is read"):
        compile_reader(version('{"name": "b", "type": "long"}'), version('{"name": "b", "type": "int"}'), {})
    strict = version('{"name": "c", "type": {"type": "enum", "name": "E", "symbols": ["A"]}}')
    with pytest.raises(ValueError, match="not in list"):
        compile_reader(version('{"name": "b", "type": ["string", "long"]}'), version(B), {})
    with pytest.raises(ValueError, match="lacks symbols"):
        compile_reader(version(C), strict, {})
