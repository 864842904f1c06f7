"""Faust's transport for whole record batches.

Faust keeps membership, assignment and lifecycle; offsets, backpressure and commits are ours. What is
replaced, and why (line numbers of faust-streaming 0.15.3 in docs/decisions/0002):
- a fetch gives one Faust message, holding the RecordBatch values of all its partitions, instead of one per
  record: a message costs Faust a few rounds of a busy loop, milliseconds;
- the group member runs on the app's loop, not in a thread of its own: two busy threads wait for each other's
  interpreter lock at every answer of Kafka (decision record 0006);
- `commit` does nothing: a Faust ack says that an agent returned, not that a transaction was committed;
- partition tasks end before Faust forgets what it was reading;
- partitions whose task has enough waiting are left out of the next fetch;
- the consumer reads committed records only, with our fetch sizes and waits, under the co-partitioned
  assignor. May import kernel. Read next: `streams/agents/app.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple, cast

import aiokafka
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.utils.futures import maybe_async

from streams.failpoints import reach
from streams.kafka.connection import client_options
from streams.kafka.membership import is_member
from streams.kernel.record_batch import RecordBatch

PARTITION_FETCH_BYTES = 4 << 20
PREFETCH_BACKOFF_S = 0.01  # aiokafka holds a node's next fetch back this long while fetched records wait
SHORT_POLL_S = 0.02
IDLE_POLL_S = 1.0


class Fetched(NamedTuple):
    """What one fetch gave, by partition in offset order, and the group generation in which it was made."""

    partitions: list[list[RecordBatch]]
    generation: int


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """What owns the group member, a thread to Faust; `app` is `streams.agents.app.NotifierApp`."""

    app: Any

    async def start(self) -> None:
        """Start as a task of the app's loop, which is `thread_loop` too."""
        self._thread_started.set()
        self._thread_running = running = self.parent_loop.create_future()
        self._serving = self.parent_loop.create_task(self._serve(), name="group-member")
        self._serving.add_done_callback(self._ended)
        try:
            await running
        finally:
            self._thread_running = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Let `stop` return whatever ended it, and read what did, which Faust has told by then."""
        self.set_shutdown()
        if not task.cancelled():
            task.exception()

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call at once: it is the same loop."""
        return await maybe_async(fun(*args, **kwargs))

    async def _gather_remaining_tasks(self) -> None:
        """Leave the loop's other tasks alone: they are the app's."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002 - Faust's signature
        conf = self.app.conf
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            **client_options(self.app.settings),
            group_id=conf.id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=None,
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            fetch_max_wait_ms=self.app.settings.event_fetch_wait_ms,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            isolation_level="read_committed",
        )

    async def on_start(self) -> None:
        """Start the member and shorten the fetcher's hold-back."""
        await super().on_start()
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001  # aiokafka has no setting for it
        fetcher._prefetch_backoff = PREFETCH_BACKOFF_S  # noqa: SLF001  # as above

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> dict[TP, list[Fetched]]:
        records = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        generation = (
            self.app.consumer_generation_id
        )  # of the assignment that was drained: no await in between
        return {tp: [Fetched([batches], generation)] for tp, batches in records.items()}

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every assigned partition; Faust leaves those without a committed offset where they are."""
        return cast("Mapping[TP, int]", await self.call_thread(self._seek_to_committed))

    async def _seek_to_committed(self) -> dict[TopicPartition, int]:
        consumer = self._ensure_consumer()
        committed = {tp: await consumer.committed(tp) for tp in consumer.assignment()}
        firsts = await consumer.beginning_offsets([tp for tp, offset in committed.items() if offset is None])
        positions: dict[TopicPartition, int] = committed | firsts
        for tp, offset in positions.items():
            consumer.seek(tp, offset)
        return positions

    async def commit_offsets(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit offsets as the group member, for at_least_once.

        Raises:
            aiokafka.errors.KafkaError: the member lost its partitions, or the broker is away.
        """
        consumer = self._ensure_consumer()
        await self.call_thread(
            consumer.commit, {tp: OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
        )

    async def is_member(self) -> bool:
        """Ask the group's coordinator whether this member's assignment still counts.

        Raises:
            aiokafka.errors.KafkaError: it did not answer, or is another broker by now.
        """
        return await is_member(self._ensure_consumer())

    def fetched_highwater(self, tp: TopicPartition) -> int | None:
        """Return the end offset that the last fetch told, None if there was none."""
        consumer = self._ensure_consumer()
        end: int | None = consumer.highwater(tp) if tp in consumer.assignment() else None
        return end

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing.

        Faust's watchdog judges by its own acks, which we do not give; ours judges by progress.
        """

    def verify_recovery_event_path(self, now: float, tp: TP) -> None:
        """Do nothing; see `verify_event_path`."""


class BatchConsumer(driver.Consumer):
    """The consumer that agents see; `app` is `streams.agents.app.NotifierApp`."""

    app: Any

    _thread: BatchConsumerThread

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, thread_loop=self.loop, beacon=self.beacon)

    def commit_offsets(self, offsets: Mapping[TopicPartition, int]) -> Awaitable[None]:
        """Commit offsets as the group member; see `BatchConsumerThread.commit_offsets`."""
        return self._thread.commit_offsets(offsets)

    def is_member(self) -> Awaitable[bool]:
        """Tell whether this member's assignment still counts; see `BatchConsumerThread.is_member`."""
        return self._thread.is_member()

    def fetched_highwater(self, tp: TopicPartition) -> int | None:
        """Return the end offset that the last fetch told; see `BatchConsumerThread.fetched_highwater`."""
        return self._thread.fetched_highwater(tp)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 - Faust's signature
        """Yield one message for all that is fetched, leaving out partitions whose task has enough waiting."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow.wait())
        carrier = self.app.carrier
        carrier.room.clear()
        saturated = carrier.saturated()
        active = {tp for tp in self._get_active_partitions() if tp.partition not in saturated}
        if not active:
            await self.wait_first(carrier.room.wait(), self.suspend_flow.wait(), timeout=IDLE_POLL_S)
            return
        await reach("event_read")
        fetched = await self._getmany(
            active_partitions=active, timeout=SHORT_POLL_S if saturated else min(timeout, IDLE_POLL_S)
        )
        if not self.flow_active:  # a rebalance: only what was drained under the new assignment goes on
            await self.wait(self.can_resume_flow.wait())
        if self.should_stop:
            return
        generation = self.app.consumer_generation_id
        found = {
            tp: unit.partitions
            for tp, units in (fetched or {}).items()
            for unit in units
            if unit.generation == generation
        }
        if found:
            first = next(iter(found))
            together = Fetched([batches for one in found.values() for batches in one], generation)
            yield first, self._to_message(first, together)

    def _to_message(self, tp: TP, record: Fetched) -> ConsumerMessage:
        last = record.partitions[0][-1]
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.next_offset - 1,
            0.0,
            0,
            None,
            None,
            record,  # type: ignore[arg-type]  # Faust passes values on; ours is no bytes
            None,
            tp=tp,
            generation_id=record.generation,
        )

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: offsets are committed by transactions, never from acks."""

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002 - Faust's signature
        """Commit nothing; see the module's words."""
        return True

    async def wait_empty(self) -> None:
        """Wait for nothing: partition tasks are drained in `on_partitions_revoked`."""

    async def on_stop(self) -> None:
        """End the partition tasks while this member still owns its partitions, then leave the group."""
        self.stop_flow()
        await self.app.carrier.revoke()
        await super().on_stop()

    async def verify_all_partitions_active(self) -> None:
        """Do nothing; see `BatchConsumerThread.verify_event_path`."""

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop fetching, end the partition tasks, then let Faust forget."""
        self.stop_flow()
        await self.app.carrier.revoke()
        await super().on_partitions_revoked(revoked)


class BatchTransport(driver.Transport):
    """Transport with our consumer; everything else is Faust's."""

    Consumer = BatchConsumer
