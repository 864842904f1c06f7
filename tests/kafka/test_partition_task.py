"""A partition task fences others only as long as the group counts on its worker."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError

from streams.kafka import partition_task
from streams.kafka.partition_task import PartitionTask

SETTLE_S = 0.05


class Owner:
    """What a task asks of its owner until there is something to decide."""

    partition = 3

    def __init__(self) -> None:
        self.acquired = 0

    async def acquire(self) -> None:
        self.acquired += 1

    def read_requests(self, _: Any) -> None:
        pass

    async def release(self) -> None:
        pass


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
