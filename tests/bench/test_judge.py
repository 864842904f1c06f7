"""The benchmark's judge finds every kind of wrong output, so that a fast but wrong contender cannot win."""

from uuid import UUID, uuid4

import pytest

from bench.judge import Judge
from bench.workload import PARTITIONS, Workload

WORK = Workload(8_000, 1_700_000_000_000)
ALL_DONE = [8_000] * PARTITIONS


def right(committed: list[int]) -> list[str]:
    """The ids of a flawless contender that got this far."""
    numbers = [
        number
        for number in range(WORK.events)
        if WORK.offsets[number] < committed[WORK.partition_of_account[WORK.accounts[number]]]
    ]
    return [str(UUID(bytes=found)) for found in map(WORK.notification_id, numbers) if found]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(WORK)


@pytest.mark.parametrize("committed", [ALL_DONE, [1_000, 0, 500, 1]])
def test_right_output_has_no_fault(judge: Judge, committed: list[int]) -> None:
    assert judge.faults(right(committed), committed, is_exact=True) == []


def test_a_lost_notification_is_a_fault(judge: Judge) -> None:
    assert judge.faults(right(ALL_DONE)[1:], ALL_DONE, is_exact=False) == ["1 notifications missing"]


def test_a_notification_told_twice_is_a_fault(judge: Judge) -> None:
    ids = right(ALL_DONE)
    assert judge.faults([*ids, ids[5]], ALL_DONE, is_exact=False) == ["1 notifications twice"]


def test_a_notification_that_no_event_causes_is_a_fault(judge: Judge) -> None:
    found = [*right(ALL_DONE), str(uuid4())]
    assert judge.faults(found, ALL_DONE, is_exact=False) == ["1 notifications that no event causes"]


def test_output_beyond_the_commit_is_a_fault_only_where_both_are_one(judge: Judge) -> None:
    committed = [1_000, 0, 500, 1]
    ahead = right([1_100, 0, 500, 1])
    assert len(ahead) > len(right(committed))
    assert judge.faults(ahead, committed, is_exact=False) == []
    assert judge.faults(ahead, committed, is_exact=True)[0].endswith("beyond the committed offsets")
