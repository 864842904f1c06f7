"""Reads consent requests over a connection of its own, so that they never queue behind event data.

One group-less read_committed consumer for all owned partitions. Positions belong to the partition tasks: a
task says where to start, and gets every batch in order from there. Read next: `partition_task.py`.
"""

import asyncio
import logging
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.failpoints import reach
from streams.kafka.connection import client_options
from streams.kernel.record_batch import RecordBatch
from streams.settings import Settings
from streams.wire.topics import CONSENT_REQUESTS

log = logging.getLogger(__name__)

POLL_MS = 200
RETRY_S = 0.5
Receiver = Callable[[RecordBatch], None]
Fetched = dict[TopicPartition, list[RecordBatch]]


class ConsentReader:
    """Hands batches of `consent.requests` to the tasks of the partitions that this worker owns."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = AIOKafkaConsumer(
            **client_options(settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=settings.consent_fetch_wait_ms,
        )
        self._receivers: dict[int, Receiver] = {}
        self._positions: dict[int, int] = {}
        self._is_changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and begin to read."""
        await self._consumer.start()
        self._task = asyncio.create_task(self._read(), name="consent-reader")

    async def stop(self) -> None:
        """Disconnect."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()

    def on_failure(self, receiver: Callable[[BaseException], None]) -> None:
        """Have `receiver` called with an error that ended reading; call after `start`."""

        def tell(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                receiver(error)

        if self._task is not None:
            self._task.add_done_callback(tell)

    def add(self, partition: int, position: int, receiver: Receiver) -> None:
        """Read a partition from `position` on; every batch goes to `receiver`."""
        self._receivers[partition] = receiver
        self._positions[partition] = position
        self._is_changed.set()

    def remove(self, partition: int) -> None:
        """Stop reading a partition."""
        self._receivers.pop(partition, None)
        self._positions.pop(partition, None)
        self._is_changed.set()

    async def _read(self) -> None:
        while True:
            if self._is_changed.is_set():
                self._is_changed.clear()
                self._assign()
            if not self._positions:
                await self._is_changed.wait()
                continue
            try:
                fetched: Fetched = await self._consumer.getmany(timeout_ms=POLL_MS)
            except KafkaError as error:  # events wait at the barrier meanwhile
                log.warning("reading %s: %s; trying again", CONSENT_REQUESTS, type(error).__name__)
                await asyncio.sleep(RETRY_S)
                self._is_changed.set()
                continue
            if fetched:
                await reach("consent_read")
            for tp, batches in fetched.items():
                for batch in batches:
                    self._deliver(tp.partition, batch)

    def _assign(self) -> None:
        tps = {partition: TopicPartition(CONSENT_REQUESTS, partition) for partition in self._positions}
        if not tps:
            self._consumer.unsubscribe()
            return
        self._consumer.assign(list(tps.values()))
        for partition, tp in tps.items():
            self._consumer.seek(tp, self._positions[partition])

    def _deliver(self, partition: int, batch: RecordBatch) -> None:
        if batch.position != self._positions.get(partition):
            return
        self._positions[partition] = batch.next_offset
        self._receivers[partition](batch)
