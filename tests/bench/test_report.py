"""A report states ratios against the right yardstick, and draws what it is given."""

from pathlib import Path
from typing import Any

import pytest

from bench.contender import Contender
from bench.growth_figures import curves, fit
from bench.plots import plot_growth, plot_latency, plot_throughput, short
from bench.report import add_ratios, summarise, table
from bench.rounds import Plan, Round

PLAN = Plan(1_000, 100, 2, 60.0)


def contender(name: str, *, is_exact: bool = False) -> Contender:
    return Contender(name, lambda *_: (), name, name, {"a": "b"}, lambda _: None, is_exact=is_exact)


def rounds(wall: float, per_cpu: float, *faults: str) -> list[Round]:
    return [
        Round(
            1_000,
            1_000 / (wall * factor),
            1_000 / (per_cpu * factor),
            100.0,
            2.0,
            is_cut=False,
            faults=faults,
        )
        for factor in (1, 1.1)
    ]


def summary(*wrong: str) -> dict[str, Any]:
    results = {
        contender("ours-exactly-once", is_exact=True): rounds(900_000, 1_000_000, *wrong),
        contender("ours-at-least-once"): rounds(1_000_000, 1_200_000),
        contender("naive-faust"): rounds(5_000, 5_500),
        contender("kafka-streams-exactly-once-v2", is_exact=True): rounds(200_000, 100_000),
        contender("kafka-streams-exactly-once-v2-idiomatic", is_exact=True): rounds(100_000, 150_000),
        contender("kafka-streams-at-least-once"): rounds(250_000, 160_000),
        contender("kafka-streams-at-least-once-idiomatic"): rounds(999_000, 999_000, "wrong"),
    }
    return summarise(PLAN, results, {"partitions": 4})


def test_ratios_are_against_the_better_form_of_the_same_guarantee_wall_and_cpu_apart() -> None:
    contenders = summary()["contenders"]
    ours = contenders["ours-exactly-once"]
    assert ours["times_kafka_streams"] == pytest.approx(4.5)
    assert ours["times_kafka_streams_per_cpu_s"] == pytest.approx(6.67)
    assert ours["times_naive_faust"] == pytest.approx(180)


def test_a_form_whose_output_was_wrong_is_no_yardstick() -> None:
    ours = summary()["contenders"]["ours-at-least-once"]
    assert ours["times_kafka_streams"] == pytest.approx(4)
    assert ours["times_kafka_streams_per_cpu_s"] == pytest.approx(7.5)


def test_without_a_yardstick_there_is_no_ratio() -> None:
    alone = {"ours": {"events_per_s": 1.0, "events_per_cpu_s": 1.0, "is_exact": True, "faults": []}}
    add_ratios(alone)
    assert alone["ours"]["times_naive_faust"] is None
    assert alone["ours"]["times_kafka_streams"] is None


def test_every_contender_has_its_figures_with_medians_and_ranges() -> None:
    told = summary()
    ours = told["contenders"]["ours-exactly-once"]
    assert ours["events_per_s"] == pytest.approx(945_000)
    assert ours["events_per_s_range"] == [900_000, 990_000]
    assert {"events_per_cpu_s", "peak_rss_mb", "startup_s", "settings", "faults", "is_exact"} <= set(ours)
    assert {"contenders", "settings", "machine", "commit", "valid"} <= set(told)
    assert "180" in table(told)


def test_one_fault_makes_the_run_invalid_and_the_table_says_so() -> None:
    told = summary("3 notifications missing")
    assert not told["valid"]
    assert "INVALID ours-exactly-once: 3 notifications missing" in table(told)


def test_who_has_latency_only_is_in_the_latency_table_only() -> None:
    told = summary()
    one = {
        "p50": 5.0,
        "p99": 9.0,
        "p999": 20.0,
        "max": 30.0,
        "is_overloaded": True,
        "faults": [],
        "rate": 1_000,
    }
    told["contenders"]["floor-echo"] = {
        "latency_ms": {"1000": {**one, "cores": 0.0, "generator_late_ms": {"p99": 1.0, "max": 2.0}}}
    }
    text = table(told)
    assert text.count("floor-echo") == 1
    assert "overloaded" in text


@pytest.mark.parametrize(
    ("value", "text"), [(950, "950"), (1_234, "1.23k"), (35_000, "35k"), (2_400_000, "2.4M"), (0.5, "0.5")]
)
def test_numbers_on_axes_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_every_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    told = summary()
    one = {"p50": 5.0, "p99": 9.0, "p999": 20.0, "is_overloaded": False}
    told["contenders"]["ours-exactly-once"]["latency_ms"] = {"1000": one, "saturation": {**one, "p50": None}}
    told["contenders"]["floor-echo"] = {"latency_ms": {"1000": one}}
    plot_throughput(told, tmp_path / "throughput.png")
    plot_latency(told, tmp_path / "latency.png")
    for curve in curves(100_000):
        points = [
            {"x": x, "cpu_ns_per_event": 800.0, "events_per_s": 9e5, "peak_rss_mb": 99.0, "faults": []}
            for x in curve.values
        ]
        fitted = fit(curve.over, curve.unit, {1: 1.0, 2: 2.0, 3: 3.0})
        plot_growth({"points": points, "fit": fitted}, curve, tmp_path / f"{curve.name}.png", "test")
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert len(drawn) == 7
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
