"""Values as other Avro libraries see them (dictionaries, symbols, raw longs), made without our plans."""

import io
import json
from pathlib import Path
from typing import Any

import fastavro

ROOT = Path(__file__).parent.parent.parent
GOLDEN = Path(__file__).parent / "golden"
SCHEMAS = ROOT / "schemas"
NAMES = sorted(path.stem for path in SCHEMAS.glob("*.avsc"))


def raw_schema(name: str) -> Any:
    """Return a schema without logical types, so that times stay longs in every library."""
    return _without_logical_types(json.loads((SCHEMAS / f"{name}.avsc").read_text()))


def parsed(name: str) -> Any:
    return fastavro.parse_schema(raw_schema(name), named_schemas={})


def fast_read(schema: Any, body: bytes) -> tuple[Any, int]:
    """Read with fastavro; return the value and how many bytes it took."""
    stream = io.BytesIO(body)
    value = fastavro.schemaless_reader(stream, schema, None)
    return value, stream.tell()


def fast_write(schema: Any, value: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, schema, value)
    return stream.getvalue()


def as_avro(value: Any, schema: Any) -> Any:
    """Return one of our tuples as the dictionary that Avro libraries take.

    `schema` has every type written out.
    """
    return _as_avro(value, schema, {})


def _as_avro(value: Any, schema: Any, named: dict[str, Any]) -> Any:
    schema = named.get(schema, schema) if isinstance(schema, str) else schema
    match schema:
        case list():
            inner = _as_avro(value, schema[1], named)
            return None if value is None else inner
        case {"type": "record"}:
            named[schema["name"]] = schema
            values = value if value is not None else [None] * len(schema["fields"])
            return {
                field["name"]: _as_avro(item, field["type"], named)
                for item, field in zip(values, schema["fields"], strict=False)
            }
        case {"type": "enum"}:
            named[schema["name"]] = schema
            return None if value is None else schema["symbols"][value]
        case {"type": "array"}:
            items = schema["items"]
            if isinstance(items, dict) and items["type"] == "enum":
                return [symbol for index, symbol in enumerate(items["symbols"]) if (value or 0) >> index & 1]
            _as_avro(None, items, named)
            return [_as_avro(item, items, named) for item in value or ()]
        case {"type": inner}:
            return _as_avro(value, inner, named)
        case _:
            return value


def _without_logical_types(schema: Any) -> Any:
    match schema:
        case dict():
            return {
                key: _without_logical_types(value) for key, value in schema.items() if key != "logicalType"
            }
        case list():
            return [_without_logical_types(item) for item in schema]
        case _:
            return schema
