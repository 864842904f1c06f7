import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

GOOD = {
    "event_id": "e1",
    "subject": "bank:1",
    "as_of": 1_700_000_000_000,
    "booked_minor": 5,
    "currency": "EUR",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    line = json.dumps({"record": "AccountBalance", **GOOD})
    path.write_text(f'{line}\n{line}\n{{"record": "Account', encoding="utf-8")
    return path


def test_dry_run_names_the_broken_last_line_and_counts_the_rest(notifier: Run, file: Path) -> None:
    result = notifier("produce", str(file), "--format", "jsonl", "--dry-run", "--json")
    assert result.code == 1
    summary = json.loads(result.out)
    assert summary["events"] == {"bank.balances": 2}
    assert (summary["subjects"], summary["rejected_count"]) == (1, 1)
    assert summary["rejected"][0]["line"] == 3
    assert f"{file}, line 3: " in result.err


def test_dry_run_of_a_good_file_needs_no_kafka(notifier: Run, file: Path) -> None:
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
    result = notifier("produce", str(file), "--format", "jsonl", "--dry-run")
    assert result.code == 0
    assert "bank.balances: 2" in result.out
    assert "rejected lines: 0" in result.out


def test_wrong_usage_of_produce_is_exit_code_2(notifier: Run, file: Path) -> None:
    assert notifier("produce", str(file), "--format", "csv").code == 2
    assert "none of berka, jsonl, olist" in notifier("produce", str(file), "--format", "csv").err
    assert notifier("produce", str(file) + "x", "--format", "jsonl").code == 2
    assert notifier("produce", str(file), "--format", "jsonl", "--speed", "2").code == 2
    assert notifier("produce", str(file), "--format", "jsonl", "--grant-share", "1.5").code == 2


def test_a_speed_that_is_none_is_refused_before_anything_is_sent(notifier: Run, file: Path) -> None:
    result = notifier("produce", str(file), "--format", "jsonl", "--retime", "now", "--speed", "fast")
    assert result.code == 4
    assert "--speed takes a number above 0, or max" in result.err


def test_without_a_broker_produce_is_exit_code_3(notifier: Run, file: Path) -> None:
    assert notifier("produce", str(file), "--format", "jsonl", "--kafka", "127.0.0.1:1").code == 3
