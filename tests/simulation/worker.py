"""A worker: the production Carrier on simulated connections, with readers that feed it."""

import asyncio
import contextvars
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, cast

from aiokafka import TopicPartition

import streams.kafka.restorer as restorer_module
import streams.kafka.transactions as transactions_module
import streams.kafka.unfinished as unfinished_module
from streams.core.policy import make_policy
from streams.errors import TornTransactionError
from streams.kafka.breaker import DeadLetterBreaker
from streams.kafka.carrier import Carrier
from streams.kafka.metadata import ClusterInfo, TopicInfo
from streams.kafka.worker_connections import Connections
from streams.kernel.fold_batch import Secrets
from streams.kernel.path import INTERPRETED, choose_path
from streams.kernel.record_batch import RecordBatch
from streams.settings import Settings
from streams.wire.topics import CONSENT_REQUESTS, EVENT_TOPICS, TOPICS
from tests.simulation.cluster import CLIENT, SimCluster, Slot
from tests.simulation.requests import SimRequests

SETTINGS = Settings(kafka="simulated:1", drain_timeout_s=5, batch_max_records=40, compaction_tick_s=3)
FETCH_S = 0.02
Receiver = Callable[[RecordBatch], None]


class Silent:
    """An observer that takes everything and keeps nothing."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_, **__: None


def cluster_info(partitions: int) -> ClusterInfo:
    """Return what the simulated cluster says of itself."""
    topics = {topic.name: TopicInfo(f"id-of-{topic.name}", partitions) for topic in TOPICS}
    return ClusterInfo("simulated", topics)


def install(cluster: SimCluster) -> None:
    """Have production code make its connections to this cluster."""

    async def read_to_end(
        _: Settings,
        topic: str,
        partition: int,
        start: int,
        take: Receiver,
        progress: Callable[[int, int], None],
    ) -> int:
        slot = (topic, partition)
        end = await cluster.ask(lambda: cluster.stable(slot))
        position = start = start if start >= 0 else max(0, end + start)
        while position < end:
            batch = await cluster.ask(partial(cluster.read, slot, position))
            if batch is not None:
                take(batch)
                position = batch.next_offset
            progress(position - start, end - start)
        return position

    def requests(_: Settings, transactional_id: str, *__: int) -> SimRequests:
        return SimRequests(cluster, transactional_id)

    class NotedError(TornTransactionError):
        def __init__(self, message: str) -> None:
            super().__init__(message)
            cluster.needs_person = True

    for module in (unfinished_module, transactions_module):
        setattr(module, "TornTransactionError", NotedError)  # noqa: B010  # as below
    setattr(restorer_module, "read_to_end", read_to_end)  # noqa: B010  # mypy: a module's own name
    setattr(transactions_module, "TransactionRequests", requests)  # noqa: B010  # as above


class _Reader:
    """Hands out what is committed in a partition from a position on, until it is ended."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._tasks: dict[Slot, asyncio.Task[None]] = {}

    def begin(self, slot: Slot, position: int, receiver: Receiver) -> None:
        self.end(slot)
        self._tasks[slot] = asyncio.create_task(self._read(slot, position, receiver))

    def end(self, slot: Slot) -> None:
        if slot in self._tasks:
            self._tasks.pop(slot).cancel()

    def end_all(self) -> None:
        for slot in list(self._tasks):
            self.end(slot)

    async def _read(self, slot: Slot, position: int, receiver: Receiver) -> None:
        while True:
            await asyncio.sleep(self._cluster.chance.uniform(0, FETCH_S))
            await CLIENT.get().awake()
            batch = self._cluster.read(slot, position)
            if batch is None:
                await self._cluster.changed.wait()
                continue
            position = batch.next_offset
            receiver(batch)


class SimConnections:
    """Stands where Connections stands."""

    def __init__(self, cluster: SimCluster, partitions: int) -> None:
        self._cluster = cluster
        self._reader = _Reader(cluster)
        self.settings = SETTINGS
        self.cluster = cluster_info(partitions)
        self.policy = make_policy()
        self.clock = cluster.now_ms
        self.observer = Silent()
        self.path = choose_path(INTERPRETED)
        self.partitions = partitions
        self.watermarks = self.requests = self.offsets = self
        self.group_id = SETTINGS.app_id
        self.turn = asyncio.Lock()
        self.breaker = DeadLetterBreaker(100, 1000)
        self.secrets = Secrets(cluster.draw_salt)
        self.seal = None

    async def start(self) -> None:
        """Connect: nothing to do."""

    async def stop(self) -> None:
        """Disconnect."""
        self._reader.end_all()

    def on_failure(self, receiver: object) -> None:
        """Reading never fails here."""

    def add(self, partition: int, position: int, receiver: Receiver) -> None:
        """Read consent requests."""
        self._reader.begin((CONSENT_REQUESTS, partition), position, receiver)

    def remove(self, partition: int) -> None:
        """Read them no more."""
        self._reader.end((CONSENT_REQUESTS, partition))

    async def of(self, partition: int) -> int:
        """Return the high watermark of consent requests."""
        return await self._cluster.ask(lambda: self._cluster.end((CONSENT_REQUESTS, partition)))

    async def committed(self, topics: Iterable[str], partition: int) -> dict[str, int] | None:
        """Return the group's offsets; None: a transaction has some of them."""

        def look() -> dict[Slot, int] | None:
            wanted = {(topic, partition) for topic in topics}
            if any(wanted & set(producer.offsets) for producer in self._cluster.producers.values()):
                return None
            return dict(self._cluster.offsets)

        found = await self._cluster.ask(look)
        if found is None:
            return None
        return {topic: found[topic, partition] for topic in topics if (topic, partition) in found}

    async def ranges(self, topics: Iterable[str], partition: int) -> Mapping[str, tuple[int, int]]:
        """Return where logs begin and end."""
        return await self._cluster.ask(
            lambda: {topic: (0, self._cluster.end((topic, partition))) for topic in topics}
        )


class SimWorker:
    """One process: it may be paused, killed, and given partitions."""

    def __init__(self, cluster: SimCluster, partitions: int) -> None:
        self._cluster = cluster
        self._running = asyncio.Event()
        self._running.set()
        self._context = contextvars.copy_context()
        self._context.run(CLIENT.set, self)
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._reader = _Reader(cluster)
        self._rebalance = asyncio.Lock()
        self._connections = SimConnections(cluster, partitions)
        self.is_member, self._is_killed = True, False
        self.failure: BaseException | None = None
        self.carrier = Carrier(
            cast("Connections", self._connections),
            commit_offsets=self._no_commits,
            is_member=self._ask_membership,
            highwater=lambda _: None,
            on_failure=self._failed,
        )

    async def awake(self) -> None:
        """Return once it runs."""
        await self._running.wait()

    def pause(self) -> None:
        """SIGSTOP."""
        self._running.clear()

    def wake(self) -> None:
        """SIGCONT."""
        self._running.set()

    def own(self, numbers: Iterable[int]) -> "asyncio.Task[None]":
        """Give it these partition numbers instead of those that it has, as a rebalance does."""
        return asyncio.create_task(self._own(list(numbers)), context=self._context)

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more; what it sent is on its way."""
        self._is_killed = True
        self._reader.end_all()
        for task in self.tasks:
            task.cancel()

    async def _own(self, numbers: list[int]) -> None:
        async with self._rebalance:
            if not self._is_killed:
                await self._rebalanced(numbers)

    async def _rebalanced(self, numbers: list[int]) -> None:
        await self.awake()
        self._reader.end_all()
        await self.carrier.revoke()
        self.is_member = True
        self.carrier.assign(TopicPartition(topic, number) for number in numbers for topic in EVENT_TOPICS)
        for number in numbers:
            for topic in EVENT_TOPICS:
                at = self._cluster.offsets.get((topic, number), 0)
                self._reader.begin((topic, number), at, lambda batch: self.carrier.arrived([batch]))

    async def _ask_membership(self) -> bool:
        return await self._cluster.ask(lambda: self.is_member)

    async def _no_commits(self, _: Any) -> None:
        raise AssertionError("exactly_once commits no offsets as a member")

    def _failed(self, error: BaseException) -> None:
        self.failure = error
