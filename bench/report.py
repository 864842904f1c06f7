"""What a run tells: a table, a JSON file and a plot, with medians, ranges and all one needs to repeat it."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bench.contender import ROOT, Contender
from bench.rounds import Plan, Round
from streams.kafka.jars import KAFKA_VERSION

FIGURES: Mapping[str, Callable[[Round], float]] = {
    "events_per_s": lambda one: one.events_per_s,
    "events_per_cpu_s": lambda one: one.events_per_cpu_s,
    "peak_rss_mb": lambda one: one.peak_rss_mb,
    "startup_s": lambda one: one.startup_s,
}
BASELINE = "naive-faust"
PACKAGES = ("faust-streaming", "aiokafka", "fastavro", "confluent-kafka", "cramjam")


def summarise(
    plan: Plan, results: Mapping[Contender, Sequence[Round]], settings: Mapping[str, object]
) -> dict[str, Any]:
    """Put all rounds into one JSON value; `valid` says whether every output of every round was right."""
    contenders = {contender.name: _figures(contender, rounds) for contender, rounds in results.items()}
    baseline = contenders.get(BASELINE, {}).get("events_per_s")
    for figures in contenders.values():
        figures["times_naive_faust"] = round(figures["events_per_s"] / baseline, 1) if baseline else None
    return {
        "contenders": contenders,
        "settings": {**plan._asdict(), **settings},
        "machine": machine(),
        "commit": commit(),
        "valid": all(not one.faults for rounds in results.values() for one in rounds),
    }


def _figures(contender: Contender, rounds: Sequence[Round]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, value in FIGURES.items():
        values = [round(value(one), 1) for one in rounds]
        figures[name] = median(values)
        figures[f"{name}_range"] = [min(values), max(values)]
    return {
        **figures,
        "timed_events": [one.events for one in rounds],
        "cut_by_time_limit": any(one.is_cut for one in rounds),
        "faults": [fault for one in rounds for fault in one.faults],
        "settings": dict(contender.settings),
    }


def machine() -> dict[str, Any]:
    """What ran it."""
    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / (1 << 30), 1),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
        "packages": {name: version(name) for name in PACKAGES},
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def commit() -> str:
    """The commit that was measured, marked where the tree differs from it; "unknown" outside a repository."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def table(summary: Mapping[str, Any]) -> str:
    """Render the figures for a terminal."""
    head = f"{'contender':<22}{'events/s':>24}{'events/CPU-s':>24}{'peak MB':>9}{'start s':>9}{'x naive':>9}"
    lines = [head, "-" * len(head)]
    for name, figures in summary["contenders"].items():
        speed, per_cpu = (_with_range(figures, key) for key in ("events_per_s", "events_per_cpu_s"))
        small = f"{figures['peak_rss_mb']:>9,.0f}{figures['startup_s']:>9.1f}"
        rest = f"{small}{figures['times_naive_faust'] or '-':>9}"
        cut = " cut by the time limit" if figures["cut_by_time_limit"] else ""
        lines.append(f"{name:<22}{speed:>24}{per_cpu:>24}{rest}{cut}")
    for name, figures in summary["contenders"].items():
        lines += [f"INVALID {name}: {fault}" for fault in figures["faults"]]
    return "\n".join(lines)


def _with_range(figures: Mapping[str, Any], name: str) -> str:
    low, high = figures[f"{name}_range"]
    return f"{figures[name]:,.0f} ({low:,.0f}-{high:,.0f})"


def write_json(summary: Mapping[str, Any], path: Path) -> None:
    """Write the summary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def plot(summary: Mapping[str, Any], path: Path) -> None:
    """Draw throughput as bars, wall and per CPU second, with the range of the rounds."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = list(summary["contenders"])
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.8 * len(names)), layout="constrained")
    for shift, key, label in (
        (-0.2, "events_per_s", "per second"),
        (0.2, "events_per_cpu_s", "per CPU second"),
    ):
        values = [summary["contenders"][name][key] for name in names]
        ranges = [summary["contenders"][name][f"{key}_range"] for name in names]
        errors = [
            [value - low for value, (low, _) in zip(values, ranges, strict=True)],
            [high - value for value, (_, high) in zip(values, ranges, strict=True)],
        ]
        places = [place + shift for place in range(len(names))]
        bars = axes.barh(places, values, height=0.38, xerr=errors, capsize=3, label=label)
        axes.bar_label(bars, fmt="{:,.0f}", padding=6)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlabel("events, median and range of the rounds")
    valid = "" if summary["valid"] else " - INVALID"
    axes.set_title(f"Bank transactions joined with consent, commit {summary['commit']}{valid}")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def progress_line(name: str, done: int, wanted: int) -> None:
    """Show progress in place, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r{name}: {min(done, wanted):,} of {wanted:,}   ", end="", file=sys.stderr, flush=True)
