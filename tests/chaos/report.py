"""From the logs of runs to the report: every figure is counted again from the lines."""

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.scenarios import SCENARIOS

LEAST_PROGRESS, MOST_PROGRESS = 0.05, 0.95
BROKER_FAULTS = ("broker_kill", "broker_terminate", "broker_pause", "node_kill", "node_terminate")
REBALANCING = ("kill", "crash", "terminate", "join", "leave", "pause")
LOST, TWICE, UNASKED, HANGING = ("I1", "I6"), ("I2", "I3", "I7"), ("I4", "I5"), ("I10",)
OTHER = ("I8", "I9", "I11")
SESSION_S = 6.0
KILLING = ("kill", "crash")
COUNTED = (
    "kills", "broker_faults", "full_disks", "throttles", "network_faults", "rebalances",
    "zombie_pauses", "clock_jumps", "aborted_transactions", "consent_races",
)  # fmt: skip
SAYS_LITTLE = 0.5
SHOWN = ("kills", "terminations", *COUNTED[1:])

Line = dict[str, Any]


def read(folder: Path) -> list[list[Line]]:
    """Return the lines of each log in a folder, by file name."""
    return [lines_of(path) for path in sorted(folder.glob("*.jsonl"))]


def lines_of(log: Path) -> list[Line]:
    """Return the lines of one log."""
    return [json.loads(line) for line in log.read_text(encoding="ascii").splitlines()]


def report(logs: Sequence[Sequence[Line]]) -> Line:
    """Return what all runs show together, and each scenario alone."""
    names = sorted({log[0]["scenario"] for log in logs}, key=lambda name: int(name[1:]))
    whole = _figures(logs)
    return {
        **whole,
        "commit": _one([log[0]["commit"] for log in logs]),
        "seed": [log[0]["seed"] for log in logs],
        "missing": sorted(SCENARIOS.keys() - set(names)),
        "upper_bounds_95": {name: round(3 / whole[name], 5) for name in COUNTED if whole[name]},
        "scenarios": {
            name: {
                "says": next(log[0]["says"] for log in logs if log[0]["scenario"] == name),
                "replay": [log[0]["replay"] for log in logs if log[0]["scenario"] == name],
                **_figures([log for log in logs if log[0]["scenario"] == name]),
            }
            for name in names
        },
    }


def peers_table(told: Line) -> str:
    """Return what other programs did under kills, as a table for people."""
    lines = [
        "| under kills of it (of the broker) | events | missing | twice |",
        "|---|---|---|---|",
    ]
    for one in told["peers"]:
        missing = f"{one['missing']:,}"
        if one["undone"]:
            missing += f"; {one['undone']:,} not decided two minutes after the last"
        name = f"{one['peer']}, {one['kills']} ({one['broker_kills']})"
        lines.append(f"| {name} | {one['events']:,} | {missing} | {one['twice']:,} |")
    return "\n".join(lines) + "\n"


def table(found: Line) -> str:
    """Return the report for people: a line a scenario, all of them in the last, and what the counts bound."""
    lines = [
        "| | runs | records | faults | lost | twice | unasked | hanging | takeover p50 (max), s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rows = [*found["scenarios"].items(), ("all", found)]
    for name, one in rows:
        faults = ", ".join(f"{one[kind]:,} {kind.replace('_', ' ')}" for kind in SHOWN if one[kind])
        takeover = one["takeover_s"]
        seconds = f"{takeover['p50']} ({takeover['max']})" if takeover["count"] else ""
        lines.append(
            f"| {name} | {one['runs']} | {one['records']:,} | {faults} | {one['lost']} | {one['duplicates']} "
            f"| {one['unconsented']} | {one['hanging_transactions']} | {seconds} |"
        )
    bounds = ", ".join(
        f"{kind.replace('_', ' ')} {bound:.2%}"
        for kind, bound in found["upper_bounds_95"].items()
        if bound < SAYS_LITTLE
    )
    lines += ["", f"Upper 95 % bounds of the probability that one goes wrong: {bounds}.", ""]
    commits = [found["commit"]] if isinstance(found["commit"], str) else found["commit"]
    lines += [f"Of commit {', '.join(commits)}; without a run: {', '.join(found['missing']) or 'none'}."]
    return "\n".join(lines) + "\n"


def invalid(log: Sequence[Line]) -> list[str]:
    """Return why a run shows nothing: a fault that met no work in flight."""
    return [
        f"{log[0]['scenario']} seed {log[0]['seed']}: {line['kind']} at {line['progress']:.0%}"
        for line in log
        if line["type"] == "fault" and not LEAST_PROGRESS < line["progress"] < MOST_PROGRESS
    ]


def is_clean(found: Line) -> bool:
    """Whether nothing at all was found."""
    named = ("lost", "duplicates", "unconsented", "hanging_transactions", "other", "invalid", "bad_exits")
    return not any(found[name] for name in named)


def _figures(logs: Sequence[Sequence[Line]]) -> Line:
    faults = [line for log in logs for line in log if line["type"] == "fault"]
    ends = [log[-1] for log in logs]
    kinds = Counter(fault["kind"].split()[0] for fault in faults)
    takeovers = sorted(
        seconds
        for log in logs
        for fault, of_it in zip(_faults(log), log[-1]["takeovers_s"], strict=True)
        if fault["kind"] == "kill"
        for seconds in of_it
    )
    return {
        "runs": len(logs),
        "records": sum(end["records"] for end in ends),
        "kills": sum(fault.get("workers", 1) for fault in faults if fault["kind"].split()[0] in KILLING),
        "terminations": kinds["terminate"] + kinds["leave"],
        "broker_faults": sum(kinds[kind] for kind in BROKER_FAULTS),
        "full_disks": kinds["disk_full"],
        "throttles": kinds["throttle"],
        "network_faults": kinds["net"],
        "rebalances": sum(kinds[kind] for kind in REBALANCING),
        "clock_jumps": kinds["clock"],
        "aborted_transactions": kinds["abort"],
        "zombie_pauses": sum(
            fault["kind"] == "pause" and fault["lasted_ms"] > SESSION_S * 1000 for fault in faults
        ),
        "consent_races": sum(end["races"] for end in ends),
        "lost": _violations(ends, LOST),
        "duplicates": _violations(ends, TWICE),
        "unconsented": _violations(ends, UNASKED) + sum(end["leaks"] for end in ends),
        "hanging_transactions": _violations(ends, HANGING),
        "other": _violations(ends, OTHER),
        "invalid": sum(len(invalid(log)) for log in logs),
        "bad_exits": sum(code != 0 for end in ends for code in end["exits"]),
        "takeover_s": {
            "count": len(takeovers),
            "p50": round(statistics.median(takeovers), 2) if takeovers else None,
            "max": max(takeovers, default=None),
        },
    }


def _faults(log: Sequence[Line]) -> list[Line]:
    return [line for line in log if line["type"] == "fault"]


def _violations(ends: Iterable[Line], names: Sequence[str]) -> int:
    """Count what was found against these; a run that may repeat is not held against all of them."""
    found = [end["invariants"].get(name) for end in ends for name in names]
    return sum(one["violations"] for one in found if one)


def _one(values: Sequence[Any]) -> Any:
    """Return the value that all have, or each that some have."""
    return values[0] if len(set(values)) == 1 else sorted(set(values))
