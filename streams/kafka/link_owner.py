"""Owning a partition of the channel space: the fence, the position, the links, and what is committed.

As for subjects, `acquire` fences first and reads second. An unlink revokes every subject of its link in the
transaction that ends it: records of it lie in many partitions of `consent.requests`, and decisions there wait
while it is open, so everything is computed before it begins. Source: docs/rules.md section 10. Read next:
`link_task.py`.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from time import monotonic

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.core.codes import ConsentOutcome, LinkAction, LinkRefusal
from streams.errors import NotifierError, OutcomeUnknownError
from streams.failpoints import reach
from streams.kafka.link_store import LinkStore
from streams.kafka.link_writes import LinkWriter
from streams.kafka.positions import GroupOffsets, goes_beyond, marked_positions, not_done, start_positions
from streams.kafka.restorer import PartitionReader, check_read, read_answers
from streams.kafka.telling import LostRecords
from streams.kafka.transactions import TransactionalProducer
from streams.kafka.unfinished import Unfinished
from streams.kafka.worker_connections import Connections
from streams.kafka.write_set import WriteSet
from streams.kernel.fold_links import FoldedLinks, fold_links
from streams.kernel.recent_requests import WINDOW
from streams.kernel.record_batch import RecordBatch
from streams.wire.topics import LINK_REQUESTS, LINK_RESULTS, LINK_STATE

log = logging.getLogger(__name__)

SPACE = "channel"
INPUTS = (LINK_REQUESTS,)


class LinkOwner:
    """One owned partition of links. Not safe for concurrent use: its task is its only caller.

    Args:
        offsets: of the links' consumer group.
    """

    def __init__(self, shared: Connections, offsets: GroupOffsets, partition: int) -> None:
        self.partition = partition
        self._shared = shared
        self._offsets = offsets
        self._partitions = shared.cluster.topics[LINK_REQUESTS].partitions
        self._writer = LinkWriter(shared.cluster, partition)
        self._producer = TransactionalProducer(shared.settings, SPACE, partition, self._writer.slots)
        self._unfinished = Unfinished(self._producer, offsets, INPUTS, INPUTS, partition)
        self._lost = LostRecords(shared.observer, partition)
        self._store = LinkStore()
        self._tick_due_s = float("inf")
        self._positions: dict[str, int] = {}
        self._reader = PartitionReader(shared.settings, partition)
        self.is_restored = False

    @property
    def restored(self) -> int:
        """Return how many offsets were read back so far."""
        return self._reader.restored

    @property
    def positions(self) -> Mapping[str, int]:
        """Return the next offset of the requests; empty before the first `acquire`."""
        return self._positions

    async def acquire(self) -> None:
        """Fence earlier owners, then restore the links and find the position.

        Raises:
            OutcomeUnknownError: the cluster did not answer; worth trying again.
            TopicError: the position does not fit the log.
        """
        self.is_restored = False
        await self._producer.open()
        await reach("acquired")
        try:
            committed = await self._unfinished.end(self._marked)
            store = await self._read_back()
            ranges = await self._offsets.ranges(INPUTS, self.partition)
        except (KafkaError, TimeoutError) as error:
            await self._producer.close()  # nothing may be committed on links that were not read back
            raise OutcomeUnknownError(f"{type(error).__name__} while restoring; trying again") from error
        except OutcomeUnknownError:
            await self._producer.close()
            raise
        cluster = self._shared.cluster
        start = start_positions(committed, store.marker, ranges, cluster, self.partition, LINK_STATE)
        self._lost.tell(start)
        self._store, self._positions = store, start.positions
        self.is_restored = True
        self._put_off_tick()
        if goes_beyond(start.positions, committed, INPUTS):
            self._tick_due_s = asyncio.get_running_loop().time()

    async def is_whole(self) -> bool:
        """Tell whether no transaction of this partition waits for an end that Kafka lost.

        Raises:
            OutcomeUnknownError: not acquired.
        """
        return await self._producer.is_whole()

    async def release(self) -> None:
        """Let go of the fence. Never raises."""
        await self._producer.close()

    async def fold(self, batches: Sequence[RecordBatch]) -> None:
        """Fold link requests and commit what they do, in as many transactions as it takes.

        Raises:
            StandstillError: records before them were never seen.
            FencedError, OutcomeUnknownError: see `TransactionalProducer.transact`.
        """
        while waiting := not_done(batches, self._positions):
            result = fold_links(waiting, self._store, self._partitions)
            changes = self._writer.encoded(result)
            marker = self._writer.marker(result.next_offset, self._shared.clock())
            await self._transact(self._writer.folds(result, changes, marker), result.next_offset)
            self._store.merge(changes, result.seen, marker)
            self._positions = {LINK_REQUESTS: result.next_offset}
            self._tell(result)

    def is_tick_due(self) -> bool:
        """Tell whether nothing was written for as long as the settings say."""
        return asyncio.get_running_loop().time() >= self._tick_due_s

    async def tick(self) -> None:
        """Write the marker although nothing has changed, and commit the position once more.

        So Kafka goes on compacting the links, and an offset that was behind the marker catches up.

        Raises:
            FencedError, OutcomeUnknownError: see `TransactionalProducer.transact`.
        """
        position = self._positions[LINK_REQUESTS]
        marker = self._writer.marker(position, self._shared.clock())
        await self._transact(self._writer.tick(marker), position)
        self._store.marker = marker

    async def _transact(self, writes: WriteSet, next_offset: int) -> None:
        started, outcome = monotonic(), self._shared.observer.transaction
        offsets = {TopicPartition(LINK_REQUESTS, self.partition): next_offset}
        try:
            await self._producer.transact([writes], offsets, self._offsets.group_id)
        except NotifierError:
            outcome("unknown", monotonic() - started)
            raise
        outcome("committed", monotonic() - started)
        self._put_off_tick()

    async def _marked(self) -> dict[str, int]:
        """Return the position of the marker in the log."""
        return marked_positions((await self._read_back()).marker)

    async def _read_back(self) -> LinkStore:
        """Read the links, and which requests were answered, from their topics.

        Raises:
            OutcomeUnknownError: not all of it can be read.
            aiokafka.errors.KafkaError: the broker is away.
        """
        store = LinkStore()
        links, _ = await self._reader.read(LINK_STATE, 0, store.load)
        answers = await read_answers(
            lambda start: self._reader.read(LINK_RESULTS, start, store.recent.load),
            store.recent,
            marked_positions(store.marker).get(LINK_REQUESTS, 0) - WINDOW,
        )
        ranges = await self._offsets.ranges((LINK_STATE, LINK_RESULTS), self.partition)
        check_read({LINK_STATE: links, LINK_RESULTS: answers}, ranges, self.partition)
        return store

    def _put_off_tick(self) -> None:
        self._tick_due_s = asyncio.get_running_loop().time() + self._shared.settings.compaction_tick_s

    def _tell(self, result: FoldedLinks) -> None:
        observer = self._shared.observer
        answers = [answer for _, answer in result.answers]
        counts = Counter((LinkAction(one.action).name, ConsentOutcome(one.outcome).name) for one in answers)
        for (action, outcome), count in counts.items():
            observer.link(action, outcome, count)
        observer.link_revocations(len(result.revocations))
        for letter in result.dead_letters:
            observer.dead_letter(letter.reason.name, 1)
        for one in answers:
            if one.reason is not None:
                where = f"{LINK_REQUESTS}/{self.partition}/{one.request_offset}"
                log.warning("%s: refused (%s)", where, LinkRefusal(one.reason).name)
