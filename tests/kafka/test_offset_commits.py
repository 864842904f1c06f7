"""Offsets are committed beside the work: the newest of them, one request at a time, and a failure is told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from streams.errors import OutcomeUnknownError
from streams.kafka.committers import offset_commits
from streams.kafka.committers.offset_commits import OffsetCommits

ONE, TWO = TopicPartition("t", 1), TopicPartition("t", 2)


class Group:
    """Takes commits; each waits for `answer`, then raises `refusal` if there is one."""

    def __init__(self) -> None:
        self.taken: list[dict[TopicPartition, int]] = []
        self.answer = asyncio.Event()
        self.refusal: Exception | None = None

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.taken.append(dict(offsets))
        await self.answer.wait()
        if self.refusal:
            raise self.refusal


def run(story: Callable[[Group, OffsetCommits], Awaitable[None]], limit_s: float = 5.0) -> None:
    async def told() -> None:
        group = Group()
        await story(group, OffsetCommits(group.commit, limit_s))

    asyncio.run(asyncio.wait_for(told(), 5))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offset_commits, "RETRY_S", 0.01)


def test_what_comes_while_a_request_is_under_way_is_committed_by_the_next_one_at_its_newest() -> None:
    async def story(group: Group, commits: OffsetCommits) -> None:
        commits.note({ONE: 1})
        await asyncio.sleep(0)
        for offset in (2, 3):
            commits.note({ONE: offset, TWO: 7})
        assert group.taken == [{ONE: 1}]
        group.answer.set()
        await commits.settle(1)
        assert group.taken == [{ONE: 1}, {ONE: 3, TWO: 7}]
        commits.check()

    run(story)


def test_a_failure_is_told_until_a_commit_succeeds_and_newer_offsets_are_tried_again() -> None:
    async def story(group: Group, commits: OffsetCommits) -> None:
        group.refusal = ValueError("what nobody expected")
        group.answer.set()
        commits.note({ONE: 1, TWO: 2})
        await asyncio.sleep(0.005)
        for _ in "each partition":
            with pytest.raises(OutcomeUnknownError, match="ValueError while committing"):
                commits.check()
        commits.note({ONE: 5})
        group.refusal = None
        await asyncio.sleep(0.05)
        commits.check()
        assert group.taken[0] == {ONE: 1, TWO: 2}
        assert group.taken[-1] == {ONE: 5, TWO: 2}

    run(story)


def test_a_commit_that_is_not_answered_within_the_session_has_failed() -> None:
    async def story(group: Group, commits: OffsetCommits) -> None:
        commits.note({ONE: 1})
        await asyncio.sleep(0.1)
        with pytest.raises(OutcomeUnknownError, match="TimeoutError"):
            commits.check()
        assert len(group.taken) > 1

    run(story, limit_s=0.02)


def test_who_lost_its_partitions_does_not_commit_them_again() -> None:
    async def story(group: Group, commits: OffsetCommits) -> None:
        group.refusal = CommitFailedError("another generation")
        group.answer.set()
        commits.note({ONE: 1})
        await asyncio.sleep(0.05)
        assert group.taken == [{ONE: 1}]
        with pytest.raises(OutcomeUnknownError, match="CommitFailedError"):
            commits.check()
        await commits.settle(1)
        commits.check()

    run(story)


def test_after_a_revocation_nothing_of_before_is_committed() -> None:
    async def story(group: Group, commits: OffsetCommits) -> None:
        commits.note({ONE: 1})
        await asyncio.sleep(0)
        commits.note({ONE: 3})
        await commits.settle(0.01)
        group.answer.set()
        commits.note({TWO: 2})
        await commits.settle(1)
        assert group.taken == [{ONE: 1}, {TWO: 2}]

    run(story)


def test_a_stop_may_come_while_a_revocation_waits() -> None:
    async def story(group: Group, commits: OffsetCommits) -> None:
        commits.note({ONE: 1})
        first = asyncio.create_task(commits.settle(0.05))
        await asyncio.sleep(0.01)
        await commits.settle(0.05)
        await first

    run(story)
