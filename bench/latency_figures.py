"""What a latency run means: which events count, percentiles, what is missing. Pure: no clock, no I/O."""

import sys
from array import array
from collections.abc import Mapping, Sequence
from math import ceil
from statistics import median
from typing import Any, NamedTuple

PERCENTILES: Mapping[str, float] = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
OVERLOAD_MS = 1_000.0
SATURATION = "saturation"
SATURATION_SHARE = 0.8
"""Of the measured throughput. Above its throughput an open loop has no latency: the queue only grows."""
HEADROOM = 0.95
"""Rates above this share of a contender's throughput are left out, and said to be."""


class Schedule(NamedTuple):
    """When events are due: at a fixed rate, the first `warmup_s` seconds of them do not count."""

    rate: int
    warmup_s: int
    measured_s: int

    @property
    def events(self) -> int:
        """How many are sent."""
        return self.rate * (self.warmup_s + self.measured_s)

    @property
    def measured(self) -> range:
        """Numbers of the events that count."""
        return range(self.rate * self.warmup_s, self.events)


class Arrivals(NamedTuple):
    """What the generator noted, by event number.

    Attributes:
        latency_us: Microseconds from when an event was due to when its notification was read; -1: never.
        lateness_us: Microseconds from when it was due to when it was sent.
        duplicates: Notifications of an event that had one.
        strangers: Records on the output topic that no event of the run causes.
        drain_s: From the last event sent to the last notification read.
    """

    latency_us: Sequence[int]
    lateness_us: Sequence[int]
    duplicates: int
    strangers: int
    drain_s: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the ascending values do not exceed.

    Raises:
        ValueError: there are no values.
    """
    if not ordered:
        raise ValueError("no percentile of nothing")
    return ordered[max(ceil(share * len(ordered)) - 1, 0)]


def rates(fixed: Sequence[int], capacity: float | None) -> dict[str, int]:
    """Name the rates that a contender is run at, the highest first, so that the lower ones meet it warm.

    Args:
        fixed: Events per second.
        capacity: Its throughput in events per second; None if unknown: then no rate is left out, and there is
            no saturation.
    """
    chosen = {str(rate): rate for rate in fixed if capacity is None or rate <= HEADROOM * capacity}
    if capacity is not None:
        chosen[SATURATION] = int(SATURATION_SHARE * capacity)
    return dict(sorted(chosen.items(), key=lambda one: -one[1]))


def faults(arrivals: Arrivals, notifies: bytes, *, is_echo: bool = False) -> list[str]:
    """Say what is wrong with the output, one line a kind; empty if every notification came once and no other.

    Args:
        arrivals: Of all events, warm-up included.
        notifies: By template, 1 if its events must be notified; events take the templates in turn.
        is_echo: Whether every event comes back as it is.
    """
    missing = unwanted = 0
    for number, latency in enumerate(arrivals.latency_us):
        is_wanted = notifies[number % len(notifies)]
        missing += bool(is_wanted) and latency < 0
        unwanted += not is_wanted and latency >= 0
    told = {
        "missing": missing,
        "of events that nobody may be told": 0 if is_echo else unwanted,
        "twice": arrivals.duplicates,
        "that no event causes": arrivals.strangers,
    }
    return [f"{count:,} notifications {what}" for what, count in told.items() if count]


def figures(schedule: Schedule, arrivals: Arrivals, notifies: bytes) -> dict[str, Any]:
    """Sum up one run: percentiles of the measured events in milliseconds, and how punctual the generator was.

    Returns:
        p50, p99, p999, max; `rate`; `notifications` that were measured; `is_overloaded`: half of the last
        quarter took over a second; `generator_late_ms`; `drain_s`. Percentiles are None if nothing arrived.
    """
    wanted = [number for number in schedule.measured if notifies[number % len(notifies)]]
    arrived = [arrivals.latency_us[number] for number in wanted if arrivals.latency_us[number] >= 0]
    last = sorted(arrived[-(len(arrived) // 4) :])
    late = sorted(arrivals.lateness_us[schedule.measured.start :])
    return {
        **_percentiles(arrived),
        "rate": schedule.rate,
        "notifications": len(arrived),
        "is_overloaded": bool(last) and percentile(last, 0.5) > OVERLOAD_MS * 1_000,
        "generator_late_ms": {"p99": percentile(late, 0.99) / 1_000, "max": late[-1] / 1_000},
        "drain_s": arrivals.drain_s,
    }


def _percentiles(microseconds: Sequence[int]) -> dict[str, float | None]:
    ordered = sorted(microseconds)
    if not ordered:
        return dict.fromkeys(PERCENTILES)
    return {name: round(percentile(ordered, share) / 1_000, 2) for name, share in PERCENTILES.items()}


def over_rounds(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put rounds at one rate together: the median of each percentile, its range, the worst of the rest."""
    together: dict[str, Any] = {}
    for name in PERCENTILES:
        values = [one[name] for one in rounds if one[name] is not None]
        together[name] = round(median(values), 2) if values else None
        together[f"{name}_range"] = [min(values), max(values)] if values else None
    return {
        **together,
        "rate": rounds[0]["rate"],
        "notifications": sum(one["notifications"] for one in rounds),
        "is_overloaded": any(one["is_overloaded"] for one in rounds),
        "generator_late_ms": {
            name: max(one["generator_late_ms"][name] for one in rounds) for name in ("p99", "max")
        },
        "cores": round(median(one["cores"] for one in rounds), 3),
        "faults": [fault for one in rounds for fault in one["faults"]],
    }


def read_arrivals(data: bytes, report: Mapping[str, Any]) -> Arrivals:
    """Read the generator's result: big-endian ints, all latencies, then all latenesses.

    Args:
        data: Its result file.
        report: The JSON object that it printed.
    """
    numbers = array("i", data)
    if sys.byteorder == "little":
        numbers.byteswap()
    half = len(numbers) // 2
    return Arrivals(
        numbers[:half], numbers[half:], report["duplicates"], report["strangers"], report["drain_s"]
    )
