import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from streams.core.codes import DetailLevel, Kind, Purpose
from streams.core.events import EVENT_TYPES
from streams.core.project import FIELD_TAGS, KIND_FIELDS, projections, shipment_label, subject_label

ROOT = Path(__file__).parents[2]
FIELDS = json.loads((ROOT / "schemas/notification.avsc").read_text(encoding="utf-8"))["fields"]
TAGS = {field["name"]: field for field in FIELDS}
EVERY = 30


def test_the_tags_are_those_of_the_schema() -> None:
    for name, (purposes, detail) in FIELD_TAGS.items():
        assert purposes == sum(1 << Purpose[purpose] for purpose in TAGS[name]["purposes"]), name
        assert detail == DetailLevel[TAGS[name]["min_detail"]], name


def test_the_fields_of_each_kind_are_those_of_the_document() -> None:
    text = (ROOT / "docs/rules.md").read_text(encoding="utf-8")
    table = text.split("| kind | fields |\n|---|---|\n", 1)[1].split("\n\n", 1)[0]
    stated: dict[str, set[str]] = {}
    for line in table.splitlines():
        kinds, fields = (cell.strip() for cell in line.strip("|").split("|"))
        names, _, only = fields.partition("; DECLINED also ")
        for kind in kinds.split(", "):
            stated[kind] = set(re.split(", ", names)) | ({only} if only and kind == "DECLINED" else set())
    assert {kind.name: set(fields) for kind, fields in KIND_FIELDS.items()} == stated


@pytest.mark.parametrize("kind", KIND_FIELDS)
def test_a_field_is_filled_exactly_when_its_tags_allow(kind: Kind) -> None:
    event_type = {Kind.BALANCE: 1, Kind.SECURITY: 2, Kind.SHIPPING: 3}.get(kind, 0)
    names: tuple[Any, ...] = EVENT_TYPES[event_type]._fields
    source = {"shipment_status": "status", "alert_type": "type", "shipment_label": "label"}
    for detail, purposes in product(list(DetailLevel)[1:], range(0, EVERY + 1, 2)):
        projection = projections(purposes, detail)[kind]
        assert projection is not None
        filled = projection.fill((*names, None, "label"))
        for field, value in zip(FIELDS[19:], filled, strict=True):
            name = field["name"]
            is_allowed = (
                name in KIND_FIELDS[kind]
                and any(purposes >> Purpose[purpose] & 1 for purpose in field["purposes"])
                and detail >= DetailLevel[field["min_detail"]]
            )
            assert value == (source.get(name, name) if is_allowed else None)


@pytest.mark.parametrize(
    ("subject", "label"),
    [
        ("bank:12345678", "bank …5678"),
        ("bank:1234567", "bank"),
        ("a-very-long-bank-name:x", "a-very-long-bank"),
        ("nothing-to-split", "nothing-to-split"),
        ("bank:branch:1234", "bank …1234"),
        (":12345678", " …5678"),
        ("", ""),
    ],
)
def test_a_subject_is_masked(subject: str, label: str) -> None:
    assert subject_label(subject) == label


@pytest.mark.parametrize(
    ("carrier", "shipment_id", "label"),
    [
        ("DHL", "12345678", "DHL …5678"),
        (None, "12345678", "…5678"),
        ("DHL", "1234567", "DHL …"),
        ("", "1", "…"),
    ],
)
def test_a_parcel_is_masked(carrier: str | None, shipment_id: str, label: str) -> None:
    assert shipment_label(carrier, shipment_id) == label
