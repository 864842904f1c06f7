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
    """Takes commits; each waits for `answer` and fails while `refuses`."""

    def __init__(self) -> None:
        self.taken: list[dict[TopicPartition, int]] = []
        self.answer = asyncio.Event()
        self.refuses = False

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.taken.append(dict(offsets))
        await self.answer.wait()
        if self.refuses:
            raise CommitFailedError("another generation")


def run(story: Callable[[Group, OffsetCommits], Awaitable[None]]) -> None:
    async def told() -> None:
        group = Group()
        await story(group, OffsetCommits(group.commit))

    asyncio.run(asyncio.wait_for(told(), 5))


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


def test_a_failure_is_told_once_and_tried_again_unless_newer_offsets_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(offset_commits, "RETRY_S", 0.01)

    async def story(group: Group, commits: OffsetCommits) -> None:
        group.refuses = True
        group.answer.set()
        commits.note({ONE: 1, TWO: 2})
        await asyncio.sleep(0.005)
        with pytest.raises(OutcomeUnknownError, match="CommitFailedError"):
            commits.check()
        commits.check()
        commits.note({ONE: 5})
        group.refuses = False
        await commits.settle(1)
        assert group.taken[0] == {ONE: 1, TWO: 2}
        assert group.taken[-1] == {ONE: 5, TWO: 2}

    run(story)


def test_after_a_revocation_nothing_of_before_is_committed() -> None:
    async def story(group: Group, commits: OffsetCommits) -> None:
        commits.note({ONE: 1})
        await commits.settle(0.01)
        group.answer.set()
        commits.note({TWO: 2})
        await commits.settle(1)
        assert group.taken == [{ONE: 1}, {TWO: 2}]

    run(story)
