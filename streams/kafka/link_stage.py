"""The link stage of a worker: a consumer group of its own, and a task for every partition that it assigns.

Workers share the partitions of `link.requests` as they share those of events, but in another group: channels
and subjects are different key spaces. aiokafka's consumer is the member; tasks read through it, each its own
partition. Transactions whatever the guarantee. Read next: `link_task.py`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka.carrier import DRAIN_SHARE
from streams.kafka.connection import client_options
from streams.kafka.link_owner import SPACE, LinkOwner
from streams.kafka.link_task import LinkTask
from streams.kafka.membership import rebalance_timeout_s, request_timeout_s
from streams.kafka.partition_task import Standing
from streams.kafka.positions import GroupOffsets
from streams.kafka.worker_connections import Connections
from streams.settings import Settings
from streams.wire.topics import LINK_REQUESTS

log = logging.getLogger(__name__)

FETCH_WAIT_MS = 200
NEVER_MS = 86_400_000  # whether tasks get on is judged by `agents/watch.py`, not by the group
RETRY_S = 2.0


class LinkStage(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """All link tasks of one worker; the listener of its own group member.

    Args:
        on_failure: called with the error of a task that cannot go on.
    """

    def __init__(self, shared: Connections, on_failure: Callable[[BaseException], None]) -> None:
        self._shared = shared
        self._on_failure = on_failure
        self._group_id = f"{shared.settings.app_id}.{SPACE}"
        self._offsets: GroupOffsets | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._joining: asyncio.Task[None] | None = None
        self._tasks: dict[int, LinkTask] = {}
        self._has_assignment = False

    async def start(self) -> None:
        """Connect, and begin to join the group; the assignment comes when it comes."""
        self._offsets = GroupOffsets(self._shared.settings, self._group_id)
        await self._offsets.start()
        self._joining = asyncio.create_task(self._join(), name="links-join")

    async def stop(self) -> None:
        """End every task within the drain time, leave the group, disconnect."""
        if self._joining is not None:
            self._joining.cancel()
            await asyncio.wait({self._joining})
        await self._close_tasks()
        if self._consumer is not None:
            await self._consumer.stop()
        if self._offsets is not None:
            await self._offsets.stop()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - the contract has it
        """End every task: the rebalance is eager. aiokafka's call."""
        await self._close_tasks()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Start a task for every partition that is ours now. aiokafka's call."""
        consumer, offsets = self._consumer, self._offsets
        assert consumer is not None
        assert offsets is not None
        for tp in sorted(assigned):
            consumer.pause(tp)
            task = LinkTask(LinkOwner(self._shared, offsets, tp.partition), consumer)
            task.on_failure(self._on_failure)
            self._tasks[tp.partition] = task
        self._has_assignment = True
        log.info("owns link partition numbers %s", sorted(self._tasks))

    def not_ready(self) -> list[str]:
        """Return why links are not folded here, empty when they are."""
        if not self._has_assignment:
            return ["no assignment of link partitions from the group yet"]
        return [
            f"link partition number {number}: waits for {task.waits_for}"
            for number, task in self._tasks.items()
            if task.waits_for
        ]

    def owned(self) -> dict[int, str]:
        """Return the owned partitions and what each waits for at this moment, "" for nothing."""
        return {number: task.waits_for for number, task in self._tasks.items()}

    def standings(self) -> dict[int, Standing]:
        """Return where each owned partition stands."""
        return {number: task.standing for number, task in self._tasks.items()}

    async def _join(self) -> None:
        """Join the group; a Kafka that is away, or refuses, is asked again."""
        while True:
            self._consumer = _member(self._shared.settings, self._group_id)
            self._consumer.subscribe([LINK_REQUESTS], listener=self)
            try:
                await self._consumer.start()
                return
            except KafkaError as error:
                log.warning("joining the group of links: %s; trying again", type(error).__name__)
            with contextlib.suppress(KafkaError):
                await self._consumer.stop()
            await asyncio.sleep(RETRY_S)

    async def _close_tasks(self) -> None:
        self._has_assignment = False
        tasks, self._tasks = self._tasks, {}
        deadline_s = self._shared.settings.drain_timeout_s * DRAIN_SHARE
        await asyncio.gather(*(task.close(deadline_s) for task in tasks.values()))


def _member(settings: Settings, group_id: str) -> AIOKafkaConsumer:
    """Return a member of the group that commits nothing by itself."""
    return AIOKafkaConsumer(
        **client_options(settings),
        group_id=group_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=settings.heartbeat_interval_ms,
        rebalance_timeout_ms=int(rebalance_timeout_s(settings) * 1000),
        request_timeout_ms=int(request_timeout_s(settings) * 1000),
        max_poll_interval_ms=NEVER_MS,
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
