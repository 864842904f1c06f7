"""The report counts what the logs say, and a changed line of either does not pass."""

import copy
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.report import invalid, is_clean, peers_table, report, table
from tests.chaos.scenarios import SCENARIOS, plan
from tests.harness.cluster import ROOT

PEERS = ROOT / "docs" / "reliability" / "peers.json"
Log = list[dict[str, Any]]


def fault(kind: str, lasted_ms: int, progress: float, partitions: Sequence[int] = ()) -> dict[str, Any]:
    """Return the line of a fault."""
    return {
        "type": "fault", "kind": kind, "at_ms": 1, "lasted_ms": lasted_ms, "partitions": list(partitions),
        "progress": progress,
    }  # fmt: skip


def log(name: str = "S2", changed: dict[str, int] | None = None) -> Log:
    """Return the log of a run with a kill and a pause, in which nothing was found."""
    violations = {f"I{number}": {"checked": 9, "violations": 0} for number in range(1, 12)}
    for invariant, count in (changed or {}).items():
        violations[invariant]["violations"] = count
    return [
        {"type": "run", "scenario": name, "says": "s", "seed": 1, "commit": "c", "replay": f"run {name}"},
        fault("kill", 5, 0.3, partitions=[1]), fault("pause", 8000, 0.6), fault("node_kill leader", 9, 0.7),
        fault("disk_full", 9, 0.7), fault("clock +600", 9, 0.8), fault("abort", 9, 0.8),
        {
            "type": "found", "records": 100, "exits": [0, 0], "races": 7, "leaks": 0,
            "takeovers_s": [[2.5, 3.5], [9.0], [], [], [], []], "invariants": violations,
        },
    ]  # fmt: skip


def test_every_fault_is_counted_by_its_kind() -> None:
    found = report([log("S2"), log("S4")])
    counts = ("runs", "records", "kills", "broker_faults", "rebalances", "zombie_pauses", "consent_races")
    assert [found[name] for name in counts] == [2, 200, 2, 2, 4, 2, 14]
    assert [found[name] for name in ("full_disks", "clock_jumps", "aborted_transactions")] == [2, 2, 2]
    assert found["missing"] == sorted(SCENARIOS.keys() - {"S2", "S4"})
    assert found["takeover_s"] == {"count": 4, "p50": 3.0, "max": 3.5}
    assert found["upper_bounds_95"]["kills"] == 1.5
    assert is_clean(found)
    assert found["scenarios"]["S4"]["kills"] == 1


@pytest.mark.parametrize(
    ("invariant", "name"),
    [
        ("I1", "lost"), ("I6", "lost"), ("I2", "duplicates"), ("I3", "duplicates"), ("I7", "duplicates"),
        ("I4", "unconsented"), ("I5", "unconsented"), ("I10", "hanging_transactions"), ("I8", "other"),
        ("I9", "other"), ("I11", "other"),
    ],
)  # fmt: skip
def test_a_violation_is_told_by_what_it_means(invariant: str, name: str) -> None:
    found = report([log(), log(changed={invariant: 2})])
    assert found[name] == 2
    assert not is_clean(found)


def test_a_leak_an_exit_code_and_a_fault_without_work_are_told() -> None:
    leaky, crashed, idle = log(), log(), log()
    leaky[-1]["leaks"], crashed[-1]["exits"], idle[1]["progress"] = 1, [0, 1], 0.97
    assert report([leaky])["unconsented"] == 1
    assert report([crashed])["bad_exits"] == 1
    assert invalid(idle) == ["S2 seed 1: kill at 97%"]
    assert not any(is_clean(report([one])) for one in (leaky, crashed, idle))


@pytest.mark.parametrize("tampered", ["report", "log", "page", "peers", None])
def test_the_check_counts_again(tmp_path: Path, tampered: str | None) -> None:
    logs, stated, page = (tmp_path / name for name in ("logs", "report.json", "page.md"))
    logs.mkdir()
    lines = log()
    found = report([copy.deepcopy(lines)])
    if tampered == "log":
        lines[-1]["records"] += 1
    if tampered == "report":
        found["kills"] += 1
    (logs / "S2.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    stated.write_text(json.dumps(found))
    shown = table(found)
    page.write_text(shown.replace("| 1 | 100 |", "| 1 | 101 |") if tampered == "page" else shown)
    peers = json.loads(PEERS.read_text())
    with page.open("a") as file:
        file.write(peers_table(peers))
    if tampered == "peers":
        peers["peers"][0]["twice"] += 1
    (tmp_path / "peers.json").write_text(json.dumps(peers))
    command = [
        sys.executable, "-m", "tests.chaos", "check", "--logs", str(logs), "--report", str(stated),
        "--page", str(page), "--peers", str(tmp_path / "peers.json"),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == (1 if tampered else 0), done.stderr
    assert ("is not what" in done.stderr) == bool(tampered)
    assert done.stderr.count("table of other programs is not what") == 2 * (tampered == "peers"), (
        "here and README"
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_seed_makes_the_same_plan_again_and_another_seed_another(name: str) -> None:
    kinds = {fault.kind for fault in plan(name, 1, 0.1)}
    assert kinds == set(SCENARIOS[name].kinds)
    assert plan(name, 1, 1.0) == plan(name, 1, 1.0)
    assert len(plan(name, 1, 1.0)) == SCENARIOS[name].faults
    assert plan(name, 1, 1.0) != plan(name, 2, 1.0)
