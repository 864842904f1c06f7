"""The schemas as values: every version of every name with its id and GUID.

They are stated once, in `schemas/` of the source tree; an installed wheel carries them as `streams/_schemas`.
Imports `lint` and fastavro (for the parsing canonical form only). Read next: `plan.py`, which makes readers
and writers of them.
"""

import json
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from fastavro.schema import parse_schema, to_parsing_canonical_form

from streams.wire.lint import Finding, lint_all

Json = Any


class Schema(NamedTuple):
    """One version of one schema; `guid` names it in a header when there is no number that both sides know."""

    name: str
    version: int
    id: int
    guid: bytes
    avro: Json

    @property
    def frame(self) -> bytes:
        """The five bytes that begin a value of this schema: zero and the id, big-endian.

        Source: Confluent wire format.
        """
        return b"\x00" + self.id.to_bytes(4, "big")


class Schemas(NamedTuple):
    """Every version of every schema, by name; versions rise, the current one is last."""

    versions: Mapping[str, tuple[Schema, ...]]

    def current(self, name: str) -> Schema:
        """Return the version that we write and read as. Raises KeyError for a name that is not ours."""
        return self.versions[name][-1]


def schema_folder() -> Path:
    """Return the folder of the schemas. Never raises; a broken installation shows when it is read."""
    package = Path(__file__).parent.parent
    packed = package / "_schemas"
    return packed if packed.is_dir() else package.parent / "schemas"


def guid_of(avro: Json) -> bytes:
    """Return the first 16 bytes of SHA-256 over the parsing canonical form: equal encodings have equal
    GUIDs.
    """
    # parse_schema marks what it has seen, so it gets a copy
    parsed = parse_schema(json.loads(json.dumps(avro)), named_schemas={})
    return sha256(to_parsing_canonical_form(parsed).encode()).digest()[:16]


def schema_ids(folder: Path) -> dict[str, int]:
    """Return every id: of the current versions by name, of earlier ones by `name/vN`.

    Raises OSError or ValueError for files that are missing or not JSON.
    """
    files = (folder / "ids.json", folder / "history" / "ids.json")
    return {name: number for path in files for name, number in json.loads(path.read_text()).items()}


def load_schemas(folder: Path) -> Schemas:
    """Read a folder of schemas.

    Raises OSError, ValueError or KeyError for a folder that `notifier schema check` refuses.
    """
    ids = schema_ids(folder)
    versions = {}
    for path in sorted(folder.glob("*.avsc")):
        name = path.stem
        count = len(list((folder / "history" / name).glob("v*.avsc")))
        versions[name] = tuple(
            _schema(
                name,
                number,
                ids[name if number == count else f"{name}/v{number}"],
                folder / "history" / name / f"v{number}.avsc",
            )
            for number in range(1, count + 1)
        )
    return Schemas(versions)


@cache
def our_schemas() -> Schemas:
    """Return the schemas of this installation, read once."""
    return load_schemas(schema_folder())


def schema_lint() -> list[Finding]:
    """Check this installation's schemas; an empty list is a pass. Rules: `lint.py`."""
    return lint_all(schema_folder())


def _schema(name: str, version: int, number: int, path: Path) -> Schema:
    avro = json.loads(path.read_text())
    return Schema(name, version, number, guid_of(avro), avro)
