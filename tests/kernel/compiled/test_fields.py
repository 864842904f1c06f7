"""The table of fields against the interpreted readers: bytes accepted and refused alike, equal values."""

import itertools
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

pytest.importorskip("numba", reason="numba is not installed (extra `fast`): nothing is compiled")

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.core.events import EVENT_TYPES
from streams.kernel.compiled.fields import count_chars, make_plan, read_fields
from streams.wire.event_codec import EVENT_SCHEMAS
from streams.wire.plan import in_full
from streams.wire.read_plan import compile_reader
from streams.wire.schemas import our_schemas
from streams.wire.varint import write_bytes, write_long
from streams.wire.write_plan import compile_writer
from tests.kernel.compiled.arrays import array_of
from tests.wire.strategies import mutated, values

NAMES = [EVENT_SCHEMAS[cls] for cls in EVENT_TYPES]
SCHEMAS = {name: our_schemas().current(name).avro for name in NAMES}
Read = Callable[[bytes], tuple[Any, ...] | None]

seeds = st.integers(0, 2**32)
around = st.binary(max_size=12)


def interpreted(writer: Any, reader: Any) -> Read:
    """Return what reads a value as `wire` does; None for a value that is refused."""
    read = compile_reader(writer, reader, {})

    def read_or_none(data: bytes) -> tuple[Any, ...] | None:
        try:
            value: tuple[Any, ...] = read(data, 0)
        except (IndexError, ValueError):
            return None
        return value

    return read_or_none


def tabled(writer: Any, reader: Any, before: bytes = b"", behind: bytes = b"") -> Read:
    """Return what reads a value by the table; the columns hold rubbish before."""
    plan = make_plan(writer, reader)
    assert plan is not None
    types = [field["type"] for field in in_full(reader)["fields"]]

    def read(data: bytes) -> tuple[Any, ...] | None:
        buffer = array_of(before + data + behind)
        number = np.full(len(types), -7, dtype=np.int64)
        place, size, chars = (np.full(len(types), -7, dtype=np.int32) for _ in range(3))
        is_null = np.full(len(types), 7, dtype=np.uint8)
        at, end = len(before), len(before) + len(data)
        stop = read_fields(buffer, at, end, plan, number, place, size, chars, is_null)
        assert stop == -1 or at <= stop <= end
        if stop != end:
            return None
        columns = zip(
            types, *(column.tolist() for column in (number, place, size, chars, is_null)), strict=True
        )
        return tuple(value_of(buffer.tobytes(), *column) for column in columns)

    return read


def value_of(buffer: bytes, avro: Any, number: int, place: int, size: int, chars: int, is_null: int) -> Any:
    """Return one field as the interpreted readers give it, and check that its other columns are empty."""
    branches = avro if isinstance(avro, list) else [avro]
    kind = next(branch["type"] for branch in branches if branch["type"] != "null")
    if is_null:
        assert (number, place, size, chars, is_null) == (0, 0, 0, 0, 1)
        return None
    if kind in ("string", "bytes"):
        assert number == 0
        data = buffer[place : place + size]
        value = data.decode() if kind == "string" else data
        assert (len(data), len(value)) == (size, chars)
        return value
    assert (place, size, chars) == (0, 0, 0)
    return bool(number) if kind == "boolean" else number


def is_same(first: Any, second: Any) -> bool:
    """Tell whether two values are equal, true apart from 1."""
    return repr(first) == repr(second)


WRITE = {name: compile_writer(avro) for name, avro in SCHEMAS.items()}
INTERPRETED = {name: interpreted(avro, avro) for name, avro in SCHEMAS.items()}
VALUES = {name: values(avro) for name, avro in SCHEMAS.items()}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_written_value_is_read_as_the_interpreted_reader_reads_it(name: str, data: st.DataObject) -> None:
    avro = SCHEMAS[name]
    value = data.draw(VALUES[name])
    before, behind = data.draw(around), data.draw(around)
    written = WRITE[name](value)
    result = tabled(avro, avro, before, behind)(written)
    assert is_same(result, INTERPRETED[name](written))
    assert result == value


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=200, deadline=None)
@given(data=st.data(), seed=seeds)
def test_mutated_bytes_are_read_or_refused_as_by_the_interpreted_reader(
    name: str, data: st.DataObject, seed: int
) -> None:
    avro, random = SCHEMAS[name], Random(seed)
    written = WRITE[name](data.draw(VALUES[name]))
    ours, theirs = tabled(avro, avro, b"\x01" * 3, random.randbytes(20)), INTERPRETED[name]
    for changed in [mutated(written, random) for _ in range(20)]:
        assert is_same(ours(changed), theirs(changed)), changed.hex()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=60) | st.lists(st.integers(0, 6), max_size=60).map(bytes))
def test_random_bytes_are_read_or_refused_as_by_the_interpreted_reader(name: str, data: bytes) -> None:
    avro = SCHEMAS[name]
    assert is_same(tabled(avro, avro)(data), INTERPRETED[name](data))


@pytest.mark.parametrize("name", NAMES)
def test_every_cut_of_a_value_and_every_byte_after_it_is_refused(name: str) -> None:
    avro = SCHEMAS[name]
    some = [field["type"] for field in in_full(avro)["fields"]]
    whole = WRITE[name](tuple(example_of(kind) for kind in some))
    for size in range(len(whole)):
        # what would make the value whole stands behind its end
        assert tabled(avro, avro, b"", whole[size:])(whole[:size]) is None, size
    assert tabled(avro, avro)(whole) is not None
    assert tabled(avro, avro)(whole + b"\x00") is None


def example_of(avro: Any) -> Any:
    kind = (avro[1] if isinstance(avro, list) else avro)["type"]
    return {"string": "é" * 9, "long": 10**12, "enum": 1, "boolean": True}[kind]


# -- numbers and text --------------------------------------------------------------------------------------


def one(of: Any) -> Any:
    return {"type": "record", "name": "R", "fields": [{"name": "f", "type": of}]}


MIXED = {"type": "enum", "name": "E", "symbols": ["C", "A", "B"], "default": "A"}


def pair_of(of: Any) -> Any:
    """Return a schema of a field of this type and an enum."""
    other = {"name": "g", "type": {**MIXED, "name": "F"}}
    return {"type": "record", "name": "R", "fields": [{"name": "f", "type": of}, other]}


TEXT_PAIRS = list(itertools.product(["string", "bytes"], repeat=2))
ONE_FIELD = {
    (written, read): interpreted(one(written), one(read))
    for written, read in [("long", "long"), ("int", "int"), ("int", "long"), *TEXT_PAIRS]
}

varints = st.builds(
    lambda more, last: bytes(byte | 128 for byte in more) + bytes(last),
    st.lists(st.integers(0, 127) | st.sampled_from([0, 127]), max_size=11),
    st.lists(st.integers(0, 127) | st.sampled_from([0, 1, 2]), min_size=1, max_size=1),
)


@pytest.mark.parametrize("written", ["long", "int"])
@settings(max_examples=200, deadline=None)
@given(
    data=varints
    | st.integers(-(2**31) - 3, -(2**31) + 3).map(write_long)
    | st.integers(2**31 - 3, 2**31 + 3).map(write_long)
)
@example(data=b"\xff" * 9 + b"\x01")
@example(data=b"\xff" * 9 + b"\x02")
@example(data=b"\x80" * 10 + b"\x00")
@example(data=b"\x80" * 9 + b"\x00")
def test_a_number_is_read_or_refused_whatever_its_length(written: str, data: bytes) -> None:
    for reader in ("long", written):
        assert is_same(tabled(one(written), one(reader))(data), ONE_FIELD[written, reader](data))


@settings(max_examples=200, deadline=None)
@given(varints, st.binary(max_size=20))
@example(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"12345678")
@example(b"\x90\x80\x80\x80\x80\x80\x80\x80\x80\x00", b"12345678")
def test_a_size_is_read_or_refused_whatever_its_length(size: bytes, text: bytes) -> None:
    for kind in ("string", "bytes"):
        assert is_same(tabled(one(kind), one(kind))(size + text), ONE_FIELD[kind, kind](size + text))


@pytest.mark.parametrize("of", ["boolean", ["null", "boolean"], ["boolean", "null"], MIXED, ["null", MIXED]])
def test_every_byte_is_a_flag_an_index_or_a_branch_or_none(of: Any) -> None:
    # a second enum, so that there is a symbol behind the last one
    pair = pair_of(of), pair_of(of)
    ours, theirs = tabled(*pair), interpreted(*pair)
    for data in map(bytes, itertools.product(range(256), [0, 1, 2, 6, 255], [0])):
        for size in (2, 3):
            assert is_same(ours(data[:size]), theirs(data[:size])), data[:size].hex()


def chars_or_minus_one(data: bytes) -> int:
    try:
        return len(data.decode())
    except UnicodeDecodeError:
        return -1


EDGES = bytes([0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF])


def test_utf_8_is_what_pythons_decoder_says_at_every_edge() -> None:
    two = itertools.product(range(256), repeat=2)
    four = itertools.product(range(0xC0, 0x100), EDGES, EDGES, EDGES)
    for data in map(bytes, itertools.chain(two, four)):
        assert count_chars(array_of(data), 0, len(data)) == chars_or_minus_one(data), data.hex()


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=30).map(str.encode) | st.binary(max_size=30), st.integers(0, 30), st.binary(max_size=2)
)
def test_text_is_utf_8_wherever_a_byte_breaks_it_and_whoever_reads_it(
    text: bytes, at: int, broken: bytes
) -> None:
    for data in (text, text[:at] + broken + text[at:], b"a" * at + broken):
        written = write_bytes(data)
        for kind, read in TEXT_PAIRS:
            expected = ONE_FIELD[kind, read](written)
            assert is_same(tabled(one(kind), one(read), b"", b"\x80")(written), expected)


# -- other versions ----------------------------------------------------------------------------------------

SYMBOLS = ["UNKNOWN", "A", "B", "C"]
PLAIN = ["string", "bytes", "long", "int", "boolean"]


@st.composite
def enums(draw: st.DrawFn) -> Any:
    symbols = draw(st.permutations(SYMBOLS).map(lambda order: order[:3]))
    default = {"default": draw(st.sampled_from(symbols))} if draw(st.booleans()) else {}
    return {"type": "enum", "name": "E", "symbols": symbols, **default}


@st.composite
def types(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(PLAIN) | enums())
    return draw(st.sampled_from([kind, ["null", kind], [kind, "null"]]))


@st.composite
def readers(draw: st.DrawFn) -> Any:
    """Schemas as ours are: whatever may be missing has a default that is no text."""
    fields = []
    for name in draw(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1)):
        of = draw(types())
        fields.append({"name": name, "type": rename(of, name), **draw(defaults(of))})
    return {"type": "record", "name": "R", "fields": fields}


def rename(of: Any, name: str) -> Any:
    """Return a type whose enum is called after its field, because a name may be given once."""
    match of:
        case list():
            return [rename(branch, name) for branch in of]
        case dict():
            return {**of, "name": f"E{name}"}
        case _:
            return of


def defaults(of: Any) -> st.SearchStrategy[dict[str, Any]]:
    match of[0] if isinstance(of, list) else of:
        case "null":
            return st.just({"default": None})
        case "long":
            return st.integers(-(2**63), 2**63 - 1).map(lambda value: {"default": value})
        case "int":
            return st.just({"default": -1})
        case "boolean":
            return st.booleans().map(lambda value: {"default": value})
        case {"symbols": symbols}:
            return st.sampled_from(symbols).map(lambda value: {"default": value})
        case _:
            return st.just({})


@st.composite
def versions(draw: st.DrawFn) -> tuple[Any, Any]:
    """A reader's schema, and a writer's that has some of its fields, in another order, of other types."""
    reader = draw(readers())
    fields = []
    for field in draw(st.permutations(reader["fields"])):
        kept = draw(st.sampled_from(["same", "same", "same", "other", "missing"]))
        if kept != "missing":
            of = field["type"] if kept == "same" else rename(draw(types()), field["name"])
            fields.append({"name": field["name"], "type": of})
    for name in draw(st.lists(st.sampled_from("xyz"), unique=True)):
        fields.insert(draw(st.integers(0, len(fields))), {"name": name, "type": rename(draw(types()), name)})
    fields = fields or [{"name": "x", "type": "long"}]
    return {"type": "record", "name": "R", "fields": fields}, reader


@settings(max_examples=350, deadline=None)
@given(versions(), st.data(), seeds)
def test_another_version_is_read_or_refused_as_by_the_interpreted_reader(
    pair: tuple[Any, Any], data: st.DataObject, seed: int
) -> None:
    writer, reader = pair
    try:
        theirs = interpreted(writer, reader)
    except ValueError:
        assert make_plan(writer, reader) is None
        return
    ours, random = tabled(writer, reader), Random(seed)
    written = compile_writer(writer)(data.draw(values(writer)))
    assert is_same(ours(written), theirs(written))
    for changed in [mutated(written or b"\x00", random) for _ in range(10)]:
        assert is_same(ours(changed), theirs(changed)), changed.hex()


INNER = {"type": "record", "name": "I", "fields": [{"name": "x", "type": "long"}]}
MANY = {"type": "enum", "name": "E", "symbols": [f"S{index}" for index in range(65)]}
TEXT_DEFAULT = {"type": "record", "name": "R", "fields": [{"name": "g", "type": "string", "default": "x"}]}
NOT_TABLED: dict[str, tuple[Any, Any]] = {
    "record": (one(INNER), one(INNER)),
    "array": (one({"type": "array", "items": "long"}), one({"type": "array", "items": "long"})),
    "dropped-array": (one({"type": "array", "items": "long"}), {**one("long"), "fields": []}),
    "default-of-text": ({**one("long"), "fields": []}, TEXT_DEFAULT),
    "default-of-a-set": (
        {**one("long"), "fields": []},
        {
            **one("long"),
            "fields": [{"name": "f", "type": {"type": "array", "items": {**MANY}}, "default": ["S1"]}],
        },
    ),
    "three-branches": (one(["null", "string", "long"]), one(["null", "string"])),
    "many-symbols": (one(MANY), one(MANY)),
    "double": (one("double"), one("double")),
    "fixed": (one({"type": "fixed", "name": "F", "size": 2}), one({"type": "fixed", "name": "F", "size": 2})),
    "map": (one({"type": "map", "values": "long"}), one({"type": "map", "values": "long"})),
    "null-read-as-long": (one(["null", "long"]), one("long")),
    "string-read-as-long": (one("string"), one("long")),
    "no-default": ({**one("long"), "fields": []}, one("long")),
}


@pytest.mark.parametrize("name", NOT_TABLED)
def test_what_a_table_cannot_say_has_no_plan(name: str) -> None:
    assert make_plan(*NOT_TABLED[name]) is None
