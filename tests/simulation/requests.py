"""Stands where TransactionRequests stands: one producer's requests to the simulated cluster."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiokafka.errors import KafkaConnectionError, ProducerFenced
from aiokafka.record.memory_records import MemoryRecords

from streams.kafka.transaction_traces import LastTransaction, Trace
from tests.simulation.cluster import Entry, Part, Producer, SimCluster, Slot, State, Transaction


class SimRequests:
    """Stands where TransactionRequests stands: one producer's requests to the cluster."""

    def __init__(self, cluster: SimCluster, transactional_id: str) -> None:
        self._cluster = cluster
        self._id = transactional_id
        self._epoch = -1
        self._starts = 0
        self._sequences: dict[Slot, int] = {}
        self.version = 2
        self.last: LastTransaction | None = None
        self.is_in_doubt = False

    async def start(self) -> None:
        """Fence every other user of the transactional id; note what the coordinator knew of it."""

        def end_open() -> LastTransaction:
            producer = self._cluster.producers.setdefault(self._id, Producer())
            if producer.open is not None:
                self._cluster.finish(producer, State.ABORTED)
            return producer.last

        def init() -> int:
            producer = self._cluster.producers[self._id]
            self._cluster.finish(producer, State.ABORTED)
            producer.last = LastTransaction(None, is_initialised=True, producer=(0, producer.epoch))
            return producer.epoch

        self.last = await self._cluster.ask(end_open)
        self._epoch = await self._cluster.ask(init)
        self._starts = self._cluster.starts

    def forget_lost_connections(self) -> None:
        """Have `has_lost_connection` speak of what comes."""
        self._starts = self._cluster.starts

    def has_lost_connection(self) -> bool:
        """Tell whether the broker was away since the last transaction began, or was looked at."""
        return self._starts != self._cluster.starts

    async def traces(self, slots: Collection[Slot]) -> dict[Slot, Trace]:
        """Return the last epoch in each partition, and where something has no end marker."""
        producer = self._cluster.producers[self._id]

        def look() -> dict[Slot, Trace]:
            return {
                slot: Trace(
                    epoch, min((part.begins for part in producer.unfinished.get(slot, ())), default=None)
                )
                for slot, epoch in producer.epochs.items()
                if slot in slots
            }

        return await self._cluster.ask(look)

    async def mark(self, slots: Collection[Slot], group_id: str, *, is_commit: bool) -> None:  # noqa: ARG002  # there is one
        """Write end markers to partitions and for the group's offsets."""
        epoch, starts = self._epoch, self._starts

        def mark() -> None:
            parts = self._begun(epoch, starts).parts
            producer, state = self._checked(epoch, starts), State.COMMITTED if is_commit else State.ABORTED
            for slot in slots:
                parts[slot] = Part(self._cluster.end(slot))
                for part in producer.unfinished.setdefault(slot, []):
                    part.truth = state  # what the others show, should this marker be lost as well
            self._cluster.finish(producer, state)

        await self._cluster.ask(mark)

    async def close(self) -> None:
        """Do nothing: an open transaction is left to the next or to its time-out."""

    async def add_partitions(self, slots: object) -> None:  # noqa: ARG002  # version 2 adds by writing
        """Begin, on connections made anew where they broke."""
        self._starts = self._cluster.starts

    async def add_group(self, group_id: str) -> None:
        """Do nothing: version 2."""

    async def produce(self, batches: Any) -> dict[Slot, int]:
        """Write batches, a request for those that can go together; return where they ended."""
        ends: dict[Slot, int] = {}
        queues: dict[Slot, list[Any]] = {}
        for slot, batch in batches:
            queues.setdefault(slot, []).append(batch)
        while queues:
            now = {slot: self._numbered(slot, queue.pop(0)) for slot, queue in queues.items()}
            ends |= await self._cluster.ask(self._write(now))
            queues = {slot: queue for slot, queue in queues.items() if queue}
        return ends

    async def commit_offsets(self, offsets: Mapping[Any, int], group_id: str) -> None:  # noqa: ARG002  # there is one
        """Set the group's offsets with the transaction."""
        epoch, starts = self._epoch, self._starts

        def add() -> None:
            wanted = {(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
            self._begun(epoch, starts)
            self._cluster.producers[self._id].offsets.update(wanted)

        await self._cluster.ask(add)

    async def commit(self) -> None:
        """End the transaction, and take the next epoch."""
        epoch, starts = self._epoch, self._starts

        def end() -> int:
            producer = self._checked(epoch, starts)
            if producer.open is None:
                raise ProducerFenced
            self._cluster.finish(producer, State.COMMITTED)
            return producer.epoch

        self._epoch = await self._cluster.ask(end)
        self._sequences.clear()

    def _numbered(self, slot: Slot, batch: Any) -> tuple[int, bytes]:
        sequence = self._sequences.get(slot, 0)
        self._sequences[slot] = sequence + batch.record_count()
        batch._set_producer_state(1, 0, sequence)  # as the real client does
        return sequence, bytes(batch._build())  # as above

    def _write(self, batches: Mapping[Slot, tuple[int, bytes]]) -> Callable[[], dict[Slot, int]]:
        epoch, starts = self._epoch, self._starts

        def write() -> dict[Slot, int]:
            transaction = self._begun(epoch, starts)
            producer = self._checked(epoch, starts)
            written = producer.written
            ends: dict[Slot, int] = {}
            for slot, (sequence, data) in batches.items():
                if written.get(slot, 0) == sequence:
                    records = _records(data)
                    written[slot] = sequence + len(records)
                    producer.epochs[slot] = epoch
                    if slot not in transaction.parts:
                        transaction.parts[slot] = Part(self._cluster.end(slot))
                        producer.unfinished.setdefault(slot, []).append(transaction.parts[slot])
                    for key, value, headers in records:
                        entry = Entry(self._cluster.now_ms(), key, value, headers, transaction.parts[slot])
                        ends[slot] = self._cluster.append(slot, entry) + 1
            return ends

        return write

    def _checked(self, epoch: int, starts: int) -> Producer:
        if starts != self._cluster.starts:
            raise KafkaConnectionError  # it was cut when the broker went
        producer = self._cluster.producers[self._id]
        if producer.epoch != epoch:
            raise ProducerFenced
        return producer

    def _begun(self, epoch: int, starts: int) -> Transaction:
        producer = self._checked(epoch, starts)
        if producer.open is None:
            producer.open = Transaction(asyncio.get_running_loop().time())
        return producer.open


def _records(data: bytes) -> list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]:
    found = []
    records = MemoryRecords(data)
    while records.has_next():
        batch = records.next_batch()
        found += [(one.key, one.value, list(one.headers)) for one in batch]
    return found
