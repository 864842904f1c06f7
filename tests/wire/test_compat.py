"""Our compatibility check against Apache Avro's."""

import json
from typing import Any

import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from streams.wire.compat import unreadable

ENUM = {"type": "enum", "name": "E", "symbols": ["UNKNOWN", "A"], "default": "UNKNOWN"}
INNER = {"type": "record", "name": "I", "fields": [{"name": "x", "type": "long"}]}
TYPES: dict[str, Any] = {
    "string": "string",
    "bytes": "bytes",
    "int": "int",
    "long": "long",
    "maybe-bytes": ["null", "bytes"],
    "maybe-int": ["null", "int"],
    "maybe-string": ["null", "string"],
    "maybe-long": ["null", "long"],
    "enum": ENUM,
    "wider-enum": {**ENUM, "symbols": ["UNKNOWN", "A", "B"]},
    "strict-enum": {key: value for key, value in ENUM.items() if key != "default"},
    "other-enum": {**ENUM, "name": "F"},
    "longs": {"type": "array", "items": "long"},
    "strings": {"type": "array", "items": "string"},
    "record": INNER,
    "record-with-more": {**INNER, "fields": [*INNER["fields"], {"name": "y", "type": "long", "default": 0}]},
    "record-needing-more": {**INNER, "fields": [*INNER["fields"], {"name": "y", "type": "long"}]},
    "other-record": {**INNER, "name": "J"},
    "maybe-record": ["null", INNER],
}


def record(of: Any) -> Any:
    return {"type": "record", "name": "R", "fields": [{"name": "f", "type": of}]}


@pytest.mark.parametrize("reader", TYPES)
@pytest.mark.parametrize("writer", TYPES)
def test_it_says_what_apache_avro_says(writer: str, reader: str) -> None:
    ours, theirs = record(TYPES[writer]), record(TYPES[reader])
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]  # avro's, half typed
    verdict = checker.get_compatibility(
        reader=avro.schema.parse(json.dumps(theirs)), writer=avro.schema.parse(json.dumps(ours))
    )
    is_compatible = verdict.compatibility is SchemaCompatibilityType.compatible
    assert (unreadable(ours, theirs) == []) == is_compatible
