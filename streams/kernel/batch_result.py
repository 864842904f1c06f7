"""The result of a batch as one value.

Everything that one transaction writes, and the overlay that is merged when it did.

May import wire and core. Read next: `interpret.py`.
"""

from dataclasses import dataclass, field

from streams.core.codes import Fate, Kind, Reason
from streams.core.subject_state import SubjectState
from streams.wire.codec import DecisionRow, InputRange, OffsetRun

HeaderList = list[tuple[str, bytes]]
Counts = dict[tuple[Fate, Reason | None, Kind | None], int]


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
    """One record for `notifier.dead-letters`: the original key, no value."""

    key: bytes | None
    headers: HeaderList
    reason: Reason


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
