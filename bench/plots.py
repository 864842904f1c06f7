"""Draws what was measured: throughput bars, latency by rate, growth curves. PNG, without a display."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import log10
from pathlib import Path
from typing import Any

from bench.growth_figures import Curve
from bench.latency_figures import SATURATION

DPI = 130
ENGINEERING = ((1_000_000, "M"), (1_000, "k"))
PANELS = {
    "cpu_ns_per_event": "CPU nanoseconds per event",
    "events_per_s": "events per second",
    "peak_rss_mb": "peak memory, MiB",
}
LINES = ("o-", "s-", "^-", "D-", "v-", "P-", "X-", "<-", ">-", "*-")


def short(value: float) -> str:
    """Write a number as one reads it off an axis: 950, 1.2k, 35k, 2.4M."""
    for size, letter in ENGINEERING:
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


@contextmanager
def _figure(
    path: Path, width: float, height: float, columns: int = 1, *, is_alike: bool = False
) -> Iterator[tuple[Any, Any]]:
    """Give a figure and its axes, which share y if they are alike, and save it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        1, columns, figsize=(width, height), layout="constrained", squeeze=False, sharey=is_alike
    )
    try:
        yield figure, axes[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DPI)
    finally:
        plt.close(figure)


def plot_throughput(summary: Mapping[str, Any], path: Path) -> None:
    """Draw throughput as bars on a log axis, wall and per CPU second, with the range of the rounds."""
    names = [name for name, figures in summary["contenders"].items() if "events_per_s" in figures]
    with _figure(path, 9.5, 1.4 + 0.55 * len(names)) as (figure, (axes,)):
        for shift, key, label in (
            (-0.2, "events_per_s", "per second"),
            (0.2, "events_per_cpu_s", "per CPU second"),
        ):
            values = [max(summary["contenders"][name][key], 1.0) for name in names]
            ranges = [summary["contenders"][name][f"{key}_range"] for name in names]
            errors = [
                [max(value - low, 0) for value, (low, _) in zip(values, ranges, strict=True)],
                [max(high - value, 0) for value, (_, high) in zip(values, ranges, strict=True)],
            ]
            places = [place + shift for place in range(len(names))]
            bars = axes.barh(places, values, height=0.38, xerr=errors, capsize=2, label=label)
            axes.bar_label(bars, labels=[short(value) for value in values], padding=5, fontsize=8)
        axes.set_xscale("log")
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        axes.set_xlabel("events (log scale; median and range of the rounds)")
        axes.set_title(f"Bank transactions joined with consent, {_origin(summary)}", fontsize=11)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)


def plot_latency(summary: Mapping[str, Any], path: Path) -> None:
    """Draw p50, p99 and p99.9 by rate; what was overloaded is hollow, saturation stands apart."""
    by_name = {name: figures.get("latency_ms", {}) for name, figures in summary["contenders"].items()}
    by_name = {name: by_rate for name, by_rate in by_name.items() if by_rate}
    fixed = sorted({int(label) for by_rate in by_name.values() for label in by_rate if label != SATURATION})
    is_saturated = any(SATURATION in by_rate for by_rate in by_name.values())
    labels = [*map(str, fixed), *([SATURATION] if is_saturated else [])]
    ticks = [*(f"{rate:,}" for rate in fixed), *(["80 % of its\nthroughput"] if is_saturated else [])]
    with _figure(path, 13, 5.6, columns=3, is_alike=True) as (figure, panels):
        for panel, (key, title) in zip(
            panels, (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")), strict=True
        ):
            for number, (name, by_rate) in enumerate(by_name.items()):
                _draw_rates(panel, by_rate, key, labels, number, name)
            panel.set_yscale("log")
            panel.set_xticks(range(len(labels)), ticks)
            panel.set_xlim(-0.4, len(labels) - 0.6)
            panel.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
            panel.grid(which="both", axis="y", alpha=0.25)
            panel.set_xlabel("events/s")
            panel.set_title(title)
        panels[0].set_ylabel("milliseconds from due to read (log scale)")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(4, len(names)), frameon=False)
        figure.suptitle(f"Latency, open loop (hollow: overloaded), {_origin(summary)}", fontsize=11)


def _draw_rates(
    panel: Any, by_rate: Mapping[str, Any], key: str, labels: Sequence[str], number: int, name: str
) -> None:
    colour = f"C{number % 10}"
    marker = LINES[number % len(LINES)]
    shown = [(labels.index(label), one) for label, one in by_rate.items() if one[key] is not None]
    line = sorted((at, one[key]) for at, one in shown if labels[at] != SATURATION)
    panel.plot([at for at, _ in line], [value for _, value in line], marker[1:], color=colour, linewidth=1.2)
    for at, one in shown:
        fill = "white" if one["is_overloaded"] else colour
        panel.plot(at, one[key], marker[0], color=colour, markerfacecolor=fill, markersize=6)
    panel.plot([], [], marker, color=colour, label=name)


def plot_growth(figures: Mapping[str, Any], curve: Curve, path: Path, origin: str) -> None:
    """Draw one growth curve: CPU time per event with the fitted cost, throughput, peak memory.

    Args:
        figures: Its `points`, as `growth.run` tells them, and `fit`, or None.
        curve: What grows.
        path: PNG to write.
        origin: Where the figures come from.
    """
    points = [point for point in figures["points"] if not point["faults"]]
    if not points:
        return
    with _figure(path, 12.5, 4.2, columns=3) as (figure, panels):
        for panel, (key, label) in zip(panels, PANELS.items(), strict=True):
            _draw_points(panel, curve, points, key)
            panel.set_xlabel(curve.label)
            panel.set_ylabel(label)
        if fit := figures["fit"]:
            _draw_fit(panels[0], fit, [point["x"] for point in points], curve)
        figure.suptitle(f"{curve.title}: {origin}", fontsize=11)


def _draw_points(panel: Any, curve: Curve, points: Sequence[Mapping[str, Any]], key: str) -> None:
    xs, values = [point["x"] for point in points], [point[key] for point in points]
    if curve.over:
        if curve.is_log:
            panel.set_xscale("log")
        panel.plot(xs, values, "o")
        shown = [x for x, before in zip(xs, (0, *xs), strict=False) if not curve.is_log or x > 1.5 * before]
        panel.set_xticks(
            shown, [f"{100 * x:g}" if curve.name == "consented_share" else short(x) for x in shown]
        )
        panel.minorticks_off()
    else:
        bars = panel.bar(range(len(xs)), values, width=0.6)
        panel.bar_label(bars, labels=[short(value) for value in values], padding=2, fontsize=9)
        panel.set_xticks(range(len(xs)), xs)
    panel.set_ylim(0, max(values) * 1.2)
    panel.yaxis.set_major_formatter(lambda value, _: short(value))
    panel.grid(axis="y", alpha=0.3)
    panel.set_axisbelow(True)


def _draw_fit(panel: Any, fit: Mapping[str, Any], xs: Sequence[float], curve: Curve) -> None:
    low, high = min(xs), max(xs)
    steps = [number / 100 for number in range(101)]
    line = [low * (high / low) ** step if curve.is_log else low + (high - low) * step for step in steps]
    costs = [fit["a"] + fit["b"] * (log10(x) if curve.over == "log10" else x) for x in line]
    panel.plot(line, costs, "-", color="C1")
    panel.set_title(fit["text"], fontsize=9, color="C1")


def _origin(summary: Mapping[str, Any]) -> str:
    return f"commit {summary['commit']}{'' if summary['valid'] else ' - INVALID'}"
