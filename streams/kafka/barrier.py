"""The barrier: how far consent requests had been appended at a moment.

The high watermark is the read_uncommitted end offset: an open transaction counts, so whoever waits for it
waits for that transaction too. Questions that arrive while IN_FLIGHT requests are under way share the next
one; none is answered by a request sent before it was asked. Source: DESIGN section 1 (Barrier). Read next:
`consent_reader.py`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.offset import OffsetRequest

from streams.kafka.connection import client_options
from streams.kafka.futures import look_at
from streams.settings import Settings
from streams.wire.topics import CONSENT_REQUESTS

IN_FLIGHT = 2
BACKOFF_S = 0.05
REQUEST_MS = 10_000
"""After this long aiokafka closes a connection that does not answer; the next question has another."""
LIMIT_S = 40.0
_NO_REPLICA, _READ_UNCOMMITTED, _LATEST = -1, 0, -1


class HighWatermarks:
    """Answers for the high watermark of `consent.requests` over a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self._client = AIOKafkaClient(**client_options(settings), request_timeout_ms=REQUEST_MS)
        self._asked: dict[int, asyncio.Future[int]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect.

        Raises:
            aiokafka.errors.KafkaError: the cluster did not answer, or has no such topic.
        """
        await self._client.bootstrap()
        await self._client._wait_on_metadata(CONSENT_REQUESTS)  # noqa: SLF001  # as aiokafka's producer does

    async def stop(self) -> None:
        """Disconnect; questions still open are cancelled."""
        for task in self._under_way:
            task.cancel()
        for future in self._asked.values():
            future.cancel()
        await self._client.close()

    async def of(self, partition: int) -> int:
        """Return the high watermark of a partition, observed after this call began.

        Raises:
            aiokafka.errors.KafkaError: the broker did not answer in time, or refused.
            TimeoutError: the partition had no leader for LIMIT_S.
        """
        future = self._asked.get(partition)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._asked[partition] = loop.create_future()
            future.add_done_callback(look_at)
            loop.call_soon(self._ask)  # what is asked at once for other partitions goes with it
        return await asyncio.shield(future)

    def _ask(self) -> None:
        """Send a request for all that is asked, if one may be sent."""
        if self._asked and len(self._under_way) < IN_FLIGHT:
            asked, self._asked = self._asked, {}
            task = asyncio.create_task(self._answer(asked), name="high-watermarks")
            self._under_way.add(task)
            task.add_done_callback(partial(self._answered, asked))

    def _answered(self, asked: Mapping[int, asyncio.Future[int]], task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        for future in asked.values():
            future.cancel()  # nothing happens to those that are answered
        if not task.cancelled():
            self._ask()

    async def _answer(self, asked: dict[int, asyncio.Future[int]]) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                waiting = set(asked)
                while waiting:
                    for partition, end in (await self._ends(waiting)).items():
                        waiting.discard(partition)
                        if not asked[partition].done():
                            asked[partition].set_result(end)
                    if waiting:
                        self._client.force_metadata_update()
                        await asyncio.sleep(BACKOFF_S)
        except Exception as error:  # noqa: BLE001  # every asker gets it and acts by its own rules
            for future in asked.values():
                if not future.done():
                    future.set_exception(error)

    async def _ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return the end offsets of those partitions whose leader knows them now."""
        by_node: defaultdict[int, list[int]] = defaultdict(list)
        for partition in partitions:
            node = self._client.cluster.leader_for_partition(TopicPartition(CONSENT_REQUESTS, partition))
            if node is not None and node >= 0:
                by_node[node].append(partition)
        ends: dict[int, int] = {}
        for node, led in by_node.items():
            topics = [(CONSENT_REQUESTS, [(partition, _LATEST) for partition in led])]
            answer = await self._client.send(node, OffsetRequest(_NO_REPLICA, _READ_UNCOMMITTED, topics))
            for _, found in answer.topics:
                for partition, code, _, end, *_more in found:
                    error = for_code(code)
                    if code == 0:
                        ends[partition] = end
                    elif not error.retriable:
                        raise error
        return ends
