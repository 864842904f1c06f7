"""The schema lint: each schema, its history and the ids; `notifier schema check` and `make check` run it.

Imports `schema_rules` and `compat`. Read next: `schemas.py`.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from streams.wire.compat import unreadable
from streams.wire.plan import Json
from streams.wire.schema_rules import RULES


class Finding(NamedTuple):
    """One broken rule: the schema's name, where in it, the rule, and what to do about it."""

    schema: str
    path: str
    rule: str
    message: str


def lint_schema(name: str, avro: Json) -> list[Finding]:
    """Check one schema by itself. Never raises for a schema that is Avro."""
    return [
        Finding(name, path, rule, message)
        for rule, check in RULES.items()
        for path, message in check(name, avro)
    ]


def lint_all(folder: Path) -> list[Finding]:
    """Check a folder: each schema, its history and the ids.

    Raises OSError or ValueError for files that are missing or not JSON.
    """
    findings: list[Finding] = []
    names: list[str] = []
    earlier: list[str] = []
    for path in sorted(folder.glob("*.avsc")):
        avro = json.loads(path.read_text())
        versions = _history(folder, path.stem)
        # resolution is defined for sound schemas only
        findings += lint_schema(path.stem, avro) or _lint_history(path.stem, avro, versions)
        names.append(path.stem)
        earlier += (f"{path.stem}/v{number}" for number in range(1, len(versions)))
    current, history = (
        json.loads(path.read_text()) for path in (folder / "ids.json", folder / "history" / "ids.json")
    )
    findings += _lint_ids(current, names, "ids.json names every schema, and no more")
    findings += _lint_ids(history, earlier, "history/ids.json names every earlier version, and no more")
    findings += _lint_numbers([*current.values(), *history.values()])
    return findings


def _history(folder: Path, name: str) -> list[Json]:
    """Return all versions; none when their numbers have a gap."""
    there = {path.name: path for path in (folder / "history" / name).glob("*")}
    wanted = [f"v{number}.avsc" for number in range(1, len(there) + 1)]
    return [json.loads(there[file].read_text()) for file in wanted] if there.keys() == set(wanted) else []


def _lint_history(name: str, avro: Json, versions: list[Json]) -> list[Finding]:
    findings = []
    if not versions or versions[-1] != avro:
        findings.append(
            Finding(
                name,
                "",
                "history",
                "its last version in history/, numbered without a gap, is the schema itself",
            )
        )
    for number, version in enumerate(versions, 1):
        directions = (
            (version, avro, f"the current cannot read v{number}"),
            (avro, version, f"v{number} cannot read the current"),
        )
        for writer, reader, text in directions:
            for fault in unreadable(writer, reader):
                path, _, message = fault.partition(": ")
                findings.append(Finding(name, path.strip("."), "compatible", f"{text}: {message}"))
    return findings


def _lint_ids(ids: dict[str, int], keys: list[str], message: str) -> Iterator[Finding]:
    for key in sorted(set(keys) ^ set(ids)):
        yield Finding(key, "", "ids", message)


def _lint_numbers(numbers: list[int]) -> Iterator[Finding]:
    for number, times in Counter(numbers).items():
        if times > 1 or not 0 < number < 2**31:
            yield Finding("ids", str(number), "ids", "an id is positive, 32 bits, and used once")
