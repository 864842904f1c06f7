"""Whether one version of a schema can read what another wrote.

Avro's schema resolution, as far as our types go. Imports `plan`. Read next: `schema_rules.py`.
Source: Avro 1.12 specification, "Schema resolution".
"""

from collections.abc import Iterator

from streams.wire.plan import Json, in_full, is_read_as


def unreadable(writer: Json, reader: Json) -> list[str]:
    """Return why `reader` cannot read what `writer` wrote, one line a fault; an empty list if it can.

    Never raises for linted schemas.
    """
    return list(_faults(in_full(writer), in_full(reader), ""))


def _faults(writer: Json, reader: Json, path: str) -> Iterator[str]:
    if isinstance(writer, list):
        for branch in writer:
            yield from _faults(branch, reader, path)
    elif isinstance(reader, list):
        faults = [list(_faults(writer, branch, path)) for branch in reader if is_read_as(writer, branch)]
        if not faults:
            yield f"{path}: {writer['type']} may have been written, and no branch reads it"
        elif all(faults):
            yield from faults[0]
    elif not is_read_as(writer, reader):
        yield f"{path}: {writer['type']} was written where {reader['type']} is read"
    elif writer["type"] == "array":
        yield from _faults(writer["items"], reader["items"], f"{path}[]")
    elif writer.get("name") != reader.get("name"):
        yield f"{path}: {writer['name']} was written where {reader['name']} is read"
    elif writer["type"] == "enum":
        lost = set(writer["symbols"]) - set(reader["symbols"])
        if lost and "default" not in reader:
            yield f"{path}: no symbol for {', '.join(sorted(lost))}, and no default"
    elif writer["type"] == "record":
        yield from _record_faults(writer, reader, path)


def _record_faults(writer: Json, reader: Json, path: str) -> Iterator[str]:
    written = {field["name"]: field["type"] for field in writer["fields"]}
    for field in reader["fields"]:
        inner = f"{path}.{field['name']}"
        if field["name"] in written:
            yield from _faults(written[field["name"]], field["type"], inner)
        elif "default" not in field:
            yield f"{inner}: was not written, and has no default"
