"""Writes `docs/schemas.md` from `schemas/*.avsc`: `python -m tools.schemas_page`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streams.wire.topics import TOPICS

ROOT = Path(__file__).parents[1]
SCHEMAS = ROOT / "schemas"
PAGE = ROOT / "docs" / "schemas.md"
HEAD = """# Schemas

Made by `python -m tools.schemas_page` from `schemas/`; change it there. `notifier schema show NAME` prints
one as Avro JSON, `notifier schema check` says which rule one breaks. Namespace `notifier.v1`. Every version
stays under `schemas/history/`, and each must be able to read every other. Ids without a registry are those of
`schemas/ids.json`.

Money is in minor units (cents) with an ISO 4217 currency; times are UTC milliseconds. A field with a default
may be left out. Tags: `pii` says what a field tells about a person; on output fields `purposes` names the
consent purposes of which one must be granted, `min_detail` the least detail level that shows it, and
`retention` how long it may be kept.
"""
ENUMS = """
## Enums

A symbol that a reader does not know becomes `UNKNOWN`; as a purpose or a direction it allows nothing.

| enum | symbols | meaning |
|---|---|---|
"""
_TAGS = ("pii", "purposes", "min_detail", "retention")
Avro = dict[str, Any]


def page() -> str:
    """Return the whole page."""
    ids: dict[str, int] = json.loads((SCHEMAS / "ids.json").read_text())
    names = [path.stem for path in sorted(SCHEMAS.glob("*.avsc"))]
    files: dict[str, Avro] = {name: json.loads((SCHEMAS / f"{name}.avsc").read_text()) for name in names}
    shown = {str(avro["name"]) for avro in files.values()}
    enums: dict[str, Avro] = {}
    sections = [_file_section(name, avro, ids, shown, enums) for name, avro in files.items()]
    return HEAD + "".join(sections) + ENUMS + "".join(_enum_row(enums[name]) for name in sorted(enums))


def _file_section(name: str, avro: Avro, ids: dict[str, int], shown: set[str], enums: dict[str, Avro]) -> str:
    versions = len(list((SCHEMAS / "history" / name).glob("v*.avsc")))
    topics = [f"`{topic.name}`" for topic in TOPICS if name in topic.schemas]
    where = f"on {', '.join(topics)}" if topics else "part of other records"
    text = f"\n## {name}\n\n`{avro['name']}`, version {versions}, id {ids[name]}, {where}. {avro['doc']}\n"
    text += _table(avro)
    for named in _named([field["type"] for field in avro["fields"]]):
        if named["type"] == "enum":
            enums[named["name"]] = named
        elif named["name"] not in shown:
            shown.add(named["name"])
            text += f"\n### {named['name']}\n\n{named['doc']}\n" + _table(named)
    return text


def _table(record: Avro) -> str:
    rows = "".join(_row(field) for field in record["fields"])
    return f"\n| field | type | default | meaning | tags |\n|---|---|---|---|---|\n{rows}"


def _row(field: Avro) -> str:
    return (
        f"| `{field['name']}` | {_type(field['type'])} | {_default(field)} | {field['doc']} "
        f"| {_tags(field)} |\n"
    )


def _named(avro: Any) -> Iterator[Avro]:
    """Yield the records and enums defined in a type (or a list of types), outer ones first."""
    if isinstance(avro, list):
        for one in avro:
            yield from _named(one)
    elif isinstance(avro, dict):
        if avro["type"] in ("record", "enum"):
            yield avro
        yield from _named([field["type"] for field in avro.get("fields", ())])
        yield from _named(avro.get("items"))


def _type(avro: Any) -> str:
    if isinstance(avro, list):
        return " or ".join(map(_type, avro))
    if isinstance(avro, str):
        return avro.rpartition(".")[2]
    if avro["type"] == "array":
        return f"array of {_type(avro['items'])}"
    if "logicalType" in avro:
        return f"{avro['type']} ({avro['logicalType']})"
    return str(avro.get("name", avro["type"]))


def _default(field: Avro) -> str:
    return f"`{json.dumps(field['default'])}`" if "default" in field else ""


def _tags(field: Avro) -> str:
    parts = []
    for tag in _TAGS:
        if tag in field:
            value = field[tag]
            parts.append(f"{tag}: {', '.join(value) if isinstance(value, list) else value}")
    return "; ".join(parts)


def _enum_row(enum: Avro) -> str:
    symbols = ", ".join(f"`{symbol}`" for symbol in enum["symbols"])
    return f"| {enum['name']} | {symbols} | {enum['doc']} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
