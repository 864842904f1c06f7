"""Golden bytes: `golden/NAME.json` is a value of every schema, `golden/NAME.hex` its frame and what Apache
Avro writes of it.
"""

import io
import json
from pathlib import Path
from typing import Any

import avro.io
import avro.schema
import pytest

from streams.wire.frame import framed_readers, read_framed
from streams.wire.plan import in_full
from streams.wire.read_plan import compile_reader
from streams.wire.schemas import our_schemas
from streams.wire.write_plan import compile_writer
from tests.wire.avro_values import GOLDEN, NAMES, as_avro, fast_read, fast_write, parsed, raw_schema

IDS = our_schemas()
BYTES = ("entries", "salt")


def sample(name: str) -> Any:
    value = json.loads((GOLDEN / f"{name}.json").read_text())
    return {
        field: text.encode("latin-1") if field in BYTES and text is not None else text
        for field, text in value.items()
    }


def golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


def body(name: str) -> bytes:
    return golden(name)[5:]


def apache_schema(name: str) -> Any:
    return avro.schema.parse(json.dumps(raw_schema(name)))


@pytest.mark.parametrize("name", NAMES)
def test_apache_avro_writes_the_golden_bytes(name: str) -> None:
    out = io.BytesIO()
    avro.io.DatumWriter(apache_schema(name)).write(sample(name), avro.io.BinaryEncoder(out))
    assert out.getvalue() == body(name)


@pytest.mark.parametrize("name", NAMES)
def test_fastavro_reads_what_apache_avro_wrote(name: str) -> None:
    assert fast_read(parsed(name), body(name)) == (sample(name), len(body(name)))


@pytest.mark.parametrize("name", NAMES)
def test_fastavro_writes_what_apache_avro_reads(name: str) -> None:
    written = fast_write(parsed(name), sample(name))
    schema = apache_schema(name)
    assert avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(io.BytesIO(written))) == sample(name)


@pytest.mark.parametrize("name", NAMES)
def test_our_reader_reads_what_apache_avro_wrote(name: str) -> None:
    schema = IDS.current(name).avro
    value = compile_reader(schema, schema, {})(golden(name), 5)
    assert as_avro(value, in_full(raw_schema(name))) == sample(name)


@pytest.mark.parametrize("name", NAMES)
def test_our_writer_writes_the_golden_bytes(name: str) -> None:
    schema = IDS.current(name)
    value = compile_reader(schema.avro, schema.avro, {})(golden(name), 5)
    assert compile_writer(schema.avro, schema.frame)(value) == golden(name)


def test_every_schema_has_golden_bytes() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.hex")) == NAMES


@pytest.mark.parametrize("path", sorted((GOLDEN / "earlier").glob("*.hex")), ids=lambda path: path.stem)
def test_what_an_earlier_version_wrote_is_still_read(path: Path) -> None:
    name, _, number = path.stem.rpartition("-v")
    value = bytes.fromhex(path.read_text())
    writer = IDS.versions[name][int(number) - 1]
    assert value[:5] == writer.frame
    read: Any = read_framed(framed_readers(IDS, name, {}), value)
    now = compile_reader(IDS.current(name).avro, IDS.current(name).avro, {})(golden(name), 5)
    assert len(read) == len(now)


def test_every_earlier_version_has_golden_bytes() -> None:
    earlier = {f"{one.name}-v{one.version}" for known in IDS.versions.values() for one in known[:-1]}
    assert {path.stem for path in (GOLDEN / "earlier").glob("*.hex")} == earlier
