import json

from streams.wire.schemas import our_schemas
from tests.cli.conftest import Run


def test_our_schemas_break_no_rule(notifier: Run) -> None:
    result = notifier("schema", "check")
    assert (result.code, result.out) == (0, "")
    assert json.loads(notifier("schema", "check", "--json").out) == []


def test_schemas_are_listed_with_version_and_id(notifier: Run) -> None:
    rows = json.loads(notifier("schema", "show", "--json").out)
    assert {row["name"] for row in rows} == set(our_schemas().versions)
    assert all(row["version"] >= 1 and row["id"] >= 1 for row in rows)
    assert len(notifier("schema", "show").out.splitlines()) == len(rows)


def test_a_schema_is_shown_as_avro(notifier: Run) -> None:
    assert json.loads(notifier("schema", "show", "notification").out)["name"] == "Notification"
    first = notifier("schema", "show", "recall", "--version", "1", "--json")
    assert json.loads(first.out)["name"] == "Recall"


def test_a_schema_that_does_not_exist_is_wrong_usage(notifier: Run) -> None:
    result = notifier("schema", "show", "receipt")
    assert result.code == 2
    assert "there is no schema 'receipt'" in result.err
    assert notifier("schema", "show", "recall", "--version", "99").code == 2
