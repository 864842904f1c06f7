"""Turns a committed result into the numbers that the observer takes.

May import kernel and core. Read next: `observer.py`.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from streams.core.codes import Fate, Kind, Reason
from streams.kafka.observer import Observer
from streams.kernel.batch_result import BatchResult
from streams.kernel.record_batch import RecordBatch

NAMES_FATE = {fate: fate.name for fate in Fate}
NAMES_REASON: dict[Reason | int | None, str | None] = {
    None: None,
    **{reason: reason.name for reason in Reason},
}


def tell_merged(
    observer: Observer,
    result: BatchResult,
    batches: Sequence[RecordBatch],
    lags: Callable[[str], int],
    transaction_seconds: float,
    now_ms: int,
) -> None:
    """Tell what a merged batch did, topic by topic.

    `lags` gives the records left in a topic. Never raises.
    """
    decisions: dict[str, Counter[tuple[str, str | None]]] = {topic: Counter() for topic in result.counts}
    kinds: dict[str, Counter[str]] = {topic: Counter() for topic in result.counts}
    alike = Counter((row.topic, row.outcome, row.reason, row.kind) for row in result.rows)
    for (topic, outcome, reason, kind), count in alike.items():
        decisions[topic][NAMES_FATE[Fate(outcome)], NAMES_REASON[reason]] += count
        if outcome == Fate.NOTIFY and kind is not None:
            kinds[topic][Kind(kind).name] += count
    newest = {batch.topic: batch.timestamp_ms(len(batch) - 1) for batch in batches if len(batch)}
    latencies: list[float] = [max(0, now_ms - output.occurred_ms) / 1000 for output in result.outputs]
    for topic, counts in result.counts.items():
        fates: Counter[tuple[str, str | None]] = Counter()
        for (fate, reason, _), count in counts.items():
            fates[NAMES_FATE[fate], NAMES_REASON[reason]] += count
        left = lags(topic)
        behind_s = max(0, now_ms - newest.get(topic, now_ms)) / 1000 if left > 0 else 0.0
        observer.merged(
            topic,
            result.partition,
            fates,
            decisions[topic],
            kinds[topic],
            latencies,
            left,
            behind_s,
            transaction_seconds,
        )
        latencies = []
    for letter in result.dead_letters:
        observer.dead_letter(letter.reason.name, 1)
        if letter.reason == Reason.MISROUTED:
            observer.misrouted(1)
