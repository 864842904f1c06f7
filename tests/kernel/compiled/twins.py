"""Both paths side by side over the same records: whatever one writes, the other writes too."""

from collections.abc import Sequence
from secrets import token_bytes
from typing import Any

import numpy as np

from streams.core.consent import ConsentState
from streams.core.policy import Policy, make_policy
from streams.core.pseudonyms import SALT_BYTES
from streams.core.subject_state import chunks
from streams.kafka.partition_store import PartitionStore
from streams.kernel.batch_result import BatchResult
from streams.kernel.compiled.raw_batch import RawRecordBatch, read_columns
from streams.kernel.fold_batch import Secrets, fold_batches
from streams.kernel.path import Setup, choose_path
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import (
    DecisionBatch,
    FateCount,
    PositionMarker,
    decode_decision_batch,
    encode_consent_state,
    encode_decision_batch,
    encode_subject_state,
)
from streams.wire.partition import partition_of

DELIVERIES = 3
MARKER = PositionMarker("c", 0, (), "", 0)


class Side:
    """One path with its own store."""

    def __init__(self, name: str, policy: Policy, *, replay: bool, partitions: int, partition: int) -> None:
        path = choose_path(name)
        self.store = PartitionStore(path.new_subjects())
        setup = Setup("twins", partition, partitions, DELIVERIES, policy, 4_096, bytes, replay, 1_048_576)
        self._decide = path.decide_with(setup, self.store.subjects)

    def grant(self, key: bytes, state: ConsentState | None) -> None:
        value = None if state is None else encode_consent_state(state)
        self.store.merge_consents({key: value}, (), 0)

    def decide(self, batches: Sequence[RecordBatch], now: int, *, commits: bool) -> dict[str, Any]:
        """Return everything that follows, in one form for both paths; merge it if it commits."""
        result = self._decide(batches, self.store, 7, now)
        written = self._written(result)
        if commits:
            stamp = None if result.encoded is None else result.encoded.stamp
            self.store.merge_states(result.states, MARKER, 0, stamp)
        return written

    def _written(self, result: BatchResult) -> dict[str, Any]:
        batch = DecisionBatch(
            result.partition, tuple(result.inputs), result.consent_next_offset, result.decided_at, "p",
            tuple(FateCount(*slot, count) for slot, count in sorted(result.total_counts().items(), key=str)),
            tuple(result.no_consent_runs), tuple(result.rows),
        )  # fmt: skip
        encoded = result.encoded
        runs = None if encoded is None else (encoded.runs, encoded.run_count, encoded.rows, encoded.row_count)
        states: dict[bytes, bytes | None] = {}
        deliveries: dict[int, list[Any]] = {number: [] for number in range(DELIVERIES)}
        for key, after in result.states.items():
            for suffix, first, entries in chunks(self.store.state(key), after):
                value = None if entries is None else encode_subject_state(first, entries)
                states[key + b"\x1f" + suffix] = value
        if encoded is None:
            for output in result.outputs:
                deliveries[partition_of(output.key, DELIVERIES)].append(
                    (output.key, output.value, output.headers)
                )
        else:
            for partition, records, count in encoded.deliveries:
                deliveries[partition] += read(records, count)
            for records, count in encoded.states:
                states |= {key or b"": value for key, value, _ in read(records, count)}
        return {
            "decisions": decode_decision_batch(encode_decision_batch(batch, None, runs)[0]),
            "counts": result.counts,
            "holders": {topic: counts for topic, counts in result.holder_counts().items() if counts},
            "times": dict(result.notified_ms()),
            "deliveries": deliveries,
            "dead letters": [(letter.key, letter.headers, letter.reason) for letter in result.dead_letters],
            "states": states,
        }


class Twins:
    """Both paths, fed alike and compared after every decision."""

    def __init__(
        self, policy: Policy | None = None, *, replay: bool = False, partitions: int = 1, partition: int = 0
    ) -> None:
        self.policy = policy or make_policy()
        self.partitions = partitions
        self.sides = [
            Side(name, self.policy, replay=replay, partitions=partitions, partition=partition)
            for name in ("interpreted", "compiled")
        ]

    def fold(self, requests: RecordBatch) -> None:
        """Fold consent requests for both paths."""
        folded = fold_batches(
            [requests],
            self.sides[0].store,
            self.partitions,
            self.policy,
            Secrets(lambda: token_bytes(SALT_BYTES)),
        )
        for key, state in folded.changes.items():
            self.grant(key, state)

    def grant(self, key: bytes, state: ConsentState | None) -> None:
        for side in self.sides:
            side.grant(key, state)

    def decide(self, batches: Sequence[RecordBatch], now: int, *, commits: bool = True) -> dict[str, Any]:
        """Decide on both paths; what they write must be equal. Returns it."""
        plain, packed = (side.decide(batches, now, commits=commits) for side in self.sides)
        for what in plain:
            assert packed[what] == plain[what], what
        for key in {key for batch in batches for key in batch.keys if key}:
            states = [side.store.state(key)._replace(full_until=0) for side in self.sides]
            assert states[0] == states[1]
            consents = [side.store.consent_state(key) for side in self.sides]
            assert consents[0] == consents[1]
        return plain


def batch(
    topic: str, rows: Sequence[tuple[bytes | None, bytes | None]], first: int = 0,
    headers: Sequence[tuple[tuple[str, bytes | None], ...]] | None = None, partition: int = 0,
) -> RawRecordBatch:  # fmt: skip
    """Return records of one topic as the fetcher gives them."""
    offsets = range(first, first + len(rows))
    lists = RecordBatch(
        topic, partition, list(offsets), [1_000 + number % 3 for number in offsets], [key for key, _ in rows],
        [value for _, value in rows], headers or [()] * len(rows), first, first + len(rows),
    )  # fmt: skip
    return RawRecordBatch.of(lists)


def read(
    records: bytes, count: int
) -> list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]]:
    """Read encoded records back."""
    buffer = np.frombuffer(records, np.uint8)
    columns = read_columns(buffer, count, 0, count - 1, 0, 0, has_deltas=True)
    assert columns is not None
    found = RawRecordBatch("t", 0, buffer, columns, 0, count)
    return [(found.key(i), found.value(i), list(found.headers[i])) for i in range(count)]
