"""Readers made from the schemas.

A reader knows the writer's schema and ours, and gives our tuple: fields in our order, added ones by default,
dropped ones read and left, enums as integers by symbol, logical types as raw longs, arrays as tuples, an
array of an enum as a set of bits (`1 << symbol`), an int as a long and text as bytes (or back) if so asked.

Foreign bytes meet no recursion, counts are capped, and a number, index or flag that no writer makes is
refused. A size that reaches over the end makes the next read raise IndexError, or, after the last field, the
end differ from the data's: so sizes themselves need no check. Imports `plan`, `varint`. Read next:
`write_plan.py`. Source: Avro 1.12 specification, "Binary encoding" and "Schema resolution".
"""

from collections.abc import Callable
from typing import Any

from streams.wire.plan import (
    MAX_ITEMS,
    ONE_BYTE_SYMBOLS,
    Json,
    Source,
    Types,
    in_full,
    indent,
    is_read_as,
    null_index,
)
from streams.wire.varint import INT_MAX, INT_MIN, UndecodableError, read_more, read_size

Reader = Callable[[bytes, int], Any]
"""(data, where to start) -> value; raises IndexError or ValueError for data that is not exactly one value."""

_BYTE = ["n = data[at]", "at += 1"]
_LONG = [*_BYTE, "if n > 127:", "    n, at = more(data, at, n)"]
# 129: there is more to come, or the size is negative; both are rare
_SIZE = [*_BYTE, "if n & 129:", "    n, at = size(data, at, n)", "stop = at + (n >> 1)"]
_REFUSE = "    raise Undecodable"


def compile_reader(writer: Json, reader: Json, types: Types) -> Reader:
    """Return the reader of what `writer` wrote, as `reader` sees it; a record without a type in `types`
    becomes a plain tuple.

    Raises ValueError when the two schemas do not resolve.
    """
    plan = _ReadPlan(types)
    body, value = plan.record(in_full(writer), in_full(reader))
    end = ["if at != len(data):", _REFUSE, f"return {value}"]
    plan.lines += ["def read(data, at):", *indent([*body, *end])]
    result: Reader = plan.compiled("read")
    return result


class _ReadPlan(Source):
    def __init__(self, types: Types) -> None:
        names = {"Undecodable": UndecodableError, "more": read_more, "size": read_size, "new": tuple.__new__}
        super().__init__(names)
        self.types = types

    def record(self, writer: Json, reader: Json) -> tuple[list[str], str]:
        """Return the lines that read a record's fields, and the expression of its value."""
        missing = {field["name"]: (index, field) for index, field in enumerate(reader["fields"])}
        body: list[str] = []
        for field in writer["fields"]:
            index, ours = missing.pop(field["name"], (None, field))
            body += self.read(field["type"], ours["type"], "_" if index is None else f"f{index}")
        body += [
            f"f{index} = {self.constant(default_value(field, self.types))}"
            for index, field in missing.values()
        ]
        values = "".join(f"f{index}, " for index in range(len(reader["fields"])))
        cls = self.types.get(reader["name"])
        return body, f"new({self.constant(cls)}, ({values}))" if cls else f"({values})"

    def read(self, writer: Json, reader: Json, to: str) -> list[str]:
        """Return the lines that read one value of `writer` into the variable `to`."""
        if isinstance(writer, list):
            return self.union(writer, reader, to)
        if isinstance(reader, list):
            reader = reader[1 - null_index(reader)]
        if not is_read_as(writer, reader):
            msg = f"{writer['type']} was written where {reader['type']} is read"
            raise ValueError(msg)
        match writer["type"]:
            case "long":
                return [*_LONG, f"{to} = n >> 1 ^ -(n & 1)"]
            case "int":
                return [
                    *_LONG,
                    f"{to} = n >> 1 ^ -(n & 1)",
                    f"if not {INT_MIN} <= {to} <= {INT_MAX}:",
                    _REFUSE,
                ]
            case "string":
                # a string is UTF-8, whoever reads it
                back = ".encode()" if reader["type"] == "bytes" else ""
                return [*_SIZE, f"{to} = data[at:stop].decode(){back}", "at = stop"]
            case "bytes":
                text = ".decode()" if reader["type"] == "string" else ""
                return [*_SIZE, f"{to} = data[at:stop]{text}", "at = stop"]
            case "boolean":
                return [*_BYTE, "if n > 1:", _REFUSE, f"{to} = n == 1"]
            case "enum":
                return self.enum(writer, reader, to)
            case "record":
                return [f"{to}, at = {self.nested(writer, reader)}(data, at)"]
            case "array":
                return [f"{to}, at = {self.array(writer['items'], reader['items'])}(data, at)"]
            case other:
                msg = f"no plan for type {other}"
                raise ValueError(msg)

    def union(self, writer: Json, reader: Json, to: str) -> list[str]:
        if not isinstance(reader, list):
            msg = f"null may have been written where {reader['type']} is read"
            raise ValueError(msg)  # noqa: TRY004  the schemas are wrong, not the caller's types
        null = null_index(writer)
        some = self.read(writer[1 - null], reader, to)
        is_null = [f"if n == {2 * null}:", f"    {to} = None"]
        return [*_BYTE, *is_null, f"elif n == {2 - 2 * null}:", *indent(some), "else:", _REFUSE]

    def enum(self, writer: Json, reader: Json, to: str) -> list[str]:
        indexes = symbol_indexes(writer, reader)
        is_same = indexes == tuple(range(len(indexes)))
        value = f"{to} = n >> 1" if is_same else f"{to} = {self.constant(indexes)}[n >> 1]"
        first = _BYTE if len(indexes) <= ONE_BYTE_SYMBOLS else _LONG
        return [*first, f"if n & 1 or n > {2 * len(indexes) - 2}:", _REFUSE, value]

    def nested(self, writer: Json, reader: Json) -> str:
        """Add the function of a record inside another, `(data, at) -> (value, at)`, and return its name."""
        body, value = self.record(writer, reader)
        function = self.name(f"read_{reader['name']}")
        self.lines += [f"def {function}(data, at):", *indent([*body, f"return {value}, at"])]
        return function

    def array(self, writer: Json, reader: Json) -> str:
        """Add the function of an array, `(data, at) -> (items, at)`, and return its name."""
        is_set = writer["type"] == "enum"
        item = self.read(writer, reader, "item")
        block = [
            *_LONG,
            "count = n >> 1 ^ -(n & 1)",
            "if count == 0:",
            f"    return {'items' if is_set else 'tuple(items)'}, at",
            # a negative count is followed by the block's size, for those who skip it
            "if count < 0:",
            "    count = -count",
            *indent(_SIZE),
            "total += count",
            f"if total > {MAX_ITEMS}:",
            _REFUSE,
            "for _ in range(count):",
            *indent([*item, "items |= 1 << item" if is_set else "items.append(item)"]),
        ]
        start = [f"items = {'0' if is_set else '[]'}", "total = 0"]
        function = self.name("read_array")
        self.lines += [f"def {function}(data, at):", *indent([*start, "while True:", *indent(block)])]
        return function


def symbol_indexes(writer: Json, reader: Json) -> tuple[int, ...]:
    """Return, for each symbol of the writer's enum, its index in the reader's, or that of the default.

    Raises ValueError if a symbol has neither.
    """
    known = {symbol: index for index, symbol in enumerate(reader["symbols"])}
    try:
        return tuple(known[symbol if symbol in known else reader["default"]] for symbol in writer["symbols"])
    except KeyError:
        msg = f"{reader['name']} has no default, and lacks symbols that may have been written"
        raise ValueError(msg) from None


def default_value(field: Json, types: Types) -> Any:
    """Return what a reader gives for a field that was not written.

    Raises ValueError if it has no default.
    """
    if "default" not in field:
        msg = f"field {field['name']} has no default and was not written"
        raise ValueError(msg)
    return _value(field["type"], field["default"], types)


def _value(schema: Json, default: Json, types: Types) -> Any:
    """Return a default as a reader gives it; a union's default is of its first branch."""
    match schema:
        case [first, *_]:
            return _value(first, default, types)
        case {"type": "enum", "symbols": symbols}:
            return symbols.index(default)
        case {"type": "bytes"}:
            return default.encode("latin-1")
        case {"type": "array", "items": {"type": "enum", "symbols": symbols}}:
            return sum({1 << symbols.index(symbol) for symbol in default})
        case {"type": "array", "items": items}:
            return tuple(_value(items, item, types) for item in default)
        case {"type": "record", "name": name, "fields": fields}:
            values = [
                _value(field["type"], default[field["name"]], types)
                if field["name"] in default
                else default_value(field, types)
                for field in fields
            ]
            return tuple.__new__(types.get(name, tuple), values)
        case _:
            return default
