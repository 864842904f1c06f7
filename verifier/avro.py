"""Reads Avro values by their writer schema, written from the Avro 1.12 specification for the subset that
our schemas use.

Every read is bounded by the value's end. Enums come out as their symbol's name, records as dicts, logical
types as their plain integers. Imports the standard library only. Read next: `conservation.py`.
"""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

Read = Callable[[bytes, int], tuple[Any, int]]
MAX_ITEMS = 1_000_000
FRAME = struct.Struct(">bI")


class BrokenValueError(Exception):
    """A value that its schema cannot have written; the text says why, never what was in it."""


def schema_folder() -> Path:
    """Return the folder of the `.avsc` files: of the source tree, or of an installed wheel. Never None."""
    root = Path(__file__).resolve().parent.parent
    return root / "schemas" if (root / "schemas").is_dir() else root / "streams" / "_schemas"


def load_schema(name: str) -> Any:
    """Return the parsed schema `name` ("notification"). Raises FileNotFoundError where there is none."""
    return json.loads((schema_folder() / f"{name}.avsc").read_text(encoding="utf-8"))


def schema_ids() -> dict[str, int]:
    """Return the ids in the frames by schema name, from `schemas/ids.json`."""
    ids: dict[str, int] = json.loads((schema_folder() / "ids.json").read_text(encoding="utf-8"))
    return ids


def versions(name: str) -> "dict[int, Reader]":
    """Return a reader of every version of schema `name`, by the id in the frame."""
    history = schema_folder() / "history"
    earlier = json.loads((history / "ids.json").read_text(encoding="utf-8"))
    readers = {schema_ids()[name]: Reader(load_schema(name))}
    for path in sorted((history / name).glob("v*.avsc")):
        known = earlier.get(f"{name}/{path.stem}")
        if known is not None:
            readers[known] = Reader(json.loads(path.read_text(encoding="utf-8")))
    return readers


def unframe(value: bytes, expected: tuple[int, ...]) -> tuple[int, bytes]:
    """Split a value with a Confluent frame (0x00, id as 4 bytes) into schema id and body.

    Raises BrokenValueError without a frame, and for an id that is not in `expected`.
    """
    if len(value) < FRAME.size or value[0] != 0:
        raise BrokenValueError("no frame")
    schema_id: int = FRAME.unpack_from(value)[1]
    if schema_id not in expected:
        raise BrokenValueError("another schema")
    return schema_id, value[FRAME.size :]


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Read a zigzag varint of at most 64 bits.

    Returns it and where reading goes on; raises BrokenValueError.
    """
    shift = raw = 0
    while True:
        if at >= len(data):
            raise BrokenValueError("ends inside a number")
        byte = data[at]
        at += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise BrokenValueError("a number of more than 64 bits")
    if raw >> 64:
        raise BrokenValueError("a number of more than 64 bits")
    return (raw >> 1) ^ -(raw & 1), at


def _read_int(data: bytes, at: int) -> tuple[int, int]:
    number, at = read_long(data, at)
    if not -(2**31) <= number < 2**31:
        raise BrokenValueError("an int of more than 32 bits")
    return number, at


def _read_null(_data: bytes, at: int) -> tuple[None, int]:
    return None, at


def _read_boolean(data: bytes, at: int) -> tuple[bool, int]:
    if at >= len(data) or data[at] > 1:
        raise BrokenValueError("not a boolean")
    return data[at] == 1, at + 1


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_long(data, at)
    if size < 0 or size > len(data) - at:
        raise BrokenValueError("a length past the end")
    return data[at : at + size], at + size


def _read_string(data: bytes, at: int) -> tuple[str, int]:
    raw, at = _read_bytes(data, at)
    try:
        return raw.decode("utf-8"), at
    except UnicodeDecodeError:
        raise BrokenValueError("text that is not UTF-8") from None


PRIMITIVES: dict[str, Read] = {
    "null": _read_null,
    "boolean": _read_boolean,
    "int": _read_int,
    "long": read_long,
    "bytes": _read_bytes,
    "string": _read_string,
}


def _enum(schema: dict[str, Any]) -> Read:
    symbols: list[str] = schema["symbols"]

    def read(data: bytes, at: int) -> tuple[str, int]:
        index, at = read_long(data, at)
        if not 0 <= index < len(symbols):
            raise BrokenValueError("no such symbol")
        return symbols[index], at

    return read


def _union(branches: list[Read]) -> Read:
    def read(data: bytes, at: int) -> tuple[Any, int]:
        index, at = read_long(data, at)
        if not 0 <= index < len(branches):
            raise BrokenValueError("no such branch")
        return branches[index](data, at)

    return read


def _array(item: Read) -> Read:
    def read(data: bytes, at: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        while True:
            count, at = read_long(data, at)
            if count == 0:
                return items, at
            if count < 0:
                count = -count
                _, at = read_long(data, at)
            if len(items) + count > MAX_ITEMS:
                raise BrokenValueError("too many items")
            for _ in range(count):
                one, at = item(data, at)
                items.append(one)

    return read


def _record(fields: list[tuple[str, Read]]) -> Read:
    def read(data: bytes, at: int) -> tuple[dict[str, Any], int]:
        values: dict[str, Any] = {}
        for name, one in fields:
            values[name], at = one(data, at)
        return values, at

    return read


def _compile(schema: Any, named: dict[str, Read]) -> Read:
    if isinstance(schema, list):
        return _union([_compile(branch, named) for branch in schema])
    if isinstance(schema, str):
        return named[schema]
    match schema["type"]:
        case "record":
            fields = [(field["name"], _compile(field["type"], named)) for field in schema["fields"]]
            named[schema["name"]] = _record(fields)
            return named[schema["name"]]
        case "enum":
            named[schema["name"]] = _enum(schema)
            return named[schema["name"]]
        case "array":
            return _array(_compile(schema["items"], named))
        case inner:
            return _compile(inner, named)


class Reader:
    """Reads whole values of one writer schema; bytes left over are a fault."""

    def __init__(self, schema: Any) -> None:
        """Compile `schema` (parsed JSON). Raises KeyError for a type outside the subset."""
        self._read = _compile(schema, dict(PRIMITIVES))

    def read(self, body: bytes) -> dict[str, Any]:
        """Return the value in `body` (without frame). Raises BrokenValueError."""
        value, end = self._read(body, 0)
        if end != len(body):
            raise BrokenValueError("bytes left over")
        assert isinstance(value, dict)
        return value


def encode(schema: Any, value: Any) -> bytes:
    """Return a value's bytes by its schema (parsed JSON), for records of plain fields and unions with null.

    Raises KeyError for a type outside the subset, or a field that is missing.
    """
    if isinstance(schema, list):
        index = 0 if value is None else 1
        return _long(index) + encode(schema[index], value)
    match schema if isinstance(schema, str) else schema["type"]:
        case "null":
            return b""
        case "boolean":
            return bytes((bool(value),))
        case "int" | "long":
            return _long(value)
        case "string":
            data: bytes = value.encode()
            return _long(len(data)) + data
        case "enum":
            symbols: list[str] = schema["symbols"]
            return _long(symbols.index(value))
        case "record":
            return b"".join(encode(field["type"], value[field["name"]]) for field in schema["fields"])
        case other:
            raise KeyError(other)


def _long(value: int) -> bytes:
    rest = (value << 1) ^ (value >> 63)
    found = bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*found, rest))
