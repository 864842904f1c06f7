"""What grows, over which values, and what it costs: the curves' points and fits. Pure: no clock, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log10
from statistics import correlation, linear_regression
from typing import Any, Literal, NamedTuple

from bench.workload import ACCOUNTS, CONSENTED_SHARE, PARTITIONS

NS = 1_000_000_000
USUAL_BYTES = 130
MIN_POINTS = 3


class Point(NamedTuple):
    """The workload of one measurement."""

    consented_share: float = CONSENTED_SHARE
    subjects: int = ACCOUNTS
    partitions: int = PARTITIONS
    value_bytes: int = USUAL_BYTES
    codec: str = "lz4"


@dataclass(frozen=True, slots=True)
class Curve:
    """One thing that grows while the rest stays usual.

    Attributes:
        name: Key of its figures, and the field of `Point` that it varies.
        title: For its plot.
        label: Of the x axis, with the unit.
        values: In ascending order, if they have one.
        over: What the cost of an event is linear in: x, its logarithm to base 10, or nothing (names).
        unit: What one unit of x, or one power of ten, is called in the fitted cost.
    """

    name: Literal["consented_share", "subjects", "partitions", "value_bytes", "codec"]
    title: str
    label: str
    values: Sequence[Any] = field(default=())
    over: Literal["x", "log10", ""] = "x"
    unit: str = ""

    @property
    def is_log(self) -> bool:
        """Whether its values span powers of ten."""
        return self.name in {"subjects", "partitions", "value_bytes"}

    @property
    def points(self) -> list[Point]:
        """The workloads of the curve."""
        return [Point()._replace(**{self.name: value}) for value in self.values]


def curves(max_subjects: int) -> tuple[Curve, ...]:
    """Return the curves; subjects go up in powers of ten to `max_subjects`."""
    powers = [10**power for power in range(4, 8) if 10**power <= max_subjects]
    return (
        Curve(
            "consented_share",
            "Share of subjects that consented",
            "consented share of subjects, %",
            (0.0, 0.1, 0.3, 0.5, 1.0),
            unit="for a consented subject",
        ),
        Curve(
            "subjects",
            "Number of subjects",
            "subjects (log scale)",
            powers,
            "log10",
            "per power of ten of subjects",
        ),
        Curve(
            "partitions",
            "Number of partitions",
            "partitions (log scale)",
            (1, 4, 16, 64),
            unit="per partition",
        ),
        Curve(
            "value_bytes",
            "Size of an event",
            "bytes of one value (log scale)",
            (100, USUAL_BYTES, 1_000, 4_000, 10_000),
            unit="per byte",
        ),
        Curve(
            "codec",
            "Codec of the event topic",
            "codec of the producer",
            ("none", "gzip", "snappy", "lz4", "zstd"),
            "",
        ),
    )


def fit(over: Literal["x", "log10", ""], unit: str, costs: Mapping[float, float]) -> dict[str, Any] | None:
    """Fit nanoseconds per event = a + b * x by least squares; None for names, and below three points.

    Args:
        over: Whether x enters as it is or as its logarithm to base 10.
        unit: Words for b.
        costs: Nanoseconds of CPU per event by x.

    Returns:
        a and b in nanoseconds, r2 (1: the points lie on the line), `over`, and `text` in words.
    """
    if not over or len(costs) < MIN_POINTS:
        return None
    xs = [log10(x) if over == "log10" else float(x) for x in costs]
    ys = list(costs.values())
    slope, intercept = linear_regression(xs, ys)
    is_flat = len(set(ys)) == 1
    r2 = 1.0 if is_flat else correlation(xs, ys) ** 2
    text = f"{intercept:,.0f} ns {'+' if slope >= 0 else '-'} {_digits(abs(slope))} ns {unit}, r² {r2:.2f}"
    return {"a": intercept, "b": slope, "r2": r2, "over": over, "text": text}


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def cost_ns(events_per_cpu_s: float) -> float:
    """Return CPU nanoseconds per event; 0 if nothing was measured."""
    return NS / events_per_cpu_s if events_per_cpu_s else 0.0
