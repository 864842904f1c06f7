"""Owning a partition number: the fence, the positions, the store, and the two things that are committed.

`acquire` fences first and reads second: whoever holds the transactional id started from the offsets that this
id will commit on. Source: DESIGN section 5. Read next: `partition_task.py`.
"""

import asyncio
import gc
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.errors import NotifierError, OutcomeUnknownError
from streams.failpoints import reach
from streams.kafka.committer import Committer
from streams.kafka.compression import pack
from streams.kafka.partition_store import PartitionStore
from streams.kafka.positions import goes_beyond, marked_positions, not_done, start_positions
from streams.kafka.reminders import Reminders, Told
from streams.kafka.restorer import Restorer
from streams.kafka.result_writes import ResultWriter
from streams.kafka.telling import LostRecords, tell_fold, tell_merged
from streams.kafka.transactions import TransactionalProducer
from streams.kafka.unfinished import Unfinished
from streams.kafka.worker_connections import Connections
from streams.kafka.write_set import BATCH_BYTES, WriteSet
from streams.kernel.batch_result import BatchResult
from streams.kernel.fold_batch import fold_batches
from streams.kernel.path import Setup
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import PositionMarker
from streams.wire.topics import (
    CONSENT_REQUESTS,
    CONSENT_RESULTS,
    CONSENT_STATE,
    DELIVERY,
    EVENT_TOPICS,
    NOTIFIER_STATE,
)

INPUTS = (CONSENT_REQUESTS, *EVENT_TOPICS)


class PartitionOwner:
    """One owned partition number. Not safe for concurrent use: its task is its only caller.

    Args:
        make_committer: gives the committer of decisions for this partition's transactional producer.
        store: a frozen store of the same partition from an earlier assignment, or a new one.
    """

    def __init__(
        self,
        shared: Connections,
        partition: int,
        make_committer: Callable[[TransactionalProducer], Committer],
        store: PartitionStore,
    ) -> None:
        settings = shared.settings
        self.partition = partition
        self.observer = shared.observer
        self._shared = shared
        self._store = store
        self._writer = ResultWriter(shared.cluster, partition, shared.policy.version, shared.seal)
        self._producer = TransactionalProducer(settings, "subject", partition, self._writer.slots)
        self._committer = make_committer(self._producer)
        self._is_chained = settings.guarantee == "exactly_once"
        self._together = INPUTS if self._is_chained else (CONSENT_REQUESTS,)  # committed with the marker
        self._setup = Setup(
            settings.app_id,
            partition,
            shared.partitions,
            shared.cluster.topics[DELIVERY].partitions,
            shared.policy,
            BATCH_BYTES,
            pack,
            not self._is_chained,
            settings.max_value_bytes,
        )
        self._decide = shared.path.decide_with(self._setup, store.subjects)
        self._positions: dict[str, int] = {}
        self._chain_head = ""
        self._lost = LostRecords(shared.observer, partition)
        self._put_off_tick()
        self._reminders = Reminders(settings.reminder_interval_s)
        self.is_restored = False
        self._restorer = Restorer(shared, partition)
        self._unfinished = Unfinished(self._producer, shared.offsets, INPUTS, self._together, partition)

    @property
    def restored(self) -> int:
        """Return how many offsets were read back so far."""
        return self._restorer.restored

    @property
    def store(self) -> PartitionStore:
        """Return the store, as committed."""
        return self._store

    @property
    def positions(self) -> Mapping[str, int]:
        """Return the next offset of every input; empty before the first `acquire`."""
        return self._positions

    @property
    def request_offset(self) -> int:
        """Return the offset below which every consent request is folded."""
        return self._positions[CONSENT_REQUESTS]

    async def acquire(self) -> None:
        """Fence earlier owners, then restore and find the positions.

        Raises:
            OutcomeUnknownError: the cluster did not answer; worth trying again.
            TopicError: the positions do not fit the logs.
        """
        self.is_restored = False
        await self._producer.open()
        await reach("acquired")
        try:
            committed = await self._end_unfinished()
            await self._restore()
            await self._restorer.check_ends(self._store)
            ranges = await self._shared.offsets.ranges(INPUTS, self.partition)
        except (KafkaError, TimeoutError) as error:
            await self._producer.close()  # nothing may be committed on a state that was not read back
            raise OutcomeUnknownError(f"{type(error).__name__} while restoring; trying again") from error
        except OutcomeUnknownError:
            await self._producer.close()
            raise
        marker = self._store.marker
        start = start_positions(committed, marker, ranges, self._shared.cluster, self.partition)
        self._lost.tell(start)
        self._positions = start.positions
        self.is_restored = True
        self._chain_head = marker.chain_head if marker is not None else ""
        self._reminders.begin_anew(None if marker is None else marker.reminded_until, self._shared.clock())
        if goes_beyond(start.positions, committed, self._together):
            self._tick_due_s = asyncio.get_running_loop().time()
        gc.freeze()  # what was restored stays: no collection has to walk it

    async def is_whole(self) -> bool:
        """Tell whether no transaction of this partition number waits for an end that Kafka lost.

        Raises:
            OutcomeUnknownError: not acquired.
        """
        return await self._producer.is_whole()

    async def release(self) -> None:
        """Let go of the fence and the reader. Never raises."""
        self._shared.requests.remove(self.partition)
        await self._producer.close()

    def read_requests(self, receiver: Callable[[RecordBatch], None]) -> None:
        """Have consent requests delivered from the folded position on."""
        self._shared.requests.add(self.partition, self.request_offset, receiver)

    async def request_high_watermark(self) -> int:
        """Return how far requests have been appended by now.

        Raises:
            OutcomeUnknownError: the cluster did not answer.
        """
        try:
            return await self._shared.watermarks.of(self.partition)
        except (KafkaError, TimeoutError) as error:
            raise OutcomeUnknownError(f"{type(error).__name__} at the barrier; trying again") from error

    def not_done(self, batches: Sequence[RecordBatch]) -> list[RecordBatch]:
        """Return what of `batches` lies at or after the positions.

        Raises:
            StandstillError: records between the position and a batch were never seen.
        """
        return not_done(batches, self._positions)

    async def fold(self, batches: Sequence[RecordBatch]) -> None:
        """Fold consent requests and commit them with their position, in a transaction whatever the guarantee.

        Raises:
            FencedError, OutcomeUnknownError: see `TransactionalProducer.transact`.
        """
        waiting = self.not_done(batches)
        if not waiting:
            return
        shared = self._shared
        result = fold_batches(waiting, self._store, shared.partitions, shared.policy, shared.secrets)
        await reach("fold")
        positions = self._positions | {CONSENT_REQUESTS: result.next_offset}
        marker = self._marker(positions, self._chain_head, self._shared.clock())
        writes, encoded = self._writer.folds(result, self._store)
        states = self._writer.states(None, self._store, marker)
        started = monotonic()
        moved = self._committed_together() | {CONSENT_REQUESTS: result.next_offset}
        ends = await self._transact([writes, states], moved, started)
        self._store.merge_consents(encoded, result.forgotten, ends.get((CONSENT_STATE, self.partition), 0))
        self._store.merge_answers(result.seen, ends.get((CONSENT_RESULTS, self.partition), 0))
        self._reminders.changed(result.changes)
        self._store.merge_states({}, marker, ends[NOTIFIER_STATE, self.partition])
        self._positions = positions
        self._put_off_tick()
        tell_fold(self.observer, result)

    def is_tick_due(self) -> bool:
        """Tell whether no consent request has come for as long as the settings say."""
        return asyncio.get_running_loop().time() >= self._tick_due_s

    async def tick(self) -> None:
        """Write to both changelogs although nothing has changed, and commit the positions once more.

        So Kafka goes on compacting them, and offsets that were behind the marker catch up.

        Raises:
            FencedError, OutcomeUnknownError: see `TransactionalProducer.transact`.
        """
        marker = self._marker(self._positions, self._chain_head, self._shared.clock())
        writes = [self._writer.tick(), self._writer.states(None, self._store, marker)]
        ends = await self._transact(writes, self._committed_together(), monotonic())
        self._store.merge_consents({}, (), ends[CONSENT_STATE, self.partition])
        self._store.merge_states({}, marker, ends[NOTIFIER_STATE, self.partition])
        self._put_off_tick()

    def is_reminder_due(self) -> bool:
        """Tell whether consents are to be looked at, for notices that they are about to end."""
        return self._reminders.is_due()

    async def look(self) -> bool:
        """Look at some consents, for a few milliseconds; tell whether none is left."""
        async with self._shared.turn:
            is_done = self._reminders.look(self._store, self._shared.clock())
            await asyncio.sleep(0)
        return is_done

    async def decide_notices(self) -> Told:
        """Decide the notices that are owed, after `look` left no consent and behind a barrier."""
        shared = self._shared
        return await self._reminders.tell(
            shared.settings.app_id, self.partition, self.request_offset, shared.policy.version
        )

    async def commit_notices(self, told: Told, write_within_s: float) -> None:
        """Commit notices in a transaction, whatever the guarantee.

        Without any nothing is written, and the mark moves on with the next marker.

        Raises:
            FencedError, OutcomeUnknownError: see `TransactionalProducer.transact`.
        """
        result, until = told
        if result.rows:
            outputs, head = self._writer.outputs(result, self._chain_head if self._is_chained else None)
            marker = self._marker(self._positions, head, self._shared.clock(), until)
            writes = [outputs, self._writer.states(None, self._store, marker)]
            ends = await self._transact(writes, self._committed_together(), monotonic(), write_within_s)
            self._store.merge_states({}, marker, ends[NOTIFIER_STATE, self.partition])
            self._chain_head = head
            self.observer.notices(len(result.rows))
        self._reminders.reached(until)

    def _marker(
        self, positions: Mapping[str, int], head: str, now_ms: int, until: int | None = None
    ) -> PositionMarker:
        """Return the marker of a transaction; all that was due up to `until` is told by then, if given."""
        reminded_until = self._reminders.reminded_until if until is None else until
        return self._writer.marker(positions, head, now_ms, reminded_until)

    def _committed_together(self) -> dict[str, int]:
        """Return the positions that are committed in the transaction of the marker."""
        return {topic: self._positions[topic] for topic in self._together}

    def _put_off_tick(self) -> None:
        self._tick_due_s = asyncio.get_running_loop().time() + self._shared.settings.compaction_tick_s

    async def decide(self, batches: Sequence[RecordBatch]) -> BatchResult:
        """Decide records at this moment, on a staged overlay. Never raises for what records contain.

        One partition number at a time, and the loop goes round before the next: many that decide for a second
        each would keep the heartbeats waiting beyond the session.
        """
        async with self._shared.turn:
            result = self._decide(batches, self._store, self.request_offset, self._shared.clock())
            await asyncio.sleep(0)
        return result

    async def commit(
        self,
        result: BatchResult,
        batches: Sequence[RecordBatch],
        lags: Callable[[str], int],
        write_within_s: float,
    ) -> None:
        """Commit a result with its positions, then merge its overlay; after an exception nothing is merged.

        What is not written within `write_within_s` of waiting is given up: its barrier was too long ago.

        Raises:
            FencedError, OutcomeUnknownError: see `Committer.commit`.
            DeadLetterBreakerError: committed and merged, but too much of it were dead letters.
        """
        moved = {item.topic: item.next_offset for item in result.inputs}
        positions = self._positions | moved
        outputs, head = self._writer.outputs(result, self._chain_head if self._is_chained else None)
        marker = self._marker(positions, head, result.decided_at)
        states = self._writer.states(result, self._store, marker)
        started = monotonic()
        offsets = {TopicPartition(topic, self.partition): offset for topic, offset in moved.items()}
        try:
            ends = await self._committer.commit([outputs, states], offsets, write_within_s)
        except NotifierError:
            self.observer.transaction("unknown", monotonic() - started)
            raise
        seconds = monotonic() - started
        self.observer.transaction("committed", seconds)
        stamp = None if result.encoded is None else result.encoded.stamp
        self._store.merge_states(result.states, marker, ends[NOTIFIER_STATE, self.partition], stamp)
        self._positions, self._chain_head = positions, head
        tell_merged(self.observer, result, batches, lags, seconds, self._shared.clock())
        breaker = self._shared.breaker
        try:
            breaker.count(sum(map(len, batches)), len(result.dead_letters))
        finally:
            self.observer.dead_letter_ratio(breaker.ratio)

    async def _transact(
        self,
        writes: Sequence[WriteSet],
        moved: dict[str, int],
        started: float,
        write_within_s: float | None = None,
    ) -> dict[tuple[str, int], int]:
        offsets = {TopicPartition(topic, self.partition): offset for topic, offset in moved.items()}
        try:
            ends = await self._producer.transact(
                writes, offsets, self._shared.settings.app_id, write_within_s
            )
        except NotifierError:
            self.observer.transaction("unknown", monotonic() - started)
            raise
        self.observer.transaction("committed", monotonic() - started)
        return ends

    async def _end_unfinished(self) -> dict[str, int]:
        """Return the group's committed offsets once nothing of ours is open; see `Unfinished.end`."""
        return await self._unfinished.end(self._marked)

    async def _marked(self) -> dict[str, int]:
        """Return the positions of the marker in the log."""
        await self._restore()
        return marked_positions(self._store.marker)

    async def _restore(self) -> None:
        """Bring the store to the ends of its logs; memory that they do not have begins anew."""
        if not await self._restorer.is_in_log(self._store):
            self._store = PartitionStore(self._shared.path.new_subjects())
            self._decide = self._shared.path.decide_with(self._setup, self._store.subjects)
        await self._restorer.restore(self._store)
