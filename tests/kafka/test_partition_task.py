"""A partition task fences others only as long as the group counts on its worker, and decides after a question
to the barrier that is as new as the events.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError

from streams.errors import OutcomeUnknownError
from streams.kafka import partition_task
from streams.kafka.partition_task import LATEST_WRITE_S, PartitionTask
from streams.kernel.record_batch import RecordBatch

SETTLE_S = 0.05


class Owner:
    """What a task asks of its owner; `happened` has, in order, what it was asked for.

    A commit ends when it is let go, with the next of `failures` if there is one.
    """

    partition = 3
    is_restored = True
    request_offset = 0

    def __init__(self) -> None:
        self.acquired = 0
        self.happened: list[str] = []
        self.failures: list[Exception] = []
        self.let_go = asyncio.Event()
        self.limits_s: list[float] = []
        self.observer = self

    async def acquire(self) -> None:
        self.acquired += 1

    def read_requests(self, _: Any) -> None:
        pass

    async def release(self) -> None:
        pass

    async def request_high_watermark(self) -> int:
        self.happened.append("asked")
        return 0

    def barrier_wait(self, *_: Any) -> None:
        pass

    def not_done(self, batches: list[RecordBatch]) -> list[RecordBatch]:
        return batches

    async def decide(self, batches: list[RecordBatch]) -> str:
        self.happened.append(f"decided {[batch.next_offset for batch in batches]}")
        return "a result"

    async def commit(self, _: str, __: Any, ___: Any, write_by_s: float) -> None:
        self.limits_s.append(write_by_s - asyncio.get_running_loop().time())
        await self.let_go.wait()
        if self.failures:
            raise self.failures.pop(0)


def event(offset: int) -> RecordBatch:
    """Return a batch of one event."""
    return RecordBatch(
        "bank.transactions", Owner.partition, [offset], [0], [b"k"], [b"v"], [[]], offset, offset + 1
    )


def deciding(story: Callable[[Any, PartitionTask], Awaitable[None]]) -> None:
    """Run a story of a task that owns its partition."""

    async def yes() -> bool:
        return True

    async def whole() -> None:
        owner: Any = Owner()
        task = PartitionTask(owner, yes, lambda: None, lambda _: 0, 10)
        await asyncio.sleep(SETTLE_S)
        await story(owner, task)
        owner.let_go.set()
        await task.close(1.0)

    asyncio.run(asyncio.wait_for(whole(), 10))


def life(is_member: Callable[[], Awaitable[bool]]) -> tuple[int, bool, str]:
    """Let a task live for a moment; return how often it fenced others, if it was ready, what it waits for."""

    async def story() -> tuple[int, bool, str]:
        owner: Any = Owner()
        task = PartitionTask(owner, is_member, lambda: None, lambda _: 0, 10)
        await asyncio.sleep(SETTLE_S)
        found = owner.acquired, task.is_ready, task.waits_for
        await task.close(1.0)
        return found

    return asyncio.run(asyncio.wait_for(story(), 10))


def test_a_member_takes_its_partition() -> None:
    async def yes() -> bool:
        return True

    assert life(yes) == (1, True, "")


def test_whom_the_group_goes_on_without_fences_nobody_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def no() -> bool:
        return False

    monkeypatch.setattr(partition_task, "FENCED_WAIT_S", SETTLE_S / 3)
    assert life(no) == (0, False, "another worker that owns this partition number")
    assert "the group goes on without this worker" in caplog.text


def test_a_group_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[bool | Exception] = [GroupCoordinatorNotAvailableError(), TimeoutError(), True]

    async def later() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(partition_task, "FIRST_BACKOFF_S", SETTLE_S / 10)
    assert life(later) == (1, True, "")


def test_the_barrier_of_the_next_batch_is_asked_while_the_one_before_is_committed() -> None:
    async def story(owner: Any, task: PartitionTask) -> None:
        task.events_arrived([event(0)])
        await asyncio.sleep(SETTLE_S)
        task.events_arrived([event(1)])
        task.events_arrived([event(2)])
        await asyncio.sleep(SETTLE_S / 5)
        assert owner.happened[:2] == ["asked", "decided [1]"]
        assert set(owner.happened[2:]) == {"asked"}, "and nothing is decided on an answer alone"
        asked = len(owner.happened)
        owner.let_go.set()
        await asyncio.sleep(SETTLE_S)
        assert owner.happened[asked:] == ["decided [2, 3]"], (
            "no question after the last event was asked again"
        )

    deciding(story)


def test_a_question_of_long_ago_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_task, "OLDEST_MARK_S", SETTLE_S)

    async def story(owner: Any, task: PartitionTask) -> None:
        task.events_arrived([event(0)])
        await asyncio.sleep(SETTLE_S)
        task.events_arrived([event(1)])
        await asyncio.sleep(2 * SETTLE_S)
        owner.let_go.set()
        await asyncio.sleep(SETTLE_S)
        assert owner.happened == ["asked", "decided [1]", "asked", "asked", "decided [2]"]

    deciding(story)


def test_what_failed_is_decided_again_after_a_new_question_with_more_time_to_write_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partition_task, "FIRST_BACKOFF_S", SETTLE_S / 10)

    async def story(owner: Any, task: PartitionTask) -> None:
        owner.failures = [OutcomeUnknownError("first"), OutcomeUnknownError("second")]
        owner.let_go.set()
        task.events_arrived([event(0)])
        await asyncio.sleep(SETTLE_S)
        assert owner.happened == 3 * ["asked", "decided [1]"]
        assert owner.limits_s == [pytest.approx(LATEST_WRITE_S * 2**n, abs=0.1) for n in range(3)]

    deciding(story)


def test_a_question_that_fails_is_told_by_the_step_that_needs_it_and_by_nobody_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(partition_task, "FIRST_BACKOFF_S", SETTLE_S / 10)

    async def story(owner: Any, task: PartitionTask) -> None:
        async def fails() -> int:
            raise OutcomeUnknownError("no answer at the barrier")

        task.events_arrived([event(0)])
        await asyncio.sleep(SETTLE_S)
        answers = owner.request_high_watermark
        owner.request_high_watermark = fails
        task.events_arrived([event(1)])
        await asyncio.sleep(SETTLE_S)
        owner.request_high_watermark = answers
        assert "no answer" not in caplog.text
        owner.let_go.set()
        await asyncio.sleep(SETTLE_S)
        assert caplog.text.count("no answer at the barrier") == 1
        assert owner.happened[-1] == "decided [2]"

    deciding(story)
    gc.collect()
    assert "never retrieved" not in caplog.text
