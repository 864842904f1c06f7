"""What every schema keeps by itself.

Some rules keep people safe (tags of personal data, purposes of what is shown), some keep readers safe (no
recursion, no items of zero bytes). Each has a schema in `tests/wire/bad-schemas` that breaks it.
Imports the codes and `plan`. Read next: `lint.py`.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from streams.core.codes import DetailLevel, Purpose
from streams.wire.plan import ONE_BYTE_SYMBOLS, Json

NAMESPACE = "notifier.v1"
PII = frozenset({"pseudonym", "personal", "financial"})
PERSONAL = frozenset(
    [
        "category",
        "channel_ref",
        "consent_id",
        "correction_of",
        "description",
        "event_id",
        "holder",
        "lifecycle_id",
        "location",
        "merchant_name",
        "order_ref",
        "recipient",
        "shipment_id",
        "shipment_label",
        "source_event_id",
        "subject",
        "subject_label",
        "supersedes_event_id",
        "thread_id",
        "user_id",
    ]
)
"""Names of fields that hold personal data wherever they stand; money (`..._minor`) does too."""
TIMES = frozenset({"as_of", "not_after", "not_before", "reminded_until", "valid_until"})
OUTPUTS = frozenset({"notification", "recall"})

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "string", "bytes"})
_COMPLEX = frozenset({"record", "enum", "array"})
_FRACTIONS = frozenset({"float", "double"})
_PURPOSES = frozenset(purpose.name for purpose in Purpose if purpose is not Purpose.UNKNOWN)
_LEVELS = frozenset(level.name for level in DetailLevel if level is not DetailLevel.UNKNOWN)
_DURATION = re.compile(r"P(?=.)(\d+D)?(T(?=.)(\d+H)?(\d+M)?)?")


class Node(NamedTuple):
    """One type of a schema, where it stands, the field that holds it, the names of the records around it."""

    path: str
    avro: Json
    field: Json | None
    around: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Type, or `union`, or the name of a named type."""
        if isinstance(self.avro, list):
            return "union"
        return str(self.avro["type"] if isinstance(self.avro, dict) else self.avro)


Problems = Iterator[tuple[str, str]]
"""(path, message)"""


def nodes(
    avro: Json, path: str = "", field: Json | None = None, around: tuple[str, ...] = ()
) -> Iterator[Node]:
    """Walk a schema, outer types first."""
    yield Node(path, avro, field, around)
    match avro:
        case list():
            for branch in avro:
                yield from nodes(branch, path, field, around)
        case {"type": "record"}:
            for inner in avro["fields"]:
                yield from nodes(
                    inner["type"], f"{path}.{inner['name']}".strip("."), inner, (*around, avro["name"])
                )
        case {"type": "array" | "map"}:
            yield from nodes(avro.get("items", avro.get("values")), f"{path}[]", None, around)


def fields(avro: Json) -> Iterator[Node]:
    """Walk the fields of a schema and of the records in it, once each."""
    seen = None
    for node in nodes(avro):
        if node.field is not None and node.field is not seen:
            seen = node.field
            yield node


def has_doc(name: str, avro: Json) -> Problems:
    """Every record, enum and field says what it is."""
    del name
    for node in nodes(avro):
        if node.kind in {"record", "enum"} and not node.avro.get("doc"):
            yield node.path, f"{node.avro['name']} has no doc"
    for node in fields(avro):
        if not (node.field or {}).get("doc"):
            yield node.path, "the field has no doc"


def has_no_recursion(name: str, avro: Json) -> Problems:
    """No record holds itself: 5 KB of foreign bytes would go thousands of levels deep."""
    del name
    for node in nodes(avro):
        if node.kind in node.around:
            yield node.path, f"{node.kind} holds itself"


def has_no_empty_items(name: str, avro: Json) -> Problems:
    """No array or map of items that take no byte: six bytes would become millions of items."""
    del name
    for node in nodes(avro):
        if node.kind in {"array", "map"} and _is_empty(node.avro.get("items", node.avro.get("values"))):
            yield node.path, "the items take no byte"


def _is_empty(avro: Json) -> bool:
    match avro:
        case "null" | {"type": "null"} | {"type": "fixed", "size": 0}:
            return True
        case {"type": "record"}:
            return all(_is_empty(field["type"]) for field in avro["fields"])
        case _:
            return False


def has_known_types(name: str, avro: Json) -> Problems:
    """Only types that `read_plan.py` reads; a union is null and one other type, null first."""
    del name
    named = {node.avro["name"] for node in nodes(avro) if node.kind in {"record", "enum"}}
    for node in nodes(avro):
        if node.kind == "union":
            if len(node.avro) != 2 or node.avro[0] != "null" or node.avro[1] == "null":
                yield node.path, "a union is null and then one other type"
        elif node.kind not in _PRIMITIVES | _COMPLEX | _FRACTIONS | named:
            yield node.path, f"no reader for {node.kind}"


def has_unknown_symbol(name: str, avro: Json) -> Problems:
    """Every enum begins with UNKNOWN, falls back to it, and has an index of one byte."""
    del name
    for node in nodes(avro):
        if node.kind != "enum":
            continue
        if node.avro["symbols"][0] != "UNKNOWN" or node.avro.get("default") != "UNKNOWN":
            yield node.path, "the first symbol and the default are UNKNOWN"
        if len(node.avro["symbols"]) > ONE_BYTE_SYMBOLS:
            yield node.path, f"more than {ONE_BYTE_SYMBOLS} symbols"


def has_output_tags(name: str, avro: Json) -> Problems:
    """Every field that goes out says for which purposes, from which detail level on, and how long."""
    for node in fields(avro) if name in OUTPUTS else ():
        field = node.field or {}
        purposes = field.get("purposes")
        if not purposes or not _PURPOSES.issuperset(purposes):
            yield node.path, f"purposes: at least one of {', '.join(sorted(_PURPOSES))}"
        if field.get("min_detail") not in _LEVELS:
            yield node.path, f"min_detail: one of {', '.join(sorted(_LEVELS))}"
        if not _DURATION.fullmatch(str(field.get("retention"))):
            yield node.path, "retention: an ISO 8601 duration in days, hours and minutes"


def has_pii_tags(name: str, avro: Json) -> Problems:
    """Personal data is tagged, with a known word."""
    del name
    for node in fields(avro):
        field = node.field or {}
        if "pii" in field and field["pii"] not in PII:
            yield node.path, f"pii: one of {', '.join(sorted(PII))}"
        if "pii" not in field and (field["name"] in PERSONAL or field["name"].endswith("_minor")):
            yield node.path, "names personal data and has no pii tag"


def has_whole_money(name: str, avro: Json) -> Problems:
    """Money is a long of minor units; no fraction has a place in our schemas."""
    del name
    for node in nodes(avro):
        if node.kind in _FRACTIONS or (
            isinstance(node.avro, dict) and node.avro.get("logicalType") == "decimal"
        ):
            yield node.path, "floating point and decimals are not for money, nor for anything else of ours"
    for node in fields(avro):
        if (node.field or {})["name"].endswith("_minor") and node.avro not in ("long", ["null", "long"]):
            yield node.path, "money is a long, or null"


def has_utc_times(name: str, avro: Json) -> Problems:
    """A time is `timestamp-millis`, and its name says that it is one."""
    del name
    for node in nodes(avro):
        logical = node.avro.get("logicalType") if isinstance(node.avro, dict) else None
        if logical not in {None, "timestamp-millis", "decimal"} or (
            logical == "timestamp-millis" and node.kind != "long"
        ):
            yield node.path, f"{logical} on {node.kind}: a time is timestamp-millis on long"
    for node in fields(avro):
        field_name = (node.field or {})["name"]
        is_named = field_name.endswith("_at") or field_name in TIMES
        if is_named != _is_time(node.avro):
            yield node.path, f"a time, and nothing else, is called ..._at or {', '.join(sorted(TIMES))}"


def _is_time(avro: Json) -> bool:
    branches = avro if isinstance(avro, list) else [avro]
    return any(
        isinstance(branch, dict) and branch.get("logicalType") == "timestamp-millis" for branch in branches
    )


def has_own_name(name: str, avro: Json) -> Problems:
    """A schema is a record named like its file, in our namespace."""
    own = "".join(word.capitalize() for word in name.split("_"))
    if not isinstance(avro, dict) or (avro.get("type"), avro.get("name"), avro.get("namespace")) != (
        "record",
        own,
        NAMESPACE,
    ):
        yield "", f"a record {NAMESPACE}.{own}"


RULES: dict[str, Callable[[str, Json], Problems]] = {
    "name": has_own_name,
    "doc": has_doc,
    "recursion": has_no_recursion,
    "empty-items": has_no_empty_items,
    "types": has_known_types,
    "enum-default": has_unknown_symbol,
    "output-tags": has_output_tags,
    "pii": has_pii_tags,
    "money": has_whole_money,
    "time": has_utc_times,
}
