"""Schemas as values: ids, GUIDs, versions; and a second version, read through the whole of `frame.py`."""

import json
import shutil
from pathlib import Path

import fastavro
import pytest

from streams.core.codes import Reason
from streams.wire.frame import framed_readers, framed_writer, read_framed
from streams.wire.schemas import guid_of, load_schemas, our_schemas
from tests.wire.avro_values import NAMES, SCHEMAS, fast_write

EARLIER = json.loads((SCHEMAS / "history" / "ids.json").read_text())


def test_every_schema_has_an_id_and_a_guid_of_its_own() -> None:
    schemas = [our_schemas().current(name) for name in NAMES]
    assert [schema.id for schema in schemas] == [
        json.loads((SCHEMAS / "ids.json").read_text())[schema.name] for schema in schemas
    ]
    assert len({schema.guid for schema in schemas}) == len(schemas)
    assert {len(schema.guid) for schema in schemas} == {16}
    assert our_schemas().current("notification").frame == b"\x00\x00\x00\x00\x09"


def test_a_guid_is_of_the_encoding_not_of_the_words() -> None:
    avro = our_schemas().current("recall").avro
    assert guid_of({**avro, "doc": "Other words."}) == guid_of(avro)
    assert guid_of({**avro, "fields": avro["fields"][:-1]}) != guid_of(avro)


def test_the_guid_of_a_schema_is_fixed() -> None:
    assert our_schemas().current("subject_state").guid.hex() == "8a334b55b944be9069bbaac47f13b4a9"


@pytest.fixture
def two_versions(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(SCHEMAS, tmp_path / "schemas"))
    avro = json.loads((folder / "recall.avsc").read_text())
    avro["fields"].append({"name": "note", "type": ["null", "string"], "default": None})
    avro["fields"][2]["type"]["symbols"].append("OBSOLETE")
    for path in (folder / "recall.avsc", folder / "history" / "recall" / "v2.avsc"):
        path.write_text(json.dumps(avro))
    ids = json.loads((folder / "ids.json").read_text())
    (folder / "ids.json").write_text(json.dumps({**ids, "recall": 99}))
    (folder / "history" / "ids.json").write_text(json.dumps({"recall/v1": 10, **EARLIER}))
    return folder


def test_a_value_is_read_as_the_current_version_whichever_wrote_it(two_versions: Path) -> None:
    schemas = load_schemas(two_versions)
    old, new = schemas.versions["recall"]
    assert (old.version, old.id, new.version, new.id) == (1, 10, 2, 99)
    readers = framed_readers(schemas, "recall", {})
    value = {"notification_id": "n", "recipient": "u", "reason": "ERASED", "decided_at": 5}
    body = fast_write(fastavro.parse_schema(old.avro, named_schemas={}), value)
    for data, header in ((old.frame + body, None), (body, old.frame), (body, b"\x01" + old.guid)):
        assert read_framed(readers, data, header) == ("n", "u", 4, 5, None)
    written = framed_writer(schemas, "recall")(("n", "u", 5, 6, "why"))
    assert written[:5] == new.frame
    assert read_framed(readers, written) == ("n", "u", 5, 6, "why")


def test_a_reader_of_today_does_not_know_the_version_of_tomorrow(two_versions: Path) -> None:
    written = framed_writer(load_schemas(two_versions), "recall")(("n", "u", 5, 6, None))
    assert read_framed(framed_readers(our_schemas(), "recall", {}), written) is Reason.UNKNOWN_SCHEMA
