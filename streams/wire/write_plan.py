"""Writers made from the schemas: they take the tuples that `read_plan.py` gives, and make the bytes that any
Avro library makes.

Imports `plan`, `varint`. Read next: `frame.py`. Source: Avro 1.12 specification, "Binary encoding".
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from streams.wire.plan import MAX_ITEMS, Json, Source, in_full, null_index
from streams.wire.varint import LAST, MORE, write_bytes, write_int, write_long, write_string

Writer = Callable[[tuple[Any, ...]], bytes]
"""A tuple in the schema's order -> bytes.

Raises ValueError, IndexError, TypeError or AttributeError for what the schema cannot hold.
"""

_SHORT = len(LAST) // 2
_SIZES = LAST[::2]


class _Parts(NamedTuple):
    """Steps that come first, and the expressions that are joined into the value."""

    steps: list[str]
    expressions: list[str]


Runs = Mapping[str, Sequence[tuple[str, str]]]
"""By record: runs of fields, first and last name, that stay the same from value to value.

What a run was written as is kept and used again: a person's name and channel are encoded once, not with every
notification.
"""

RUNS_KEPT = 65_536
"""Per run; a value that comes back after so many others is written anew."""


def compile_writer(schema: Json, prefix: bytes = b"", runs: Runs | None = None) -> Writer:
    """Return the writer of a schema's tuples; `prefix` (the frame, or nothing) begins every value."""
    plan = _WritePlan(runs or {})
    result: Writer = plan.compiled(plan.record(in_full(schema), prefix))
    return result


class _WritePlan(Source):
    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        tables = {
            "LAST": LAST,
            "MORE": MORE,
            "SIZES": _SIZES,
            "SOME_SIZES": tuple(b"\x02" + size for size in _SIZES),
        }
        steps = {
            "long": write_long,
            "int": write_int,
            "string": write_string,
            "bytes_": write_bytes,
            "join": b"".join,
            "kept": lru_cache(RUNS_KEPT),
        }
        super().__init__({**tables, **steps})

    def record(self, schema: Json, prefix: bytes = b"") -> str:
        """Add the function of a record, `(tuple) -> bytes`, and return its name."""
        fields = schema["fields"]
        places = {field["name"]: index for index, field in enumerate(fields)}
        ends = {places[first]: places[last] + 1 for first, last in self._runs.get(schema["name"], ())}
        steps: list[str] = []
        expressions = [repr(prefix)] if prefix else []
        index = 0
        while index < len(fields):
            end = ends.get(index)
            if end is None:
                parts = self.field(fields[index]["type"], f"f{index}")
                steps += parts.steps
                expressions += parts.expressions
                index += 1
            else:
                expressions.append(f"{self.run(fields[index:end])}(value[{index}:{end}])")
                index = end
        return self.function(f"write_{schema['name']}", len(fields), steps, expressions)

    def run(self, fields: list[Json]) -> str:
        """Add the function of a run of fields, which keeps what it wrote, and return its name."""
        parts = [self.field(field["type"], f"f{index}") for index, field in enumerate(fields)]
        steps = [step for part in parts for step in part.steps]
        expressions = [expression for part in parts for expression in part.expressions]
        function = self.function("write_run", len(fields), steps, expressions)
        self.lines.append(f"{function} = kept({function})")
        return function

    def function(self, kind: str, fields: int, steps: list[str], expressions: list[str]) -> str:
        """Add a function, `(tuple of so many) -> bytes`, and return its name."""
        name = self.name(kind)
        names = "".join(f"f{index}, " for index in range(fields))
        body = [f"{names}= value", *steps, f"return join(({', '.join(expressions)},))"]
        self.lines += [f"def {name}(value):", *("    " + line for line in body)]
        return name

    def field(self, schema: Json, name: str) -> _Parts:
        """Return how the variable `name` is written; the frequent types without a call."""
        match schema:
            case {"type": "string"}:
                return _Parts(
                    [f"e{name} = {name}.encode()", f"n{name} = len(e{name})"],
                    [f"SIZES[n{name}] if n{name} < {_SHORT} else long(n{name})", f"e{name}"],
                )
            case [{"type": "null"}, {"type": "string"}]:
                some = f"SOME_SIZES[n{name}] if n{name} < {_SHORT} else b'\\x02' + long(n{name})"
                return _Parts(
                    [
                        f"if {name} is None:",
                        f"    s{name}, e{name} = b'\\x00', b''",
                        "else:",
                        f"    e{name} = {name}.encode()",
                        f"    n{name} = len(e{name})",
                        f"    s{name} = {some}",
                    ],
                    [f"s{name}", f"e{name}"],
                )
            case {"type": "long", "logicalType": "timestamp-millis"}:
                # five or six bytes, from 1970-01-02 to 2039-09-07
                six = "MORE[z & 16383] + MORE[z >> 14 & 16383] + LAST[z >> 28]"
                is_six = f"268435456 <= (z := {name} << 1) < 4398046511104"
                return _Parts([], [f"{six} if {is_six} else long({name})"])
            case _:
                return _Parts([], [self.expression(schema, name)])

    def expression(self, schema: Json, name: str) -> str:
        """Return the expression that encodes the variable `name`."""
        if isinstance(schema, list):
            null = null_index(schema)
            none, some = bytes((2 * null,)), bytes((2 - 2 * null,))
            inner = self.expression(schema[1 - null], name)
            return f"{none!r} if {name} is None else {some!r} + {inner}"
        match schema["type"]:
            case "long" | "int" as kind:
                return f"(LAST[z] if (z := {name} << 1 ^ {name} >> 63) < {len(LAST)} else {kind}({name}))"
            case "string":
                return f"string({name})"
            case "bytes":
                return f"bytes_({name})"
            case "boolean":
                return f"(b'\\x01' if {name} else b'\\x00')"
            case "enum":
                return f"{self.constant(_symbols(schema))}[{name}]"
            case "record":
                return f"{self.record(schema)}({name})"
            case "array" if schema["items"]["type"] == "enum":
                return f"{self.constant(_sets(schema['items']))}[{name}]"
            case "array":
                return f"{self.array(schema['items'])}({name})"
            case other:
                msg = f"no plan for type {other}"
                raise ValueError(msg)

    def array(self, items: Json) -> str:
        """Add the function of an array, `(tuple) -> bytes`, and return its name."""
        item = self.name("item")
        one = (
            self.record(items)
            if items["type"] == "record"
            else f"lambda {item}: {self.expression(items, item)}"
        )
        function = self.name("write_array")
        self.lines += [
            f"{item}_writer = {one}",
            f"def {function}(items):",
            "    if not items:",
            "        return b'\\x00'",
            f"    if len(items) > {MAX_ITEMS}:",
            f"        raise ValueError('more than {MAX_ITEMS} items')",
            f"    return long(len(items)) + join(map({item}_writer, items)) + b'\\x00'",
        ]
        return function


def _symbols(enum: Json) -> tuple[bytes, ...]:
    """Return the encoding of every symbol: one byte, because the lint keeps enums at 64 symbols."""
    return tuple(bytes((2 * index,)) for index in range(len(enum["symbols"])))


def _sets(enum: Json) -> tuple[bytes, ...]:
    """Return the encoding of every set of symbols, by its bits, as an array in the order of the symbols."""
    sets = []
    for bits in range(1 << len(enum["symbols"])):
        items = [2 * index for index in range(len(enum["symbols"])) if bits >> index & 1]
        sets.append(bytes((2 * len(items), *items, 0)) if items else b"\x00")
    return tuple(sets)
