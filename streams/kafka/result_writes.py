"""Turns results into the records that make them durable: which topic, which partition, which key.

May import kernel, wire and core. Read next: `partition_task.py`.
"""

import time
from collections.abc import Callable, Mapping
from functools import lru_cache

from streams.core.subject_state import EMPTY_STATE, SubjectState, chunks
from streams.kafka.metadata import ClusterInfo
from streams.kafka.partition_store import CHUNK_SEPARATOR, MARKER_KEY, TICK_KEY, PartitionStore
from streams.kafka.write_set import WriteSet
from streams.kernel.batch_result import BatchResult, DeadLetter
from streams.kernel.fold_batch import FoldResult
from streams.wire.codec import (
    DecisionBatch,
    FateCount,
    PositionMarker,
    TopicPosition,
    encode_consent_result,
    encode_consent_state,
    encode_decision_batch,
    encode_evidence,
    encode_position_marker,
    encode_subject_state,
)
from streams.wire.partition import partition_of
from streams.wire.topics import (
    CONSENT_EVIDENCE,
    CONSENT_RESULTS,
    CONSENT_STATE,
    DEAD_LETTERS,
    DECISIONS,
    DELIVERY,
    NOTIFIER_STATE,
)

RECIPIENTS_KNOWN = 500_000


def _present_ms() -> int:
    """Return the real time, UTC milliseconds: Kafka refuses records of a decision clock that is set ahead."""
    return time.time_ns() // 1_000_000


Seal = Callable[[bytes], bytes]
"""Encrypts a value so that only the operator can read it."""
SEALED_TYPE = ("content-type", b"application/jose")
MAX_SEALED_BYTES = 1 << 19


class ResultWriter:
    """Knows the partitions of the cluster's topics and writes results of one partition number.

    Args:
        seal: encrypts the values of dead letters; None: they are left out.
    """

    def __init__(
        self, cluster: ClusterInfo, partition: int, policy_version: str, seal: Seal | None = None
    ) -> None:
        self._cluster = cluster
        self._seal = seal
        self._partition = partition
        self._policy_version = policy_version
        own = (CONSENT_STATE, CONSENT_RESULTS, NOTIFIER_STATE, DECISIONS)
        self.slots = [(topic, partition) for topic in own]
        """Every partition that it may write to: of other topics it does not choose the keys."""
        for topic in (DELIVERY, CONSENT_EVIDENCE, DEAD_LETTERS):
            self.slots += [(topic, number) for number in range(cluster.topics[topic].partitions)]
        deliveries = cluster.topics[DELIVERY].partitions
        self._recipient_partition = lru_cache(RECIPIENTS_KNOWN)(
            lambda recipient: partition_of(recipient, deliveries)
        )

    def outputs(self, result: BatchResult, previous_hash: str | None) -> tuple[WriteSet, str]:
        """Return notifications, dead letters and decisions of a batch, and the chain's new head."""
        writes = WriteSet()
        encoded, written = result.encoded, None
        if encoded is not None:
            for partition, records, count in encoded.deliveries:
                writes.add_encoded(DELIVERY, partition, records, count, _present_ms())
            written = (encoded.runs, encoded.run_count, encoded.rows, encoded.row_count)
        for output in result.outputs:
            writes.add(
                DELIVERY, self._recipient_partition(output.key), output.key, output.value, output.headers
            )
        for letter in result.dead_letters:
            self._dead_letter(letter, writes)
        batch = DecisionBatch(
            result.partition,
            tuple(result.inputs),
            result.consent_next_offset,
            result.decided_at,
            self._policy_version,
            tuple(
                FateCount(fate, reason, kind, count)
                for (fate, reason, kind), count in result.total_counts().items()
            ),
            tuple(result.no_consent_runs),
            tuple(result.rows),
        )
        value, head = encode_decision_batch(batch, previous_hash, written)
        writes.add(DECISIONS, self._partition, str(self._partition).encode(), value)
        return writes, head

    def states(self, result: BatchResult | None, store: PartitionStore, marker: PositionMarker) -> WriteSet:
        """Return the changed chunks of subject states (none without a result) and the position marker."""
        writes = WriteSet()
        if result is not None:
            if result.encoded is not None:
                for records, count in result.encoded.states:
                    writes.add_encoded(NOTIFIER_STATE, self._partition, records, count, _present_ms())
            for key, after in result.states.items():
                self._chunks(key, store.state(key), after, writes)
        writes.add(NOTIFIER_STATE, self._partition, MARKER_KEY, encode_position_marker(marker))
        return writes

    def folds(self, result: FoldResult, store: PartitionStore) -> tuple[WriteSet, dict[bytes, bytes | None]]:
        """Return the records of a fold, and the encoded states by subject (None.

        Erased) to merge after the commit.
        """
        writes = WriteSet()
        encoded: dict[bytes, bytes | None] = {}
        for key, state in result.changes.items():
            encoded[key] = None if state is None else encode_consent_state(state)
            writes.add(CONSENT_STATE, self._partition, key, encoded[key])
        for key in sorted(result.forgotten):
            self._chunks(key, store.state(key), EMPTY_STATE, writes)
        for key, answer in result.answers:
            writes.add(CONSENT_RESULTS, self._partition, key, encode_consent_result(answer))
        evidences = self._cluster.topics[CONSENT_EVIDENCE].partitions
        for evidence in result.evidence:
            key = evidence.subject.encode()
            writes.add(CONSENT_EVIDENCE, partition_of(key, evidences), key, encode_evidence(evidence))
        for letter in result.dead_letters:
            self._dead_letter(letter, writes)
        return writes, encoded

    def tick(self) -> WriteSet:
        """Return a record that says nothing: the log of consents goes on, and what is old is compacted."""
        writes = WriteSet()
        writes.add(CONSENT_STATE, self._partition, TICK_KEY, None)
        return writes

    def marker(
        self, positions: Mapping[str, int], chain_head: str, now_ms: int, reminded_until: int | None
    ) -> PositionMarker:
        """Return the marker for these next offsets."""
        topics = self._cluster.topics
        places = tuple(
            TopicPosition(topic, topics[topic].topic_id, offset) for topic, offset in positions.items()
        )
        return PositionMarker(
            self._cluster.cluster_id, self._partition, places, chain_head, now_ms, reminded_until
        )

    def _chunks(self, key: bytes, before: SubjectState, after: SubjectState, writes: WriteSet) -> None:
        for suffix, first_entry, entries in chunks(before, after):
            value = None if entries is None else encode_subject_state(first_entry, entries)
            writes.add(NOTIFIER_STATE, self._partition, key + CHUNK_SEPARATOR + suffix, value)

    def _dead_letter(self, letter: DeadLetter, writes: WriteSet) -> None:
        partitions = self._cluster.topics[DEAD_LETTERS].partitions
        partition = partition_of(letter.key, partitions) if letter.key else self._partition % partitions
        if self._seal is None or letter.value is None or len(letter.value) > MAX_SEALED_BYTES:
            writes.add(DEAD_LETTERS, partition, letter.key, None, letter.headers)
            return
        headers = [*letter.headers, SEALED_TYPE]
        writes.add(DEAD_LETTERS, partition, letter.key, self._seal(letter.value), headers)
