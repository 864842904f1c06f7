"""Readers and writers made from the schemas: one straight function per record, generated once at import.

A reader knows the writer's schema and ours, and gives our tuple: fields in our order, added ones by default, dropped ones read and left, enums as
integers by symbol, logical types as raw longs, arrays as tuples, an array of an enum as a set of bits (`1 << symbol`). A writer takes the same tuple.
Foreign bytes meet no recursion: every read is bounded by the data's end, counts by MAX_ITEMS, and a number or index that no writer makes is refused.
Unions are null and one other type (`lint.py` sees to it). Imports `varint`. Read next: `codec.py`.
"""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from streams.wire.varint import UndecodableError, read_more, write_bytes, write_long, write_string

MAX_ITEMS = 100_000

Json = Any
Reader = Callable[[bytes, int], Any]
"""(data, where to start) -> value; raises IndexError or ValueError for data that is not exactly one value."""
Writer = Callable[[tuple[Any, ...]], bytes]
Types = Mapping[str, type]

_INT_RANGE = (-(2**31), 2**31 - 1)


def compile_reader(writer: Json, reader: Json, types: Types) -> Reader:
    """Return the reader of what `writer` wrote, as `reader` sees it; a record without a type in `types` becomes a plain tuple.

    Raises ValueError when the two schemas do not resolve.
    """
    plan = _ReadPlan(types)
    root = plan.record(_named(writer, {}), _named(reader, {}))
    return plan.finish(
        [
            "def read(data, at):",
            f"    value, at = {root}(data, at, len(data))",
            "    if at != len(data):",
            "        raise Undecodable",
            "    return value",
        ],
        "read",
    )


def compile_writer(schema: Json, prefix: bytes) -> Writer:
    """Return the writer of a schema's tuples; `prefix` (the frame, or nothing) begins every value."""
    plan = _WritePlan()
    return plan.finish([], plan.record(_named(schema, {}), prefix))


def _named(schema: Json, seen: dict[str, Json]) -> Json:
    """Put in the place of a name the type that it names, so that the plans meet whole types only."""
    match schema:
        case str() if schema in seen:
            return seen[schema]
        case str():
            return {"type": schema}
        case list():
            return [_named(branch, seen) for branch in schema]
        case {"type": "record"}:
            fields = [{**field, "type": _named(field["type"], seen)} for field in schema["fields"]]
            seen[schema["name"]] = {**schema, "fields": fields}
            return seen[schema["name"]]
        case {"type": "enum"}:
            seen[schema["name"]] = schema
            return schema
        case {"type": "array"}:
            return {"type": "array", "items": _named(schema["items"], seen)}
        case _:
            return schema


class _Plan:
    """Generated source with the constants that it names."""

    def __init__(self, constants: dict[str, Any]) -> None:
        self.constants = constants
        self.lines: list[str] = []
        self.number = count()

    def constant(self, value: Any) -> str:
        name = f"k{next(self.number)}"
        self.constants[name] = value
        return name

    def finish(self, lines: list[str], name: str) -> Any:
        source = "\n".join(self.lines + lines)
        exec(source, self.constants)  # noqa: S102  the source is made from our own schemas, never from data
        return self.constants[name]


class _ReadPlan(_Plan):
    def __init__(self, types: Types) -> None:
        super().__init__({"Undecodable": UndecodableError, "more": read_more, "new": tuple.__new__})
        self.types = types

    def record(self, writer: Json, reader: Json) -> str:
        """Add the function of a record, `(data, at, end) -> (value, at)`, and return its name."""
        ours = {field["name"]: (index, field) for index, field in enumerate(reader["fields"])}
        body = []
        for index, field in enumerate(writer["fields"]):
            known = ours.pop(field["name"], None)
            name, as_type = (f"f{known[0]}", known[1]["type"]) if known else (f"skipped{index}", field["type"])
            body += self.read(field["type"], as_type, name)
        body += [f"f{index} = {self.default(field)}" for index, field in ours.values()]
        values = "".join(f"f{index}, " for index in range(len(reader["fields"])))
        cls = self.types.get(reader["name"])
        result = f"new({self.constant(cls)}, ({values}))" if cls else f"({values})"
        function = f"read_{reader['name']}_{next(self.number)}"
        self.lines += [f"def {function}(data, at, end):", *_indent(body), f"    return {result}, at"]
        return function

    def default(self, field: Json) -> str:
        if "default" not in field:
            msg = f"field {field['name']} has no default and was not written"
            raise ValueError(msg)
        return self.constant(self.value(field["type"], field["default"]))

    def value(self, schema: Json, default: Json) -> Any:
        """Return a default as a reader would have read it; a union's default is of its first branch."""
        match schema:
            case [first, *_]:
                return self.value(first, default)
            case {"type": "enum"}:
                return schema["symbols"].index(default)
            case {"type": "array"}:
                return 0 if schema["items"]["type"] == "enum" else ()
            case {"type": "record"}:
                values = tuple(
                    self.value(field["type"], default.get(field["name"], field.get("default")))
                    for field in schema["fields"]
                )
                cls = self.types.get(schema["name"], tuple)
                return tuple.__new__(cls, values)
            case _:
                return default

    def read(self, writer: Json, reader: Json, to: str) -> list[str]:
        """Return the lines that read one value of `writer` into the variable `to`."""
        if isinstance(writer, list):
            return self.union(writer, reader, to)
        if isinstance(reader, list):
            reader = next((branch for branch in reader if branch["type"] == writer["type"]), {"type": "none of these"})
        if reader["type"] != writer["type"] and (writer["type"], reader["type"]) != ("int", "long"):
            msg = f"{writer['type']} was written where {reader['type']} is read"
            raise ValueError(msg)
        match writer["type"]:
            case "long":
                return [*_NUMBER, f"{to} = n >> 1 ^ -(n & 1)"]
            case "int":
                low, high = _INT_RANGE
                return [*_NUMBER, f"{to} = n >> 1 ^ -(n & 1)", f"if not {low} <= {to} <= {high}:", "    raise Undecodable"]
            case "string":
                return [*_SIZED, f"{to} = data[at:stop].decode()", "at = stop"]
            case "bytes":
                return [*_SIZED, f"{to} = data[at:stop]", "at = stop"]
            case "boolean":
                return [*_BYTE, "if n > 1:", "    raise Undecodable", f"{to} = n == 1"]
            case "enum":
                return self.enum(writer, reader, to)
            case "record":
                return [f"{to}, at = {self.record(writer, reader)}(data, at, end)"]
            case "array":
                return [f"{to}, at = {self.array(writer['items'], reader['items'])}(data, at, end)"]
            case other:
                msg = f"no plan for type {other}"
                raise ValueError(msg)

    def union(self, writer: Json, reader: Json, to: str) -> list[str]:
        if not isinstance(reader, list):
            msg = f"null may have been written where {reader['type']} is read"
            raise ValueError(msg)  # noqa: TRY004  the schemas are wrong, not the caller's types
        null = next(index for index, branch in enumerate(writer) if branch["type"] == "null")
        other = writer[1 - null]
        return [
            *_BYTE,
            f"if n == {2 * null}:",
            f"    {to} = None",
            f"elif n == {2 - 2 * null}:",
            *_indent(self.read(other, reader, to)),
            "else:",
            "    raise Undecodable",
        ]

    def enum(self, writer: Json, reader: Json, to: str) -> list[str]:
        known = {symbol: index for index, symbol in enumerate(reader["symbols"])}
        indexes = tuple(known.get(symbol, known["UNKNOWN"]) for symbol in writer["symbols"])
        same = indexes == tuple(range(len(indexes)))
        return [
            *_BYTE,
            f"if n & 1 or n > {2 * len(indexes) - 2}:",
            "    raise Undecodable",
            f"{to} = n >> 1" if same else f"{to} = {self.constant(indexes)}[n >> 1]",
        ]

    def array(self, writer: Json, reader: Json) -> str:
        is_set = writer["type"] == "enum"
        item = self.read(writer, reader, "item")
        function = f"read_array_{next(self.number)}"
        block = [
            *_NUMBER,
            "count = n >> 1 ^ -(n & 1)",
            "if count == 0:",
            f"    return {'items' if is_set else 'tuple(items)'}, at",
            "if count < 0:",
            "    count = -count",
            *_indent(_SIZED),
            "total += count",
            f"if total > {MAX_ITEMS}:",
            "    raise Undecodable",
            "for _ in range(count):",
            *_indent([*item, "items |= 1 << item" if is_set else "items.append(item)"]),
        ]
        start = ["items = 0" if is_set else "items = []", "total = 0", "while True:", *_indent(block)]
        self.lines += [f"def {function}(data, at, end):", *_indent(start)]
        return function


class _WritePlan(_Plan):
    def __init__(self) -> None:
        super().__init__({"long": write_long, "string": write_string, "bytes_": write_bytes, "join": b"".join})

    def record(self, schema: Json, prefix: bytes = b"") -> str:
        """Add the function of a record, `(tuple) -> bytes`, and return its name."""
        fields = schema["fields"]
        names = "".join(f"f{index}, " for index in range(len(fields)))
        parts = "".join(f"        {self.write(field['type'], f'f{index}')},\n" for index, field in enumerate(fields))
        start = f"        {prefix!r},\n" if prefix else ""
        function = f"write_{schema['name']}_{next(self.number)}"
        self.lines += [f"def {function}(value):", f"    {names}= value", f"    return join((\n{start}{parts}    ))"]
        return function

    def write(self, schema: Json, name: str) -> str:
        """Return the expression that encodes the variable `name`."""
        if isinstance(schema, list):
            null = next(index for index, branch in enumerate(schema) if branch["type"] == "null")
            some = bytes((2 - 2 * null,))
            return f"{bytes((2 * null,))!r} if {name} is None else {some!r} + {self.write(schema[1 - null], name)}"
        match schema["type"]:
            case "long" | "int":
                return f"long({name})"
            case "string":
                return f"string({name})"
            case "bytes":
                return f"bytes_({name})"
            case "boolean":
                return rf"(b'\x01' if {name} else b'\x00')"
            case "enum":
                return f"{self.constant(_symbols(schema))}[{name}]"
            case "record":
                return f"{self.record(schema)}({name})"
            case "array" if schema["items"]["type"] == "enum":
                return f"{self.constant(_bit_sets(schema['items']))}[{name}]"
            case "array":
                return f"{self.array(schema['items'])}({name})"
            case other:
                msg = f"no plan for type {other}"
                raise ValueError(msg)

    def array(self, items: Json) -> str:
        function = f"write_array_{next(self.number)}"
        self.lines += [
            f"def {function}(items):",
            "    if not items:",
            r"        return b'\x00'",
            f"    if len(items) > {MAX_ITEMS}:",
            f"        raise ValueError('more than {MAX_ITEMS} items')",
            rf"    return long(len(items)) + join(map({self.item(items)}, items)) + b'\x00'",
        ]
        return function

    def item(self, items: Json) -> str:
        if items["type"] == "record":
            return self.record(items)
        return {"string": "string", "bytes": "bytes_", "long": "long", "int": "long"}[items["type"]]


def _symbols(enum: Json) -> tuple[bytes, ...]:
    return tuple(bytes((2 * index,)) for index in range(len(enum["symbols"])))


def _bit_sets(enum: Json) -> tuple[bytes, ...]:
    """Return the encoding of every set of symbols, by its bits; lowest symbol first."""
    sets = []
    for bits in range(1 << len(enum["symbols"])):
        items = [index for index in range(len(enum["symbols"])) if bits >> index & 1]
        sets.append(bytes((2 * len(items), *(2 * index for index in items), 0)) if items else b"\x00")
    return tuple(sets)


def _indent(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


_BYTE = ["n = data[at]", "at += 1"]
_NUMBER = [*_BYTE, "if n > 127:", "    n, at = more(data, at, n)"]
_SIZED = [*_NUMBER, "stop = at + (n >> 1)", "if n & 1 or stop > end:", "    raise Undecodable"]
