"""The schema lint: every rule is broken by the schema of its name in `bad-schemas`, and by nothing else in
it.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from streams.wire.lint import lint_all, lint_schema
from streams.wire.schema_rules import RULES
from streams.wire.schemas import schema_lint
from tests.wire.avro_values import SCHEMAS

BAD = Path(__file__).parent / "bad-schemas"
# where each rule is broken in its schema
PLACES = {
    "name": {""},
    "doc": {"size", "inner", "sort"},
    "recursion": {"next"},
    "empty-items": {"nothing", "none"},
    "types": {"any", "late", "table", "block"},
    "enum-default": {"first", "default", "many"},
    "output-tags": {"advert", "free", "unknown", "level", "kept", "empty", "lines[].bare"},
    "pii": {"user_id", "amount_minor", "subject"},
    "money": {"amount_minor", "rate", "price", "ratio"},
    "time": {"sent_at", "moment", "day", "until_at"},
}


def load(name: str) -> Any:
    return json.loads((BAD / f"{name}.avsc").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Our own schemas, to be broken."""
    return Path(shutil.copytree(SCHEMAS, tmp_path / "schemas"))


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_our_own_schemas_break_no_rule() -> None:
    assert schema_lint() == []


def test_every_rule_has_a_schema_that_breaks_it() -> None:
    assert set(PLACES) == set(RULES)
    assert {path.stem for path in BAD.glob("*.avsc")} == set(RULES) | {"good"}


@pytest.mark.parametrize("rule", PLACES)
def test_the_bad_schema_breaks_its_rule_where_it_should_and_no_other(rule: str) -> None:
    avro = load(rule)
    findings = lint_schema("recall" if rule == "output-tags" else "sample", avro)
    assert {(finding.rule, finding.path) for finding in findings} == {(rule, path) for path in PLACES[rule]}


def test_a_good_schema_breaks_none() -> None:
    assert lint_schema("sample", load("good")) == []


def test_tags_of_output_are_asked_of_outputs_only() -> None:
    avro = {**load("output-tags"), "name": "Sample"}
    assert lint_schema("sample", avro) == []


def rules_broken(folder: Path) -> set[tuple[str, str]]:
    return {(finding.schema, finding.rule) for finding in lint_all(folder)}


def test_a_schema_that_is_not_the_last_of_its_history_is_found(folder: Path) -> None:
    rewrite(folder / "recall.avsc", "Takes back", "Took back")
    assert rules_broken(folder) == {("recall", "history")}


def test_a_schema_without_history_is_found(folder: Path) -> None:
    (folder / "history" / "recall" / "v1.avsc").unlink()
    assert rules_broken(folder) == {("recall", "history")}


def test_a_gap_in_the_history_is_found(folder: Path) -> None:
    shutil.copy(folder / "recall.avsc", folder / "history" / "recall" / "v3.avsc")
    earlier = json.loads((folder / "history" / "ids.json").read_text())
    (folder / "history" / "ids.json").write_text(json.dumps({**earlier, "recall/v1": 98, "recall/v2": 99}))
    assert ("recall", "history") in rules_broken(folder)


def test_ids_that_are_missing_doubled_or_of_nothing_are_found(folder: Path) -> None:
    rewrite(folder / "ids.json", '"recall": 10', '"recal": 9')
    assert {(finding.schema, finding.path) for finding in lint_all(folder)} == {
        ("recall", ""),
        ("recal", ""),
        ("ids", "9"),
    }


def add_version(folder: Path, name: str, change: Any) -> None:
    """Release the current version of a schema again, changed."""
    avro = json.loads((folder / f"{name}.avsc").read_text())
    change(avro)
    for path in (folder / f"{name}.avsc", folder / "history" / name / "v2.avsc"):
        path.write_text(json.dumps(avro))
    ids = json.loads((folder / "ids.json").read_text())
    (folder / "ids.json").write_text(json.dumps({**ids, name: 99}))
    earlier = json.loads((folder / "history" / "ids.json").read_text())
    (folder / "history" / "ids.json").write_text(json.dumps({**earlier, f"{name}/v1": ids[name]}))


NEW_FIELD = {"name": "hint", "type": ["null", "string"], "doc": "A hint.", "default": None}


def test_a_new_version_with_an_optional_field_and_a_new_symbol_is_compatible(folder: Path) -> None:
    def change(avro: Any) -> None:
        avro["fields"].append(NEW_FIELD)
        avro["fields"][4]["type"]["symbols"].append("URGENT")

    add_version(folder, "security_alert", change)
    assert lint_all(folder) == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda avro: avro["fields"].append({**NEW_FIELD, "type": "string"} | {"default": "x"}), None),
        (
            lambda avro: avro["fields"].append({"name": "hint", "type": "string", "doc": "No default."}),
            "hint",
        ),
        (lambda avro: avro["fields"].pop(3), "type"),
        (lambda avro: avro["fields"][3].update(type="bytes"), None),
        (lambda avro: avro["fields"][3].update(type="long"), "type"),
        (lambda avro: avro["fields"][3].update(type=["null", "string"]), "type"),
        (lambda avro: avro["fields"][3].update(name="kind"), "kind"),
        (lambda avro: avro["fields"][4]["type"].update(name="Urgency"), "severity"),
    ],
)
def test_a_new_version_that_one_side_cannot_read_is_found(
    folder: Path, change: Any, path: str | None
) -> None:
    add_version(folder, "security_alert", change)
    findings = lint_all(folder)
    assert {finding.rule for finding in findings} == ({"compatible"} if path else set())
    assert path is None or path in {finding.path for finding in findings}
