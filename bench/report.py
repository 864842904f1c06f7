"""What a run tells: tables and a JSON file, with medians, ranges, ratios and all one needs to repeat it.

Ratios are stated against the naive Faust agent, and against the better of Kafka Streams' forms of the same
guarantee: the best in wall time, and the best per CPU second, which may be another. Plots: `plots.py`.
"""

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
PEER = "kafka-streams-"
PACKAGES = ("faust-streaming", "aiokafka", "fastavro", "confluent-kafka", "cramjam")
LATENCIES = {"p50": "p50", "p99": "p99", "p999": "p99.9", "max": "max"}


def summarise(
    plan: Plan, results: Mapping[Contender, Sequence[Round]], settings: Mapping[str, object]
) -> dict[str, Any]:
    """Put all rounds into one JSON value; `valid` says whether every output of every round was right."""
    contenders = {contender.name: _figures(contender, rounds) for contender, rounds in results.items()}
    add_ratios(contenders)
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
        "is_exact": contender.is_exact,
        "timed_events": [one.events for one in rounds],
        "cut_by_time_limit": any(one.is_cut for one in rounds),
        "faults": [fault for one in rounds for fault in one.faults],
        "settings": dict(contender.settings),
    }


def add_ratios(contenders: Mapping[str, dict[str, Any]]) -> None:
    """Add to each contender how many times the others it is; None where there is nothing to divide by.

    Adds `times_naive_faust` (wall), `times_kafka_streams` (wall) and `times_kafka_streams_per_cpu_s`. A Kafka
    Streams form whose output was wrong is no yardstick.
    """
    naive = contenders.get(BASELINE, {}).get("events_per_s")
    for name, figures in contenders.items():
        figures["times_naive_faust"] = _times(figures["events_per_s"], naive)
        for key, ratio in (
            ("events_per_s", "times_kafka_streams"),
            ("events_per_cpu_s", "times_kafka_streams_per_cpu_s"),
        ):
            forms = [
                one[key]
                for peer, one in contenders.items()
                if peer.startswith(PEER)
                and _is_exactly_once(peer, one) == _is_exactly_once(name, figures)
                and not one["faults"]
            ]
            figures[ratio] = _times(figures[key], max(forms, default=None))


def _is_exactly_once(name: str, figures: Mapping[str, Any]) -> bool:
    """Say which forms a contender is measured against; Flink commits offsets apart from its transactions."""
    return bool(figures["is_exact"]) or "exactly-once" in name


def _times(value: float, other: float | None) -> float | None:
    return float(f"{value / other:.3g}") if other else None


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
    """Render throughput, memory and ratios for a terminal, and latency where it was measured."""
    contenders = {name: one for name, one in summary["contenders"].items() if "events_per_s" in one}
    width = max(map(len, contenders), default=0) + 2
    head = (
        f"{'contender':<{width}}{'events/s':>34}{'events/CPU-s':>34}{'peak MB':>9}{'start s':>9}"
        f"{'x naive':>9}{'x Streams':>11}{'per CPU-s':>11}"
    )
    lines = [head, "-" * len(head)]
    for name, figures in contenders.items():
        speed, per_cpu = (_with_range(figures, key) for key in ("events_per_s", "events_per_cpu_s"))
        ratios = "".join(
            f"{figures[key] if figures[key] is not None else '-':>{space}}"
            for key, space in (
                ("times_naive_faust", 9),
                ("times_kafka_streams", 11),
                ("times_kafka_streams_per_cpu_s", 11),
            )
        )
        cut = " cut by the time limit" if figures["cut_by_time_limit"] else ""
        rest = f"{figures['peak_rss_mb']:>9,.0f}{figures['startup_s']:>9.1f}{ratios}{cut}"
        lines.append(f"{name:<{width}}{speed:>34}{per_cpu:>34}{rest}")
    lines.append(
        "x Streams: times the better of Kafka Streams' forms of the same guarantee, wall and CPU apart"
    )
    for name, figures in contenders.items():
        lines += [f"INVALID {name}: {fault}" for fault in figures["faults"]]
    if any("latency_ms" in figures for figures in summary["contenders"].values()):
        lines += ["", latency_table(summary)]
    return "\n".join(lines)


def _with_range(figures: Mapping[str, Any], name: str) -> str:
    low, high = figures[f"{name}_range"]
    return f"{figures[name]:,.0f} ({low:,.0f}-{high:,.0f})"


def latency_table(summary: Mapping[str, Any]) -> str:
    """Render the latencies for a terminal, milliseconds; `saturation` is 80 % of a contender's throughput."""
    rows = [
        (name, label, one)
        for name, figures in summary["contenders"].items()
        for label, one in figures.get("latency_ms", {}).items()
    ]
    width = max((len(name) for name, _, _ in rows), default=0) + 2
    head = f"{'contender':<{width}}{'at':>12}{'events/s':>10}" + "".join(
        f"{title + ' ms':>12}" for title in LATENCIES.values()
    )
    lines = [f"{head}{'cores':>8}{'generator late':>16}", "-" * (len(head) + 24)]
    for name, label, one in rows:
        values = "".join(f"{'-' if one[key] is None else format(one[key], ',.1f'):>12}" for key in LATENCIES)
        late = f"{one['generator_late_ms']['p99']:.1f} ms p99"
        told = " overloaded: half of the last quarter took over a second" if one["is_overloaded"] else ""
        lines.append(
            f"{name:<{width}}{label:>12}{one['rate']:>10,}{values}{one['cores']:>8.2f}{late:>16}{told}"
        )
    lines += [f"INVALID {name} at {label}: {fault}" for name, label, one in rows for fault in one["faults"]]
    return "\n".join(lines)


def write_json(summary: Mapping[str, Any], path: Path) -> None:
    """Write the summary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def progress_line(name: str, done: int, wanted: int) -> None:
    """Show progress in place, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r{name}: {min(done, wanted):,} of {wanted:,}   ", end="", file=sys.stderr, flush=True)
