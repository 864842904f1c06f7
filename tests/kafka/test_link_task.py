"""The life of a partition of links: nothing is folded on what was not read back, and letting go is quick."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError

from streams.errors import FencedError, OutcomeUnknownError, StandstillError
from streams.kafka import link_task, pace
from streams.kafka.link_owner import LinkOwner
from streams.kafka.link_stage import LinkStage
from streams.kafka.link_task import LinkTask
from streams.kafka.worker_connections import Connections
from streams.kernel.record_batch import RecordBatch
from streams.settings import Settings
from streams.wire.topics import LINK_REQUESTS

PLACE = TopicPartition(LINK_REQUESTS, 3)
SETTLE_S = 0.05


class Kafka:
    """What a task asks of its owner and of the consumer; `happened` has it in order.

    Each fold and each fetch ends with the next of `failures` if there is one.
    """

    partition, restored, is_restored = 3, 0, True

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.positions: dict[str, int] = {LINK_REQUESTS: 7}
        self.failures: list[Exception] = []
        self.fetch_failures: list[Exception] = []
        self.fetched: list[RecordBatch] = []
        self.is_due = self.is_broken = False

    async def acquire(self) -> None:
        self.happened.append("acquire")

    async def release(self) -> None:
        self.happened.append("release")

    async def fold(self, _: list[RecordBatch]) -> None:
        self.happened.append("fold")
        if self.failures:
            raise self.failures.pop(0)

    def is_tick_due(self) -> bool:
        return self.is_due

    async def tick(self) -> None:
        self.happened.append("tick")
        self.is_due = False

    async def is_whole(self) -> bool:
        is_broken, self.is_broken = self.is_broken, False
        return not is_broken

    def seek(self, tp: TopicPartition, offset: int) -> None:
        assert tp == PLACE
        self.happened.append(f"seek {offset}")

    def resume(self, tp: TopicPartition) -> None:
        assert tp == PLACE

    async def getmany(self, tp: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[RecordBatch]]:
        if self.fetch_failures:
            raise self.fetch_failures.pop(0)
        batches, self.fetched = self.fetched, []
        if not batches:
            await asyncio.sleep(timeout_ms / 1000)
        return {tp: batches} if batches else {}


def batch() -> RecordBatch:
    return RecordBatch(LINK_REQUESTS, 3, (7,), (0,), (b"psid:1",), (None,), ((),), 7, 8)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    async def member(_: Any) -> bool:
        return True

    monkeypatch.setattr(link_task, "is_member", member)
    monkeypatch.setattr(link_task, "LOOK_S", 0.01)
    monkeypatch.setattr(pace, "FIRST_BACKOFF_S", 0.001)


def run(kafka: Kafka, story: Callable[[LinkTask], Awaitable[None]]) -> None:
    async def tell() -> None:
        task = LinkTask(cast("LinkOwner", kafka), cast("AIOKafkaConsumer", kafka))
        await story(task)
        await task.close(1.0)

    asyncio.run(asyncio.wait_for(tell(), 10))


async def settle(_: LinkTask) -> None:
    await asyncio.sleep(SETTLE_S)


def test_a_partition_is_read_from_where_the_log_has_it_and_let_go_at_the_end() -> None:
    kafka = Kafka()
    kafka.fetched = [batch()]
    run(kafka, settle)
    assert kafka.happened == ["acquire", "seek 7", "fold", "release"]


@pytest.mark.parametrize("where", ["failures", "fetch_failures"])
def test_after_an_unknown_outcome_everything_is_acquired_and_read_again(where: str) -> None:
    kafka = Kafka()
    kafka.fetched = [batch()]
    error = OutcomeUnknownError("no answer") if where == "failures" else KafkaConnectionError()
    getattr(kafka, where).append(error)

    async def story(task: LinkTask) -> None:
        await asyncio.sleep(SETTLE_S)
        assert (task.waits_for, task.standing.is_retrying) == ("", False)

    run(kafka, story)
    assert kafka.happened.count("acquire") == kafka.happened.count("seek 7") == 2


def test_whoever_is_fenced_waits_and_does_nothing_meanwhile() -> None:
    kafka = Kafka()
    kafka.fetched, kafka.failures = [batch()], [FencedError("another")]

    async def story(task: LinkTask) -> None:
        await asyncio.sleep(SETTLE_S)
        assert task.waits_for == "another worker that owns it"

    run(kafka, story)
    assert kafka.happened == ["acquire", "seek 7", "fold", "release"]


def test_whoever_is_fenced_acquires_again_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_task, "FENCED_WAIT_S", 0.01)
    kafka = Kafka()
    kafka.fetched, kafka.failures = [batch()], [FencedError("another")]
    run(kafka, settle)
    assert kafka.happened.count("acquire") == 2


def test_without_requests_the_log_is_kept_moving_and_lost_markers_are_looked_for() -> None:
    kafka = Kafka()
    kafka.is_due = True
    run(kafka, settle)
    assert kafka.happened == ["acquire", "seek 7", "tick", "release"]
    broken = Kafka()
    broken.is_broken = True
    run(broken, settle)
    assert broken.happened.count("acquire") == 2


def test_closing_does_not_wait_for_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_task, "LOOK_S", 60.0)
    began = time.monotonic()
    run(Kafka(), settle)
    assert time.monotonic() - began < 1


def test_what_a_task_cannot_mend_is_told() -> None:
    kafka = Kafka()
    kafka.fetched, kafka.failures = [batch()], [StandstillError("skipped")]
    told: list[BaseException] = []

    async def story(task: LinkTask) -> None:
        task.on_failure(told.append)
        await asyncio.sleep(SETTLE_S)

    run(kafka, story)
    assert [str(error) for error in told] == ["skipped"]


def test_a_stage_says_which_partition_is_not_ready() -> None:
    shared = cast("Connections", SimpleNamespace(settings=Settings.from_env({})))
    stage = LinkStage(shared, lambda _: None)
    assert stage.not_ready() == ["no assignment of link partitions from the group yet"]
    stage._has_assignment = True
    one, two = SimpleNamespace(waits_for=""), SimpleNamespace(waits_for="restore")
    stage._tasks = cast("dict[int, LinkTask]", {0: one, 3: two})
    assert stage.not_ready() == ["link partition number 3: waits for restore"]
    assert stage.owned() == {0: "", 3: "restore"}
