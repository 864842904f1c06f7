"""Turns a committed result, and what was lost, into the numbers that the observer takes.

May import kernel and core. Read next: `observer.py`.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from streams.core.codes import ConsentOutcome, Fate, Reason, RefusalReason
from streams.kafka.observer import Observer
from streams.kafka.positions import StartPositions
from streams.kernel.batch_result import BatchResult, Counts
from streams.kernel.fold_batch import FoldResult
from streams.kernel.record_batch import RecordBatch

log = logging.getLogger(__name__)


class LostRecords:
    """Tells once of records of a partition number that retention deleted before anybody read them."""

    def __init__(self, observer: Observer, partition: int) -> None:
        self._observer = observer
        self._partition = partition
        self._told: dict[str, int] = {}

    def tell(self, start: StartPositions) -> None:
        """Tell of what is lost at this start and was not told before. Never raises."""
        for topic, count in start.lost.items():
            position = start.positions[topic]
            if self._told.get(topic) != position:
                self._told[topic] = position
                self._observer.lost(topic, count)
                log.error(
                    "%s-%d: %d offsets up to %d were deleted before they were read: their records are lost; "
                    "retention is shorter than the time that no worker ran",
                    topic, self._partition, count, position,
                )  # fmt: skip


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
    newest = {batch.topic: batch.timestamp_ms(len(batch) - 1) for batch in batches if len(batch)}
    held = result.holder_counts()
    latencies = {max(0, now_ms - at) / 1000: count for at, count in result.notified_ms().items()}
    for topic, counts in result.counts.items():
        fates, decisions, kinds = _by_name(counts), _by_name(held.get(topic, {})), Counter[str]()
        for (fate, _, kind), count in held.get(topic, {}).items():
            if fate == Fate.NOTIFY and kind is not None:
                kinds[kind.name] += count
        left = lags(topic)
        behind_s = max(0, now_ms - newest.get(topic, now_ms)) / 1000 if left > 0 else 0.0
        observer.merged(
            topic, result.partition, fates, decisions, kinds, latencies, left, behind_s, transaction_seconds
        )
        latencies = {}
    for letter in result.dead_letters:
        observer.dead_letter(letter.reason.name, 1)
        if letter.reason == Reason.MISROUTED:
            observer.misrouted(1)
    for field, count in result.masked.items():
        observer.masked(field, count)


def tell_fold(observer: Observer, result: FoldResult) -> None:
    """Tell what a merged fold did. Never raises."""
    for _, answer in result.answers:
        reason = None if answer.reason is None else RefusalReason(answer.reason).name
        observer.fold(ConsentOutcome(answer.outcome).name, reason, 1)
    for letter in result.dead_letters:
        observer.dead_letter(letter.reason.name, 1)


def _by_name(counts: Counts) -> Counter[tuple[str, str | None]]:
    named: Counter[tuple[str, str | None]] = Counter()
    for (fate, reason, _), count in counts.items():
        named[fate.name, None if reason is None else reason.name] += count
    return named
