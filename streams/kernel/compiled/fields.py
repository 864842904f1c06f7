"""An Avro record's fields, read by a table: where they stand, what they are, without an object.

`make_plan` turns a writer's and our schema into a table, `read_fields` walks it. It accepts and refuses what
the reader of `wire/read_plan.py` accepts and refuses, and gives the same values. Foreign bytes: every read is
bounded by the record's end, nothing is raised, nothing allocated. May import wire and core. Read next:
`limits.py`.
Source: Avro 1.12 specification, "Binary encoding" and "Schema resolution"; Unicode 17, table 3-7.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.core.masking import LEAST_DIGITS
from streams.kernel.compiled.hashes import Bytes, little_32, little_64
from streams.kernel.compiled.jit import compiled, inlined
from streams.kernel.compiled.types import whole
from streams.wire.plan import ONE_BYTE_SYMBOLS, Json, in_full
from streams.wire.read_plan import default_value, symbol_indexes
from streams.wire.varint import INT_MAX, INT_MIN


class FieldPlan(NamedTuple):
    """One pair of schemas as arrays.

    Attributes:
        steps: int32, a row per written field: kind, our field's index (-1: dropped), the byte that says null
            (-1: not a union), where its symbols begin in `symbols`, how many they are.
        symbols: int64, our index for each symbol of the writer's enums.
        defaults: int64, a row per field that was not written: our field's index, number, is it null.
    """

    steps: NDArray[np.int32]
    symbols: NDArray[np.int64]
    defaults: NDArray[np.int64]


Longs = NDArray[np.int64]
Ints = NDArray[np.int32]

_LONG, _INT, _BOOLEAN, _ENUM, _TEXT, _TEXT_AS_BYTES, _BYTES = range(7)
_KINDS = {
    ("long", "long"): _LONG,
    ("int", "int"): _INT,
    ("int", "long"): _INT,
    ("boolean", "boolean"): _BOOLEAN,
    ("enum", "enum"): _ENUM,
    ("string", "string"): _TEXT,
    ("bytes", "string"): _TEXT,
    ("string", "bytes"): _TEXT_AS_BYTES,
    ("bytes", "bytes"): _BYTES,
}
"""By the type written and the type read."""
_NUMBERS = frozenset({"long", "int", "boolean", "enum"})

_HIGH_32 = np.uint32(0x80808080)
_HIGH_64 = np.uint64(0x8080808080808080)


def make_plan(writer: Json, reader: Json) -> FieldPlan | None:
    """Return the table that reads what `writer` wrote as `reader` sees it, both parsed JSON.

    Returns None for what a table cannot say (records, arrays, a default that is text, a union of more than
    null and one type, ...) and for schemas that do not resolve: `compile_reader` reads, or refuses, those.
    """
    try:
        return _plan(in_full(writer), in_full(reader))
    except ValueError:
        return None


def _plan(writer: Json, reader: Json) -> FieldPlan:
    missing = {field["name"]: (index, field) for index, field in enumerate(reader["fields"])}
    steps, symbols = [], list[int]()
    for field in writer["fields"]:
        index, ours = missing.pop(field["name"], (-1, field))
        steps.append(_step(field["type"], ours["type"], index, symbols))
    defaults = [_default(field, index) for index, field in missing.values()]
    return FieldPlan(
        np.array(steps, dtype=np.int32).reshape(-1, 5),
        np.array(symbols, dtype=np.int64),
        np.array(defaults, dtype=np.int64).reshape(-1, 3),
    )


def _step(writer: Json, reader: Json, index: int, symbols: list[int]) -> tuple[int, int, int, int, int]:
    null, written = _some(writer)
    is_null_read, read = _some(reader)
    kind = _KINDS.get((written["type"], read["type"]))
    if kind is None or (null >= 0 and is_null_read < 0):
        raise ValueError(f"no table for {written['type']} read as {read['type']}")
    begin = len(symbols)
    if kind == _ENUM:
        symbols += symbol_indexes(written, read)
    count = len(symbols) - begin
    if count > ONE_BYTE_SYMBOLS:
        raise ValueError(f"no table for an index of {count} symbols")
    return kind, index, null, begin, count


def _some(schema: Json) -> tuple[int, Json]:
    """Return the byte that says null (-1: not a union) and the type of everything else."""
    if not isinstance(schema, list):
        return -1, schema
    match [branch["type"] == "null" for branch in schema]:
        case [True, False]:
            return 0, schema[1]
        case [False, True]:
            return 2, schema[0]
    raise ValueError("no table for a union of more than null and one type")


def _default(field: Json, index: int) -> tuple[int, int, int]:
    value = default_value(field, {})
    if value is None:
        return index, 0, 1
    if _some(field["type"])[1]["type"] not in _NUMBERS:
        raise ValueError(f"no table for the default of {field['name']}")
    return index, value, 0


@compiled
def read_fields(
    buffer: Bytes,
    at: int,
    end: int,
    plan: FieldPlan,
    number: Longs,
    place: Ints,
    size: Ints,
    chars: Ints,
    is_null: Bytes,
) -> int:
    """Read the fields of the record at `buffer[at:end]`; return where the last one ended, -1 if they break.

    The five columns are indexed by our field and filled: `number` a long, an int, an enum's index, 0 or 1;
    `place` and `size` where the bytes of text (or bytes) stand in `buffer` and how many; `chars` its length
    in Python, code points (bytes); `is_null` 1 or 0. What a field has not is 0. When the result is not `end`
    the value is to be refused, and the columns mean nothing. `0 <= at`, `end <= len(buffer) < 2**31`.
    """
    steps, symbols = plan.steps, plan.symbols
    for row in range(len(steps)):
        kind, field, null = steps[row, 0], steps[row, 1], steps[row, 2]
        has_none = False
        if null >= 0:
            if at >= end:
                return -1
            branch = whole(buffer[np.uint64(at)])
            at += 1
            has_none = branch == null
            if not has_none and branch != 2 - null:
                return -1
        value, where, length, count = 0, 0, 0, 0
        if not has_none and kind <= _ENUM:
            value, at = _read_number(buffer, at, end, kind, steps[row, 3], steps[row, 4], symbols)
        elif not has_none:
            where, length, count = _read_text(buffer, at, end, kind)
            at = where + length
        if at < 0:
            return -1
        if field >= 0:
            i = np.uint64(field)
            number[i], place[i], size[i], chars[i], is_null[i] = value, where, length, count, has_none
    _fill_defaults(plan.defaults, number, place, size, chars, is_null)
    return at


@inlined
def _fill_defaults(
    defaults: Longs, number: Longs, place: Ints, size: Ints, chars: Ints, is_null: Bytes
) -> None:
    for row in range(len(defaults)):
        i = np.uint64(defaults[row, 0])
        number[i], place[i], size[i], chars[i], is_null[i] = defaults[row, 1], 0, 0, 0, defaults[row, 2]


@inlined
def _read_number(
    buffer: Bytes, at: int, end: int, kind: int, begin: int, count: int, symbols: Longs
) -> tuple[int, int]:
    """Return a number, flag or index, and where it ended: -1 if it is none."""
    if kind <= _INT:
        zigzag, at = read_varint(buffer, at, end)
        value = whole(zigzag >> np.uint64(1)) ^ -whole(zigzag & np.uint64(1))
        return value, -1 if kind == _INT and not INT_MIN <= value <= INT_MAX else at
    if at >= end:
        return 0, -1
    byte = whole(buffer[np.uint64(at)])
    if kind == _BOOLEAN:
        return byte, -1 if byte > 1 else at + 1
    if byte & 1 or byte > 2 * count - 2:
        return 0, -1
    return symbols[np.uint64(begin + (byte >> 1))], at + 1


@inlined
def _read_text(buffer: Bytes, at: int, end: int, kind: int) -> tuple[int, int, int]:
    """Return where bytes stand, how many they are, and how long they are in Python; (-1, 0, 0) if they
    break.
    """
    zigzag, at = read_varint(buffer, at, end)
    if at < 0 or zigzag & np.uint64(1) or zigzag >> np.uint64(1) > np.uint64(end - at):
        return -1, 0, 0
    length = whole(zigzag >> np.uint64(1))
    if kind == _BYTES or is_ascii(buffer, at, length):
        return at, length, length
    count = count_chars(buffer, at, at + length)
    if count < 0:
        return -1, 0, 0
    return at, length, length if kind == _TEXT_AS_BYTES else count


@inlined
def read_varint(buffer: Bytes, at: int, end: int) -> tuple[np.uint64, int]:
    """Return the number before zigzag, and where it ended: -1 if it is over 64 bits or over the end."""
    if at < end and buffer[np.uint64(at)] < 128:
        return np.uint64(buffer[np.uint64(at)]), at + 1
    number, shift = np.uint64(0), np.uint64(0)
    while at < end:
        byte = np.uint64(buffer[np.uint64(at)])
        at += 1
        if shift == np.uint64(63) and byte > np.uint64(1):
            break
        number |= (byte & np.uint64(127)) << shift
        if byte < np.uint64(128):
            return number, at
        shift += np.uint64(7)
    return np.uint64(0), -1


@inlined
def is_ascii(data: Bytes, at: int, size: int) -> bool:
    """Tell whether all of `data[at:at + size]` is ASCII; the last words overlap."""
    if size >= 8:
        last = at + size - 8
        bits = little_64(data, last)
        for place in range(at, last, 8):
            bits |= little_64(data, place)
        return bool(bits & _HIGH_64 == np.uint64(0))
    if size >= 4:
        return bool((little_32(data, at) | little_32(data, at + size - 4)) & _HIGH_32 == np.uint32(0))
    byte = np.uint8(0)
    for place in range(at, at + size):
        byte |= data[np.uint64(place)]
    return bool(byte < 128)


@inlined
def has_many_digits(data: Bytes, at: int, size: int) -> bool:
    """Tell whether a UTF-8 text may hold as many decimal digits as are masked. Source: `core/masking.py`.

    Beyond ASCII whatever begins as a digit of some script does counts as one.
    """
    if size < LEAST_DIGITS:
        return False
    digits = 0
    for place in range(np.uint64(at), np.uint64(at + size)):
        byte = data[place]
        digits += (byte - np.uint8(48) <= np.uint8(9)) if byte < 128 else _may_be_digit(byte)
    return digits >= LEAST_DIGITS


@inlined
def _may_be_digit(first: int) -> bool:
    """Tell whether some decimal digit of Unicode begins with this byte."""
    if first < 0xE2:
        return first == 0xD9 or first == 0xDB or first == 0xDF or first >= 0xE0
    return first == 0xEA or first == 0xEF or first >= 0xF0


@compiled
def count_chars(data: Bytes, at: int, end: int) -> int:
    """Return how many code points `data[at:end]` is, -1 if it is not UTF-8 as Python's decoder sees it."""
    count = 0
    while at < end:
        width = _char_width(data, at, end)
        if width == 0:
            return -1
        at += width
        count += 1
    return count


@compiled
def _char_width(data: Bytes, at: int, end: int) -> int:
    """Return of how many bytes the character at `at` is, 0 if it is none."""
    first = data[np.uint64(at)]
    if first < 0x80:
        return 1
    width = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    if first < 0xC2 or first > 0xF4 or at + width > end:
        return 0
    # the second byte's range keeps out long forms, halves of surrogate pairs and what lies over U+10FFFF
    second = data[np.uint64(at + 1)]
    least = 0xA0 if first == 0xE0 else 0x90 if first == 0xF0 else 0x80
    most = 0x9F if first == 0xED else 0x8F if first == 0xF4 else 0xBF
    if second < least or second > most:
        return 0
    for place in range(at + 2, at + width):
        if data[np.uint64(place)] & 0xC0 != 0x80:
            return 0
    return width
