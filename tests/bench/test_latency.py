"""What a latency run tells is what happened: counted from the schedule, nothing missing kept quiet."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.latency import TEMPLATES, capacities_of, is_valid, write_templates
from bench.latency_contenders import DEFAULTS, KNOWN, LOW_LATENCY, retuned
from bench.latency_figures import (
    SATURATION,
    Arrivals,
    Schedule,
    faults,
    figures,
    over_rounds,
    percentile,
    rates,
    read_arrivals,
)
from bench.report import latency_table
from bench.workload import Workload

TOLD = b"\1\0"
"""Every second event is notified."""


def arrivals(
    latency_us: Sequence[int], *, late: int = 0, duplicates: int = 0, strangers: int = 0
) -> Arrivals:
    return Arrivals(latency_us, [late] * len(latency_us), duplicates, strangers, 0.25)


def flawless(events: int, latency_us: int) -> list[int]:
    return [latency_us if number % 2 == 0 else -1 for number in range(events)]


def one_round(**changes: Any) -> dict[str, Any]:
    schedule = Schedule(100, 1, 2)
    return {
        **figures(schedule, arrivals(flawless(300, 5_000)), TOLD),
        "faults": [],
        "cores": 0.5,
        **changes,
    }


def test_only_events_due_after_the_warm_up_count() -> None:
    schedule = Schedule(rate=100, warmup_s=1, measured_s=2)
    assert schedule.events == 300
    assert schedule.measured == range(100, 300)
    slow_warm_up = [
        900_000 if number < 100 else latency for number, latency in enumerate(flawless(300, 5_000))
    ]
    told = figures(schedule, arrivals(slow_warm_up), TOLD)
    assert (told["p50"], told["max"], told["notifications"]) == (5.0, 5.0, 100)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.001, 1), (0.0, 1)]
)
def test_a_percentile_is_a_measured_value_that_so_many_do_not_exceed(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def test_one_slow_event_in_a_thousand_shows_in_the_tail_only() -> None:
    latency = flawless(4_000, 5_000)
    for number in range(0, 4_000, 800):
        latency[number] = 700_000
    told = figures(Schedule(1_000, 0, 4), arrivals(latency), TOLD)
    assert (told["p50"], told["p99"], told["p999"], told["max"]) == (5.0, 5.0, 700.0, 700.0)


def test_a_queue_that_only_grows_is_called_overloaded() -> None:
    growing = [number * 10_000 if number % 2 == 0 else -1 for number in range(300)]
    assert figures(Schedule(100, 0, 3), arrivals(growing), TOLD)["is_overloaded"]
    assert not figures(Schedule(100, 0, 3), arrivals(flawless(300, 900_000)), TOLD)["is_overloaded"]


def test_how_late_the_generator_was_is_told() -> None:
    told = figures(Schedule(100, 0, 3), arrivals(flawless(300, 5_000), late=1_500), TOLD)
    assert told["generator_late_ms"] == {"p99": 1.5, "max": 1.5}


def test_flawless_output_has_no_fault() -> None:
    assert faults(arrivals(flawless(300, 5_000)), TOLD) == []


def test_a_missing_notification_is_a_fault_in_the_warm_up_too() -> None:
    latency = flawless(300, 5_000)
    latency[0] = latency[200] = -1
    assert faults(arrivals(latency), TOLD) == ["2 notifications missing"]


def test_a_notification_that_nobody_may_get_is_a_fault_but_an_echo_is_none() -> None:
    everything = arrivals([5_000] * 300)
    assert faults(everything, TOLD) == ["150 notifications of events that nobody may be told"]
    assert faults(everything, TOLD, is_echo=True) == []


def test_repeats_and_strangers_are_faults() -> None:
    found = faults(arrivals(flawless(300, 5_000), duplicates=3, strangers=1_000), TOLD)
    assert found == ["3 notifications twice", "1,000 notifications that no event causes"]


def test_rates_run_from_high_to_low_and_leave_out_what_cannot_be_done() -> None:
    fixed = (1_000, 10_000, 50_000)
    assert list(rates(fixed, 30_000).items()) == [(SATURATION, 24_000), ("10000", 10_000), ("1000", 1_000)]
    assert list(rates(fixed, None)) == ["50000", "10000", "1000"]


def test_the_generators_result_is_read_back() -> None:
    data = struct.pack(">6i", 1_000, -1, 3_000, 10, 20, 30)
    found = read_arrivals(data, {"duplicates": 1, "strangers": 2, "drain_s": 0.5})
    assert (list(found.latency_us), list(found.lateness_us)) == ([1_000, -1, 3_000], [10, 20, 30])
    assert (found.duplicates, found.strangers, found.drain_s) == (1, 2, 0.5)


def test_rounds_are_told_as_median_and_range() -> None:
    together = over_rounds([one_round(p99=9.0), one_round(p99=5.0), one_round(p99=6.0, faults=["x"])])
    assert (together["p99"], together["p99_range"], together["faults"]) == (6.0, [5.0, 9.0], ["x"])
    assert {"p50", "p99", "p999", "max", "rate", "is_overloaded", "generator_late_ms"} <= set(together)


def test_a_round_in_which_nothing_arrived_is_told_without_percentiles() -> None:
    nothing = figures(Schedule(100, 0, 3), arrivals([-1] * 300), TOLD)
    assert (nothing["p50"], nothing["notifications"], nothing["is_overloaded"]) == (None, 0, False)


def test_one_fault_makes_the_run_invalid_and_the_table_says_so() -> None:
    right = {"ours": {"1000": over_rounds([one_round()])}}
    missing = over_rounds([one_round(faults=["2 notifications missing"])])
    wrong = {"ours": {**right["ours"], "10000": missing}}
    assert is_valid(right)
    assert not is_valid(wrong)
    summary = {"contenders": {"ours": {"latency_ms": wrong["ours"]}}}
    assert "INVALID ours at 10000: 2 notifications missing" in latency_table(summary)


def test_templates_are_the_workloads_events_and_each_partition_has_one_probe(tmp_path: Path) -> None:
    templates = write_templates(tmp_path / "templates")
    data, at, probes, told = templates.file.read_bytes(), 0, [], []
    work = Workload(TEMPLATES, 0)
    for number in range(TEMPLATES):
        partition, mark, time_at, key_bytes = struct.unpack_from(">ibii", data, at)
        at += 13
        key, at = data[at : at + key_bytes], at + key_bytes
        value_bytes = struct.unpack_from(">i", data, at)[0]
        value, at = data[at + 4 : at + 4 + value_bytes], at + 4 + value_bytes
        told.append(mark > 0)
        if number % 1_000 == 0:
            assert value[time_at - len(key) : time_at] == key
            assert value[time_at + 5] < 0x80 <= value[time_at + 4]
            assert partition == work.partition_of_account[work.accounts[number]]
        if mark == 2:
            probes.append((partition, work.accounts[number]))
    assert at == len(data)
    assert [bool(mark) for mark in templates.notifies] == told
    assert sorted(partition for partition, _ in probes) == [0, 1, 2, 3]
    assert all(work.subjects - account < 100 for _, account in probes)


def test_a_contender_tuned_for_latency_differs_in_what_is_published() -> None:
    for name in DEFAULTS:
        if name.endswith(LOW_LATENCY):
            base, tuned = KNOWN[name.removesuffix(LOW_LATENCY)], KNOWN[name]
            changed = {key for key in tuned.settings if tuned.settings[key] != base.settings.get(key)}
            assert changed
            assert changed <= {"commit.interval.ms", "producer.linger.ms"}
    assert {"ours-exactly-once", "ours-at-least-once", "kafka-streams-exactly-once-v2"} <= set(DEFAULTS)


def test_tuning_is_appended_so_that_it_wins() -> None:
    base = next(iter(KNOWN.values()))
    plain = list(base.command("localhost:1", Path("folder")))
    found = list(retuned(base, {"commit.interval.ms": "10"}).command("localhost:1", Path("folder")))
    assert found == [*plain, "commit.interval.ms=10"]


def test_throughput_comes_from_the_run_before_and_of_the_namesake() -> None:
    known = {
        "kafka-streams-exactly-once-v2": {"events_per_s": 2.0},
        "ours-at-least-once": {"events_per_s": 3.0},
    }
    found = capacities_of(known, [KNOWN[name] for name in DEFAULTS])
    assert found == {
        "ours-at-least-once": 3.0,
        "kafka-streams-exactly-once-v2": 2.0,
        f"kafka-streams-exactly-once-v2{LOW_LATENCY}": 2.0,
    }
