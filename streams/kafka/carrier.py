"""Starts and ends partition tasks as the assignment changes, and hands them the batches that Faust fetched.

A task starts only if this member owns every event topic of its partition number. All tasks end at each
revocation (the rebalance is eager); their stores stay frozen until the next assignment, go on from there if
the partition comes back, and are dropped if it does not. Read next: `transport.py`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from aiokafka import AIOKafkaProducer, TopicPartition

from streams.failpoints import reach
from streams.kafka.committer import Committer
from streams.kafka.committers.at_least_once import AtLeastOnceCommitter, producer_options
from streams.kafka.committers.exactly_once import ExactlyOnceCommitter
from streams.kafka.committers.offset_commits import OffsetCommit, OffsetCommits
from streams.kafka.partition_owner import PartitionOwner
from streams.kafka.partition_store import PartitionStore
from streams.kafka.partition_task import PartitionTask, Standing
from streams.kafka.transactions import TransactionalProducer
from streams.kafka.worker_connections import Connections
from streams.kernel.record_batch import RecordBatch
from streams.wire.topics import EVENT_TOPICS

log = logging.getLogger(__name__)

DRAIN_SHARE = 0.5  # of the drain time for work in flight; the rest is for leaving the group
OFFSETS_DEADLINE_S = 2.0  # without them the next owner goes on from the position markers


class Carrier:
    """All partition tasks of one worker.

    Args:
        commit_offsets: the group member's offset commit, used by at_least_once only.
        is_member: whether the group still counts on this member.
        highwater: end offset of an event partition as last fetched, None if unknown.
        on_failure: called with the error of a task that cannot go on.
    """

    def __init__(
        self,
        shared: Connections,
        commit_offsets: OffsetCommit,
        is_member: Callable[[], Awaitable[bool]],
        highwater: Callable[[TopicPartition], int | None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._shared = shared
        self._offset_commits = OffsetCommits(commit_offsets, shared.settings.session_timeout_ms / 1000)
        self._is_member = is_member
        self._highwater = highwater
        self._on_failure = on_failure
        self._plain: AIOKafkaProducer | None = None
        self._tasks: dict[int, PartitionTask] = {}
        self._frozen: dict[int, PartitionStore] = {}
        self._fetched: dict[TopicPartition, int] = {}
        self._has_assignment = False
        self.room = asyncio.Event()

    async def start(self) -> None:
        """Connect what the partitions share."""
        await self._shared.start()
        self._shared.requests.on_failure(self._on_failure)
        if self._shared.settings.guarantee == "at_least_once":
            self._plain = AIOKafkaProducer(**producer_options(self._shared.settings), enable_idempotence=True)
            await self._plain.start()

    async def stop(self) -> None:
        """End every task within the drain time, and disconnect."""
        await self.revoke()
        if self._plain is not None:
            await self._plain.stop()
        await self._shared.stop()

    def assign(self, assigned: Iterable[TopicPartition]) -> None:
        """Start a task for every partition number that is wholly ours; drop the stores of the others."""
        owned, settings = _whole_numbers(assigned), self._shared.settings
        for partition in owned:
            owner = PartitionOwner(
                self._shared,
                partition,
                self._committer,
                self._store(partition),
            )
            task = PartitionTask(
                owner,
                self._is_member,
                self.room.set,
                self._records_left(partition),
                settings.batch_max_records,
                settings.transaction_interval_ms / 1000 if settings.guarantee == "exactly_once" else 0.0,
                settings.transaction_timeout_ms / 1000,
            )
            task.on_failure(self._on_failure)
            self._tasks[partition] = task
        self._frozen.clear()
        self._has_assignment = True
        self._shared.observer.rebalance()
        self._shared.observer.assigned(owned)
        log.info("owns partition numbers %s", sorted(owned))

    async def revoke(self) -> None:
        """End every task: what is under way is finished or abandoned within the drain time."""
        self._has_assignment = False
        await reach("on_revoke")
        tasks, self._tasks = self._tasks, {}
        deadline_s = self._shared.settings.drain_timeout_s * DRAIN_SHARE
        owners = await asyncio.gather(*(task.close(deadline_s) for task in tasks.values()))
        await self._offset_commits.settle(OFFSETS_DEADLINE_S)
        for owner in owners:
            self._frozen[owner.partition] = owner.store
        self._fetched.clear()

    def arrived(self, batches: list[RecordBatch]) -> None:
        """Hand fetched batches of one partition to its task.

        Without a task they are dropped, a later owner reads them again.
        """
        task = self._tasks.get(batches[0].partition)
        if task is not None:
            self._fetched[TopicPartition(batches[0].topic, batches[0].partition)] = batches[-1].next_offset
            task.events_arrived(batches)

    def saturated(self) -> set[int]:
        """Return the partition numbers whose tasks have enough waiting."""
        return {partition for partition, task in self._tasks.items() if task.is_saturated}

    def not_ready(self) -> list[str]:
        """Return why this worker is not ready, empty when it is."""
        if not self._has_assignment:
            return ["no assignment from the group yet"]
        return [
            f"partition number {number}: waits for {task.waits_for}"
            for number, task in self._tasks.items()
            if not task.is_ready
        ]

    def owned(self) -> dict[int, str]:
        """Return the owned partition numbers and what each waits for at this moment, "" for nothing."""
        return {number: task.waits_for for number, task in self._tasks.items()}

    def standings(self) -> dict[int, Standing]:
        """Return where each owned partition number stands."""
        return {number: task.standing for number, task in self._tasks.items()}

    def _store(self, partition: int) -> PartitionStore:
        """Return the frozen store of a partition number that came back, else an empty one."""
        if partition in self._frozen:
            return self._frozen.pop(partition)
        return PartitionStore(self._shared.path.new_subjects())

    def _committer(self, producer: TransactionalProducer) -> Committer:
        if self._plain is not None:
            return AtLeastOnceCommitter(self._plain, self._offset_commits)
        return ExactlyOnceCommitter(producer, self._shared.settings.app_id)

    def _records_left(self, partition: int) -> Callable[[str], int]:
        def left(topic: str) -> int:
            tp = TopicPartition(topic, partition)
            end = self._highwater(tp)
            return 0 if end is None else max(0, end - self._fetched.get(tp, end))

        return left


def _whole_numbers(assigned: Iterable[TopicPartition]) -> list[int]:
    """Return the partition numbers of which every event topic is assigned.

    The co-partitioned assignor never splits one.
    """
    topics_of: dict[int, set[str]] = {}
    for topic, partition in assigned:
        topics_of.setdefault(partition, set()).add(topic)
    return sorted(number for number, topics in topics_of.items() if topics.issuperset(EVENT_TOPICS))
