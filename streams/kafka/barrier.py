"""The barrier: how far consent requests had been appended at a moment.

The high watermark is the read_uncommitted end offset: an open transaction counts, so whoever waits for it
waits for that transaction too. Questions of several partitions that arrive while one is under way share the
next request; none is answered by a request sent before it was asked. Source: DESIGN section 1 (Barrier). Read
next: `consent_reader.py`.
"""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.kafka.connection import client_options
from streams.settings import Settings
from streams.wire.topics import CONSENT_REQUESTS


class HighWatermarks:
    """Answers for the high watermark of `consent.requests` over a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = AIOKafkaConsumer(
            **client_options(settings), enable_auto_commit=False, isolation_level="read_uncommitted"
        )
        self._asked: dict[int, asyncio.Future[int]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect."""
        await self._consumer.start()
        self._task = asyncio.create_task(self._answer(), name="high-watermarks")

    async def stop(self) -> None:
        """Disconnect; questions still open are cancelled."""
        if self._task is not None:
            self._task.cancel()
        for future in self._asked.values():
            future.cancel()
        await self._consumer.stop()

    async def of(self, partition: int) -> int:
        """Return the high watermark of a partition, observed after this call began.

        Raises:
            aiokafka.errors.KafkaError: the broker did not answer in time.
        """
        future = self._asked.get(partition)
        if future is None:
            future = self._asked[partition] = asyncio.get_running_loop().create_future()
        self._wake.set()
        return await asyncio.shield(future)

    async def _answer(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            asked, self._asked = self._asked, {}
            if not asked:
                continue
            try:
                ends = await self._consumer.end_offsets(
                    [TopicPartition(CONSENT_REQUESTS, partition) for partition in asked]
                )
            except asyncio.CancelledError:
                for future in asked.values():
                    future.cancel()
                raise
            except Exception as error:  # noqa: BLE001  # every asker gets it and acts by its own rules
                for future in asked.values():
                    if not future.done():
                        future.set_exception(error)
                continue
            for tp, end in ends.items():
                if not asked[tp.partition].done():
                    asked[tp.partition].set_result(end)
