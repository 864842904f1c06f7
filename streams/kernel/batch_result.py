"""The result of a batch as one value.

Everything that one transaction writes, and the overlay that is merged when it did.

May import wire and core. Read next: `interpret.py`.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar

from streams.core.codes import Fate, Kind, Reason
from streams.core.subject_state import SubjectState
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import DecisionRow, InputRange, OffsetRun
from streams.wire.headers import dead_letter_headers

HeaderList = list[tuple[str, bytes]]
Counts = dict[tuple[Fate, Reason | None, Kind | None], int]
_Code = TypeVar("_Code", bound=IntEnum)


@dataclass(slots=True)
class Output:
    """One record for `messenger-delivery`, ready to send.

    `occurred_ms` is the record's own time, for latency.
    """

    key: bytes
    value: bytes
    headers: HeaderList
    occurred_ms: int


@dataclass(slots=True)
class DeadLetter:
    """One record for `notifier.dead-letters`: the original key, its headers.

    `value` is the refused one where a holder's consent let it be opened, None otherwise; it is never written
    as it is (`streams/kafka/result_writes.py`).
    """

    key: bytes | None
    headers: HeaderList
    reason: Reason
    value: bytes | None = None


def dead_letter(batch: RecordBatch, index: int, reason: Reason) -> DeadLetter:
    """Return the dead letter of a request, without its value. Never raises."""
    headers = dead_letter_headers(batch.topic, batch.partition, batch.offset(index), reason)
    return DeadLetter(batch.key(index), headers, reason)


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the compiled path wrote: bytes that stand in the place of `rows`, `outputs` and run lists.

    Attributes:
        stamp: names what the decision staged in the packed memory.
        deliveries: record batches for `messenger-delivery`: partition, what `Setup.pack` made of the encoded
            records, how many.
        states: record batches for `notifier.state`: encoded records, not packed yet, and how many.
        rows, row_count: encoded decisions.
        runs, run_count: encoded runs of records without consent.
        holder_counts: per topic, decisions by (fate, reason, kind).
        occurred_ms: how many notifications go back to a record of each time, for latency.
    """

    stamp: int
    deliveries: list[tuple[int, Any, int]]
    states: list[tuple[bytes, int]]
    rows: bytes
    row_count: int
    runs: bytes
    run_count: int
    holder_counts: dict[str, Counts]
    occurred_ms: dict[int, int]


@dataclass(slots=True)
class BatchResult:
    """What became of the records of one transaction.

    Attributes:
        inputs: what was read, per topic in the order decided.
        counts: per topic, records by (fate, reason, kind of the first notification); sums to the records
            read.
        states: subject states after the batch, by key; merged only after the commit.
        consent_next_offset: consent requests below it were folded.
        decided_at: the one decision time, UTC milliseconds.
        masked: by field of notifications, in how many a number was masked.
        encoded: what the compiled path wrote, None on the interpreted one; `rows`, `outputs` and
            `no_consent_runs` are empty then, and `states` holds the subjects that left for the Python path.
    """

    partition: int
    decided_at: int
    consent_next_offset: int
    inputs: list[InputRange] = field(default_factory=list)
    counts: dict[str, Counts] = field(default_factory=dict)
    no_consent_runs: list[OffsetRun] = field(default_factory=list)
    rows: list[DecisionRow] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    states: dict[bytes, SubjectState] = field(default_factory=dict)
    masked: dict[str, int] = field(default_factory=dict)
    encoded: Encoded | None = None

    def holder_counts(self) -> dict[str, Counts]:
        """Return, per topic, how many decisions of holders met each (fate, reason, kind)."""
        if self.encoded is not None:
            return self.encoded.holder_counts
        alike = Counter((row.topic, row.outcome, row.reason, row.kind) for row in self.rows)
        counts: dict[str, Counts] = {}
        for (topic, outcome, reason, kind), count in alike.items():
            counts.setdefault(topic, {})[Fate(outcome), _member(Reason, reason), _member(Kind, kind)] = count
        return counts

    def notified_ms(self) -> dict[int, int]:
        """Return how many notifications go back to a record of each time."""
        if self.encoded is not None:
            return self.encoded.occurred_ms
        return Counter(output.occurred_ms for output in self.outputs)

    def total_counts(self) -> Counts:
        """Return the counts over all topics."""
        total: Counts = {}
        for counts in self.counts.values():
            for slot, count in counts.items():
                total[slot] = total.get(slot, 0) + count
        return total

    @property
    def records(self) -> int:
        """Return how many records were read."""
        return sum(item.records for item in self.inputs)


def _member(codes: type[_Code], code: int | None) -> _Code | None:
    return None if code is None else codes(code)
