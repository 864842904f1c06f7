"""Writes the inventory of personal data into `docs/privacy.md`: `python -m tools.privacy_page`.

Made from the tags of `schemas/*.avsc` and the retention in `streams.wire.topics`, between two marks; the rest
of the page is written by hand.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streams.wire.topics import TOPICS, Topic
from tools.topics_page import kept

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "privacy.md"
SCHEMAS = ROOT / "schemas"
BEGIN, END = "<!-- inventory: python -m tools.privacy_page -->\n", "<!-- to here -->"
HEAD = "\n| topic | for whom | kept | pseudonyms | personal | financial |\n|---|---|---|---|---|---|\n"
CLASSES = ("pseudonym", "personal", "financial")


def page() -> str:
    """Return the whole page with the inventory of now."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + HEAD + "".join(map(_row, TOPICS)) + "\n" + END + rest.partition(END)[2]


def _row(topic: Topic) -> str:
    found: dict[str, list[str]] = {one: [] for one in CLASSES}
    for schema in topic.schemas:
        for name, tag in _tagged(json.loads((SCHEMAS / f"{schema}.avsc").read_text())):
            if name not in found[tag]:
                found[tag].append(name)
    if not topic.schemas:
        found["pseudonym"].append("the key")
    cells = (", ".join(f"`{name}`" if name != "the key" else name for name in found[one]) for one in CLASSES)
    whom = "the notifier alone" if topic.is_internal else _READERS.get(topic.name, "")
    return f"| `{topic.name}` | {whom} | {kept(topic)} | {' | '.join(cells)} |\n"


_READERS = {
    "bank.transactions": "the notifier",
    "bank.balances": "the notifier",
    "bank.security": "the notifier",
    "shipping.events": "the notifier",
    "consent.requests": "the notifier",
    "consent.results": "whoever asked",
    "consent.evidence": "privacy officer",
    "link.requests": "the notifier",
    "link.results": "whoever asked",
    "messenger-delivery": "the messenger sender",
    "notifier.decisions": "operators, verifier",
    "notifier.dead-letters": "operators; values only with their key",
}


def _tagged(avro: Any) -> Iterator[tuple[str, str]]:
    """Yield the fields of a schema, and of the records in it, that are tagged as data about a person."""
    match avro:
        case list():
            for branch in avro:
                yield from _tagged(branch)
        case {"type": "record", "fields": fields}:
            for field in fields:
                if "pii" in field:
                    yield field["name"], field["pii"]
                yield from _tagged(field["type"])
        case {"type": "array", "items": items}:
            yield from _tagged(items)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
