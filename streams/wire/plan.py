"""What the generated readers and writers share: the source being generated, and the schemas with every name
in full.

Functions are generated once at import, one straight line of steps per record: a general decoder asks again
for every value what kind of field comes next. Imports nothing of ours. Read next: `read_plan.py`,
`write_plan.py`.
"""

from collections.abc import Mapping
from itertools import count
from typing import Any

MAX_ITEMS = 100_000
"""Most items of one array; a count in foreign bytes costs nothing to write and everything to believe."""

ONE_BYTE_SYMBOLS = 64
"""So many symbols have indexes of one byte. Our enums have no more (`schema_rules.py`), another's may."""

PROMOTIONS = frozenset({("int", "long"), ("string", "bytes"), ("bytes", "string")})
"""Types that differ and still read: (written, read). Numbers with fractions have no place in our schemas.

Source: Avro 1.12 specification, "Schema resolution".
"""

Json = Any
Types = Mapping[str, type]


class Source:
    """Generated source with the constants that it names."""

    def __init__(self, constants: dict[str, Any]) -> None:
        self.constants = constants
        self.lines: list[str] = []
        self.number = count()

    def name(self, kind: str) -> str:
        """Return a name that is not used yet."""
        return f"{kind}_{next(self.number)}"

    def constant(self, value: Any) -> str:
        """Return the name under which generated code finds a value."""
        name = self.name("constant")
        self.constants[name] = value
        return name

    def compiled(self, function: str) -> Any:
        """Compile all lines and return one of their functions."""
        exec("\n".join(self.lines), self.constants)  # noqa: S102  the source is made from our own schemas, never from data
        return self.constants[function]


def in_full(schema: Json, seen: dict[str, Json] | None = None) -> Json:
    """Put in the place of a name the type that it names, so that plans meet whole types only.

    Recursion is not ours: `lint.py`.
    """
    seen = {} if seen is None else seen
    match schema:
        case str():
            return seen.get(schema, {"type": schema})
        case list():
            return [in_full(branch, seen) for branch in schema]
        case {"type": "record"}:
            fields = [{**field, "type": in_full(field["type"], seen)} for field in schema["fields"]]
            seen[schema["name"]] = {**schema, "fields": fields}
            return seen[schema["name"]]
        case {"type": "enum"}:
            seen[schema["name"]] = schema
            return schema
        case {"type": dict() | list()}:
            return in_full(schema["type"], seen)
        case {"type": "array"}:
            return {"type": "array", "items": in_full(schema["items"], seen)}
        case _:
            return schema


def item_schema(record: Json, field: str) -> Json:
    """Return the schema of the items of a record's array. Raises StopIteration where it has no such field."""
    return next(item["type"]["items"] for item in in_full(record)["fields"] if item["name"] == field)


def null_index(union: Json) -> int:
    """Return where null stands in a union of null and one other type. Raises ValueError if it does not."""
    return [branch["type"] for branch in union].index("null")


def is_read_as(writer: Json, reader: Json) -> bool:
    """Tell whether what the one type wrote is read as the other, names and contents aside."""
    return writer["type"] == reader["type"] or (writer["type"], reader["type"]) in PROMOTIONS


def indent(lines: list[str]) -> list[str]:
    """Return the lines one step further in."""
    return ["    " + line for line in lines]
