"""Which schema a value was written with: the Confluent frame in front of it, or the header
`__value_schema_id`.

The frame is `0x00` and the schema's id in four bytes. The header holds the same five bytes, or `0x01` and the
schema's GUID; the value then has no frame. Imports the plans and `schemas`. Read next: `codec.py`.
"""

from collections.abc import Mapping
from typing import Any

from streams.core.codes import Reason
from streams.wire.plan import Types
from streams.wire.read_plan import Reader, compile_reader
from streams.wire.schemas import Schemas
from streams.wire.varint import UndecodableError
from streams.wire.write_plan import Runs, Writer, compile_writer

SCHEMA_ID_HEADER = "__value_schema_id"
FRAME_BYTES = 5
_BY_ID = 0x00
_BY_GUID = 0x01
_HEADER_BYTES = {_BY_ID: 5, _BY_GUID: 17}

Readers = Mapping[bytes, Reader]
"""Reader of every version of one schema, by its five bytes and by `0x01` and its GUID."""


def framed_readers(schemas: Schemas, name: str, types: Types) -> Readers:
    """Return the readers of every version of a schema, as the current one.

    Raises ValueError if versions do not resolve.
    """
    current = schemas.current(name)
    readers = {}
    for version in schemas.versions[name]:
        reader = compile_reader(version.avro, current.avro, types)
        readers[version.frame] = reader
        readers[bytes((_BY_GUID,)) + version.guid] = reader
    return readers


def framed_writer(schemas: Schemas, name: str, runs: Runs | None = None) -> Writer:
    """Return the writer of the current version of a schema, frame included; `runs`: see `write_plan.Runs`."""
    current = schemas.current(name)
    return compile_writer(current.avro, current.frame, runs)


def read_framed(readers: Readers, value: bytes, schema_header: bytes | None = None) -> Any | Reason:
    """Read a whole value; `schema_header` is the header's value when the record has it.

    Returns UNKNOWN_SCHEMA for an id or GUID that is not one of `readers`, UNDECODABLE for anything else that
    cannot be read. Never raises.
    """
    if schema_header is None:
        named, at = value[:FRAME_BYTES], FRAME_BYTES
    else:
        named, at = schema_header, 0
    reader = readers.get(named)
    if reader is None:
        is_name = named and len(named) == _HEADER_BYTES.get(named[0])
        return Reason.UNKNOWN_SCHEMA if is_name else Reason.UNDECODABLE
    try:
        return reader(value, at)
    except (IndexError, ValueError):
        return Reason.UNDECODABLE


def read_own(readers: Readers, value: bytes) -> Any:
    """Read a value of a topic that only the notifier writes.

    Raises UndecodableError: there, a broken value is a fault of the world.
    """
    result = read_framed(readers, value)
    if isinstance(result, Reason):
        msg = f"a value of our own cannot be read ({result.name}, {len(value)} bytes)"
        raise UndecodableError(msg)
    return result
