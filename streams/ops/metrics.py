"""What Prometheus sees: one table of metrics, and the object that the carrier tells about merged batches.

The table makes the prometheus_client objects, `docs/metrics.md` and the test of label bounds; nothing else
names a metric. Label values come from the closed lists of `core.codes` or from the assignment (topic,
partition), so the number of series is bounded whatever the input holds: a name that no list knows counts as
UNKNOWN. Only merged (committed) batches are counted. Imports core, prometheus_client. Read next: `health.py`.
"""

import platform
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from enum import IntEnum
from itertools import accumulate
from typing import Literal, NamedTuple

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from streams import __version__
from streams.core.codes import ConsentOutcome, Fate, Kind, LinkAction, Reason, RefusalReason
from streams.core.project import FREE_TEXTS

NO_REASON = "NONE"
TransactionOutcome = Literal["committed", "aborted", "unknown"]
TRANSACTION_OUTCOMES: tuple[TransactionOutcome, ...] = ("committed", "aborted", "unknown")


class MetricSpec(NamedTuple):
    """One row of the table; `buckets` (seconds, rising) only for a histogram."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()


# From the floor of a local broker (about 5 ms) to a takeover (15 s) and a backlog.
LATENCY_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 600.0)
# Up to the transaction timeout (10 s).
STEP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

TABLE: tuple[MetricSpec, ...] = (
    MetricSpec(
        "notifier_records_total",
        "counter",
        ("topic", "fate", "reason"),
        "Records of merged batches by fate: each record once.",
    ),
    MetricSpec(
        "notifier_decisions_total",
        "counter",
        ("outcome", "reason"),
        "Decisions, one per holder asked; a record of two holders counts twice, a notice once.",
    ),
    MetricSpec(
        "notifier_notifications_total", "counter", ("kind",), "Notifications appended to messenger-delivery."
    ),
    MetricSpec(
        "notifier_event_to_append_seconds",
        "histogram",
        (),
        "From the append of a notified event to the append of its notification.",
        LATENCY_BUCKETS,
    ),
    MetricSpec(
        "notifier_lag_records",
        "gauge",
        ("topic", "partition"),
        "Records appended but not yet merged, as of the last merged batch.",
    ),
    MetricSpec(
        "notifier_lag_seconds",
        "gauge",
        ("topic", "partition"),
        "Age of the oldest record of the batch merged last, at its merge.",
    ),
    MetricSpec(
        "notifier_barrier_wait_seconds",
        "histogram",
        (),
        "Wait of a batch until the consent it must see was folded.",
        STEP_BUCKETS,
    ),
    MetricSpec(
        "notifier_restore_ratio",
        "gauge",
        ("topic", "partition"),
        "Part of the state topic that was read back, 0 to 1.",
    ),
    MetricSpec(
        "notifier_restored_records",
        "gauge",
        ("topic", "partition"),
        "Records read back from the state topic at the last assignment.",
    ),
    MetricSpec(
        "notifier_transactions_total",
        "counter",
        ("outcome",),
        "Transactions by outcome: committed, aborted, or unknown (read back after).",
    ),
    MetricSpec(
        "notifier_transaction_seconds",
        "histogram",
        (),
        "From the begin of a transaction to its outcome.",
        STEP_BUCKETS,
    ),
    MetricSpec(
        "notifier_last_transaction_seconds",
        "gauge",
        ("topic", "partition"),
        "Duration of the transaction that merged the last batch.",
    ),
    MetricSpec(
        "notifier_masked_texts_total",
        "counter",
        ("field",),
        "Texts of notifications in which a card, account or other long number was masked.",
    ),
    MetricSpec(
        "notifier_dead_letters_total",
        "counter",
        ("reason",),
        "Records put on notifier.dead-letters.",
    ),
    MetricSpec(
        "notifier_dead_letter_ratio",
        "gauge",
        (),
        "Part of the breaker's window of records that went to dead letters, 0 to 1.",
    ),
    MetricSpec(
        "notifier_lost_records_total",
        "counter",
        ("topic",),
        "Offsets that retention deleted before their records were read.",
    ),
    MetricSpec(
        "notifier_stalled_partitions",
        "gauge",
        (),
        "Partition numbers that have stood still for half of the stall timeout, with records before them.",
    ),
    MetricSpec(
        "notifier_misrouted_records_total",
        "counter",
        (),
        "Records found in another partition than murmur2 of their key says.",
    ),
    MetricSpec(
        "notifier_consent_requests_total",
        "counter",
        ("outcome", "reason"),
        "Consent requests folded, accepted or refused.",
    ),
    MetricSpec(
        "notifier_link_requests_total",
        "counter",
        ("action", "outcome"),
        "Link requests folded, accepted or refused.",
    ),
    MetricSpec(
        "notifier_link_revocations_total",
        "counter",
        (),
        "Revocations of consents that unlinks wrote to consent.requests.",
    ),
    MetricSpec(
        "notifier_rebalances_total",
        "counter",
        (),
        "Rebalances of the consumer group that this worker took part in.",
    ),
    MetricSpec("notifier_assigned_partitions", "gauge", (), "Partition numbers that this worker owns."),
    MetricSpec("notifier_partitions", "gauge", (), "Partition numbers of the subject space, fixed for life."),
    MetricSpec("notifier_build_info", "gauge", ("version", "python"), "Always 1; the labels say what runs."),
)


class Histogram(Collector):
    """A histogram that takes many values at once; prometheus_client's own locks and scans for each."""

    def __init__(self, spec: MetricSpec) -> None:
        self._spec = spec
        self._counts = [0] * (len(spec.buckets) + 1)
        self._sum = 0.0

    def observe(self, seconds: Mapping[float, int]) -> None:
        """Count every value, as often as it says, in the first bucket whose bound is not below it.

        Never raises.
        """
        bounds, counts = self._spec.buckets, self._counts
        for value, count in seconds.items():
            counts[bisect_left(bounds, value)] += count
            self._sum += value * count

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Give the cumulative buckets to the registry."""
        bounds = [*map(str, self._spec.buckets), "+Inf"]
        buckets: list[tuple[str, float]] = list(zip(bounds, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._spec.name, self._spec.meaning, buckets=buckets, sum_value=self._sum)


def _known(name: str | None, *lists: type[IntEnum]) -> str:
    """Keep a label value inside its closed lists: NONE for none, UNKNOWN for a stranger."""
    if name is None:
        return NO_REASON
    return name if any(name in codes.__members__ for codes in lists) else "UNKNOWN"


class Metrics:
    """The worker's numbers; called on the event loop's thread; no method raises on a name it does not know.

    Args:
        partitions: Partition numbers of the subject space.
    """

    def __init__(self, partitions: int) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for spec in TABLE:
            self._register(spec)
        self._placed: set[tuple[str, int]] = set()
        self._gauges["notifier_partitions"].set(partitions)
        self._gauges["notifier_build_info"].labels(__version__, platform.python_version()).set(1)
        for outcome in TRANSACTION_OUTCOMES:
            self._counters["notifier_transactions_total"].labels(outcome)

    def _register(self, spec: MetricSpec) -> None:
        match spec.type:
            case "counter":
                self._counters[spec.name] = Counter(
                    spec.name, spec.meaning, spec.labels, registry=self.registry
                )
            case "gauge":
                self._gauges[spec.name] = Gauge(spec.name, spec.meaning, spec.labels, registry=self.registry)
            case "histogram":
                self._histograms[spec.name] = Histogram(spec)
                self.registry.register(self._histograms[spec.name])

    def merged(
        self,
        topic: str,
        partition: int,
        fates: Mapping[tuple[str, str | None], int],
        decisions: Mapping[tuple[str, str | None], int],
        notified_kinds: Mapping[str, int],
        append_latencies_s: Mapping[float, int],
        lag_records: int,
        lag_seconds: float,
        transaction_seconds: float,
    ) -> None:
        """Count one batch of one topic after its transaction was merged.

        Keys are names of `Fate`, `Reason` (None for none) and `Kind` in `core.codes`; `fates` count records,
        `decisions` count holders; latencies and durations are seconds; the lag is what is left after
        it. Latencies come with how often each was seen.
        """
        records = self._counters["notifier_records_total"]
        for (fate, reason), count in fates.items():
            records.labels(topic, _known(fate, Fate), _known(reason, Reason)).inc(count)
        holders = self._counters["notifier_decisions_total"]
        for (outcome, reason), count in decisions.items():
            holders.labels(_known(outcome, Fate), _known(reason, Reason)).inc(count)
        for kind, count in notified_kinds.items():
            self._counters["notifier_notifications_total"].labels(_known(kind, Kind)).inc(count)
        self._histograms["notifier_event_to_append_seconds"].observe(append_latencies_s)
        self._place("notifier_lag_records", topic, partition, lag_records)
        self._place("notifier_lag_seconds", topic, partition, lag_seconds)
        self._place("notifier_last_transaction_seconds", topic, partition, transaction_seconds)

    def barrier_wait(self, partition: int, seconds: float) -> None:  # noqa: ARG002 - 24 partitions times 15 buckets are not worth their series
        """Observe how long a batch of a partition waited for consent."""
        self._histograms["notifier_barrier_wait_seconds"].observe({seconds: 1})

    def restore_progress(self, partition: int, topic: str, done: int, total: int) -> None:
        """Show how many of `total` records of a state topic were read back; nothing to read is done."""
        self._place("notifier_restore_ratio", topic, partition, min(done / total, 1.0) if total > 0 else 1.0)
        self._place("notifier_restored_records", topic, partition, done)

    def transaction(self, outcome: TransactionOutcome, seconds: float) -> None:
        """Count a transaction's end and observe its duration."""
        self._counters["notifier_transactions_total"].labels(outcome).inc()
        self._histograms["notifier_transaction_seconds"].observe({seconds: 1})

    def fold(self, outcome: str, reason: str | None, count: int) -> None:
        """Count folded consent requests; names are those of ConsentOutcome and RefusalReason."""
        labels = (_known(outcome, ConsentOutcome), _known(reason, RefusalReason))
        self._counters["notifier_consent_requests_total"].labels(*labels).inc(count)

    def link(self, action: str, outcome: str, count: int) -> None:
        """Count folded link requests; names are those of LinkAction and ConsentOutcome."""
        labels = (_known(action, LinkAction), _known(outcome, ConsentOutcome))
        self._counters["notifier_link_requests_total"].labels(*labels).inc(count)

    def link_revocations(self, n: int) -> None:
        """Count revocations that unlinks wrote."""
        self._counters["notifier_link_revocations_total"].inc(n)

    def rebalance(self) -> None:
        """Count a rebalance."""
        self._counters["notifier_rebalances_total"].inc()

    def misrouted(self, n: int) -> None:
        """Count records found in a partition that is not their key's."""
        self._counters["notifier_misrouted_records_total"].inc(n)

    def masked(self, field: str, n: int) -> None:
        """Count texts in which numbers were masked, by the notification's field."""
        self._counters["notifier_masked_texts_total"].labels(field if field in FREE_TEXTS else "UNKNOWN").inc(
            n
        )

    def notices(self, n: int) -> None:
        """Count notices of a consent's end: decisions without a record, each with its notification."""
        self._counters["notifier_decisions_total"].labels(Fate.NOTIFY.name, NO_REASON).inc(n)
        self._counters["notifier_notifications_total"].labels(Kind.SERVICE.name).inc(n)

    def lost(self, topic: str, n: int) -> None:
        """Count offsets that were deleted unread."""
        self._counters["notifier_lost_records_total"].labels(topic).inc(n)

    def stalled(self, partitions: int) -> None:
        """Show how many partition numbers stand still."""
        self._gauges["notifier_stalled_partitions"].set(partitions)

    def dead_letter_ratio(self, ratio: float) -> None:
        """Show the breaker's share, 0 to 1."""
        self._gauges["notifier_dead_letter_ratio"].set(ratio)

    def dead_letter(self, reason: str, n: int) -> None:
        """Count dead letters; the reason is that of the record or of the consent request."""
        self._counters["notifier_dead_letters_total"].labels(_known(reason, Reason, RefusalReason)).inc(n)

    def assigned(self, partitions: Collection[int]) -> None:
        """Show what this worker owns, and forget the gauges of partitions that it lost."""
        self._gauges["notifier_assigned_partitions"].set(len(partitions))
        for topic, partition in [placed for placed in self._placed if placed[1] not in partitions]:
            self._placed.discard((topic, partition))
            for spec in TABLE:
                if spec.labels == ("topic", "partition"):
                    self._gauges[spec.name].remove_by_labels({"topic": topic, "partition": str(partition)})

    def _place(self, name: str, topic: str, partition: int, value: float) -> None:
        self._placed.add((topic, partition))
        self._gauges[name].labels(topic, str(partition)).set(value)

    def text(self) -> bytes:
        """Render every metric in Prometheus' text format 0.0.4."""
        return prometheus_client.generate_latest(self.registry)


def as_markdown() -> str:
    """Render `docs/metrics.md`: `python -m streams.ops.metrics > docs/metrics.md`."""
    rows = [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels) or '-'} | {meaning} |"
        for name, kind, labels, meaning, _ in TABLE
    ]
    buckets = [
        f"- `{spec.name}`: {', '.join(f'{bound:g}' for bound in spec.buckets)}"
        for spec in TABLE
        if spec.buckets
    ]
    return "\n".join(
        [
            "# Metrics",
            "",
            "Served at the worker's `/metrics`, made from the table in `streams/ops/metrics.py`:",
            "do not edit this page, run `python -m streams.ops.metrics > docs/metrics.md`.",
            "Only merged (committed) batches are counted.",
            "",
            "| metric | type | labels | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            "Values of `fate` and of a decision's `outcome` are those of `Fate`, of `reason` those of",
            "`Reason` or (of consent requests) `RefusalReason`, of `kind` those of `Kind`, of a link",
            "request's `action` and `outcome` those of `LinkAction` and `ConsentOutcome`, all in",
            "`streams/core/codes.py`;",
            f"`{NO_REASON}` stands for no reason. `process_*` beside these are Prometheus' own.",
            "",
            "Buckets, in seconds:",
            "",
            *buckets,
            "",
        ]
    )


if __name__ == "__main__":
    import sys

    sys.stdout.write(as_markdown())
