"""A partition task fences others only as long as the group counts on its worker, and decides after a question
to the barrier that is as new as the events.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError, TopicAuthorizationFailedError

from streams.errors import LateWriteError, OutcomeUnknownError
from streams.kafka import pace, partition_task
from streams.kafka.pace import LATEST_WRITE_S, Patience
from streams.kafka.partition_task import PartitionTask
from streams.kernel.record_batch import RecordBatch

SETTLE_S = 0.05
INTERVAL_S = 1.0
LIMIT_S = 0.2
LONGEST_WRITE_S = 3.0


class Owner:
    """What a task asks of its owner; `happened` has, in order, what it was asked for.

    A commit ends when it is let go, with the next of `failures` if there is one.
    """

    partition = 3
    is_restored = True
    restored = 0
    positions: Mapping[str, int] = {}
    request_offset = 0

    def __init__(self) -> None:
        self.acquired = 0
        self.happened: list[str] = []
        self.failures: list[Exception] = []
        self.let_go = asyncio.Event()
        self.limits_s: list[float] = []
        self.observer = self
        self.answers_after_s = 0.0
        self.looks_left = 0
        self.on_look: Callable[[], None] = lambda: None

    async def acquire(self) -> None:
        self.acquired += 1

    def read_requests(self, _: Any) -> None:
        pass

    async def release(self) -> None:
        pass

    async def is_whole(self) -> bool:
        return True

    def is_tick_due(self) -> bool:
        return False

    def is_reminder_due(self) -> bool:
        return self.looks_left > 0

    async def look(self) -> bool:
        self.happened.append("looked")
        self.on_look()
        self.looks_left -= 1
        return self.looks_left == 0

    async def decide_notices(self) -> str:
        self.happened.append("notices")
        return "what is told"

    async def commit_notices(self, _: str, write_within_s: float) -> None:
        self.limits_s.append(write_within_s)
        self.happened.append("told")
        if self.failures:
            raise self.failures.pop(0)

    async def request_high_watermark(self) -> int:
        self.happened.append("asked")
        await asyncio.sleep(self.answers_after_s)
        self.answers_after_s = 0.0
        return 0

    async def fold(self, _: list[RecordBatch]) -> None:
        self.happened.append("folded")

    def barrier_wait(self, *_: Any) -> None:
        pass

    def not_done(self, batches: list[RecordBatch]) -> list[RecordBatch]:
        return batches

    async def decide(self, batches: list[RecordBatch]) -> str:
        self.happened.append(f"decided {[batch.next_offset for batch in batches]}")
        return "a result"

    async def commit(self, _: str, __: Any, ___: Any, write_within_s: float) -> None:
        self.limits_s.append(write_within_s)
        await self.let_go.wait()
        if self.failures:
            raise self.failures.pop(0)


def event(offset: int) -> RecordBatch:
    """Return a batch of one event."""
    return RecordBatch(
        "bank.transactions", Owner.partition, [offset], [0], [b"k"], [b"v"], [[]], offset, offset + 1
    )


def deciding(story: Callable[[Any, PartitionTask], Awaitable[None]], interval_s: float = 0.0) -> None:
    """Run a story of a task that owns its partition, and takes ten records at once."""

    async def yes() -> bool:
        return True

    async def whole() -> None:
        owner: Any = Owner()
        task = PartitionTask(owner, yes, lambda: None, lambda _: 0, 10, interval_s, LONGEST_WRITE_S)
        await asyncio.sleep(SETTLE_S)
        await story(owner, task)
        owner.let_go.set()
        await task.close(1.0)

    asyncio.run(asyncio.wait_for(whole(), 10))


def life(is_member: Callable[[], Awaitable[bool]]) -> tuple[int, bool, str]:
    """Let a task live for a moment; return how often it fenced others, if it was ready, what it waits for."""

    async def story() -> tuple[int, bool, str]:
        owner: Any = Owner()
        task = PartitionTask(owner, is_member, lambda: None, lambda _: 0, 10, 0.0, 10.0)
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

    monkeypatch.setattr(pace, "FIRST_BACKOFF_S", SETTLE_S / 10)
    assert life(later) == (1, True, "")


def test_the_barrier_of_the_next_batch_is_asked_at_every_arrival_while_the_one_before_is_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "OLDEST_MARK_S", 60.0)

    async def story(owner: Any, task: PartitionTask) -> None:
        for offset in range(3):
            task.events_arrived([event(offset)])
            await asyncio.sleep(SETTLE_S)
        assert owner.happened == ["asked", "decided [1]", "asked", "asked"]
        owner.let_go.set()
        await asyncio.sleep(SETTLE_S)
        assert owner.happened[4:] == ["decided [2, 3]"], "nobody asked again"

    deciding(story)


def test_a_question_of_long_ago_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "OLDEST_MARK_S", SETTLE_S)

    async def story(owner: Any, task: PartitionTask) -> None:
        task.events_arrived([event(0)])
        await asyncio.sleep(SETTLE_S)
        task.events_arrived([event(1)])
        await asyncio.sleep(2 * SETTLE_S)
        owner.let_go.set()
        await asyncio.sleep(SETTLE_S)
        assert owner.happened == ["asked", "decided [1]", "asked", "asked", "decided [2]"]

    deciding(story)


def test_an_answer_that_came_too_late_is_asked_for_again_before_anything_is_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "LATEST_WRITE_S", SETTLE_S)

    async def story(owner: Any, task: PartitionTask) -> None:
        owner.answers_after_s = 1.5 * SETTLE_S
        owner.let_go.set()
        task.events_arrived([event(0)])
        await asyncio.sleep(6 * SETTLE_S)
        assert owner.happened == ["asked", "asked", "decided [1]"]
        assert owner.limits_s == [pytest.approx(SETTLE_S, abs=SETTLE_S / 2)], (
            "a slow barrier gives no more time"
        )

    deciding(story)


def test_what_could_not_be_written_in_time_is_decided_again_whole_with_more_time_and_less_after_a_quick_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "FIRST_BACKOFF_S", SETTLE_S / 10)

    async def story(owner: Any, task: PartitionTask) -> None:
        owner.failures = [LateWriteError(str(number)) for number in range(4)]
        owner.let_go.set()
        task.events_arrived([event(0), event(1)])
        await asyncio.sleep(3 * SETTLE_S)
        task.events_arrived([event(2)])
        await asyncio.sleep(SETTLE_S)
        assert owner.happened == [*5 * ["asked", "decided [1, 2]"], "asked", "decided [3]"]
        assert owner.limits_s == [
            pytest.approx(min(seconds, LONGEST_WRITE_S), abs=0.1)
            for seconds in (LATEST_WRITE_S, 2 * LATEST_WRITE_S, 4, 8, 16, LATEST_WRITE_S)
        ]

    deciding(story)


def test_what_failed_otherwise_is_tried_in_parts_after_a_new_question_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "FIRST_BACKOFF_S", SETTLE_S / 10)

    async def story(owner: Any, task: PartitionTask) -> None:
        owner.failures = [OutcomeUnknownError("first"), OutcomeUnknownError("second")]
        owner.let_go.set()
        task.events_arrived([event(0), event(1)])
        await asyncio.sleep(2 * SETTLE_S)
        assert owner.happened == [
            *2 * ["asked", "decided [1, 2]"], *("asked", "decided [1]"), *("asked", "decided [2]"),
        ]  # fmt: skip
        assert max(owner.limits_s) == pytest.approx(LATEST_WRITE_S, abs=0.1)

    deciding(story)


def test_a_question_that_failed_before_a_step_needs_it_is_asked_again_and_nobody_hears_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
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
        owner.let_go.set()
        await asyncio.sleep(SETTLE_S)
        assert owner.happened == ["asked", "decided [1]", "asked", "decided [2]"]

    deciding(story)
    gc.collect()
    assert not caplog.text


def test_transactions_keep_their_distance_unless_a_batch_is_full_and_requests_do_not_wait() -> None:
    async def story(owner: Any, task: PartitionTask) -> None:
        owner.let_go.set()
        task.events_arrived([event(0)])
        await asyncio.sleep(SETTLE_S)
        assert owner.happened == ["asked", "decided [1]"], "the first waits for nobody"
        task.events_arrived([event(1)])
        task.consent_arrived(event(0))
        await asyncio.sleep(SETTLE_S)
        assert "folded" in owner.happened
        assert "decided [2]" not in owner.happened
        task.events_arrived([event(offset) for offset in range(2, 11)])
        await asyncio.sleep(SETTLE_S)
        assert owner.happened[-1] == f"decided {[offset + 1 for offset in range(1, 11)]}", "ten are a batch"
        task.events_arrived([event(11)])
        await asyncio.sleep(SETTLE_S)
        assert "decided [12]" not in owner.happened
        await asyncio.sleep(INTERVAL_S)
        assert owner.happened[-1] == "decided [12]"

    deciding(story, INTERVAL_S)


def test_events_go_before_the_next_look_at_consents() -> None:
    async def story(owner: Any, task: PartitionTask) -> None:
        owner.let_go.set()
        owner.looks_left = 3
        owner.on_look = lambda: task.events_arrived([event(3 - owner.looks_left)])
        task.events_arrived([event(9)])
        await asyncio.sleep(SETTLE_S)
        happened = [one for one in owner.happened if one != "asked"]
        assert happened[:5] == ["decided [10]", "looked", "decided [1]", "looked", "decided [2]"]
        assert happened[5:] == ["looked", "notices", "told", "decided [3]"]

    deciding(story)


def test_notices_are_told_behind_a_barrier_that_was_asked_for_after_the_last_look() -> None:
    async def story(owner: Any, task: PartitionTask) -> None:
        owner.let_go.set()
        owner.looks_left = 2
        owner.on_look = lambda: task.events_arrived([event(0)]) if owner.looks_left == 1 else None
        task.consent_arrived(event(0))
        await asyncio.sleep(SETTLE_S)
        assert owner.happened[:6] == ["folded", "looked", "looked", "asked", "notices", "told"]

    deciding(story)


@pytest.mark.parametrize("failure", [OutcomeUnknownError("unknown"), LateWriteError("late")])
def test_notices_whose_commit_failed_are_looked_for_anew(
    monkeypatch: pytest.MonkeyPatch, failure: OutcomeUnknownError
) -> None:
    monkeypatch.setattr(pace, "FIRST_BACKOFF_S", SETTLE_S / 10)

    async def story(owner: Any, task: PartitionTask) -> None:
        owner.failures = [failure]
        owner.looks_left = 1
        task.consent_arrived(event(0))
        await asyncio.sleep(2 * SETTLE_S)
        assert owner.happened == ["folded", "looked", "asked", "notices", "told"]
        assert (owner.acquired, task.standing.is_retrying) == (2, False)
        owner.looks_left = 1
        task.consent_arrived(event(1))
        await asyncio.sleep(SETTLE_S)
        assert owner.happened[5:] == ["folded", "looked", "asked", "notices", "told"]
        more = isinstance(failure, LateWriteError)
        assert owner.limits_s[1] == pytest.approx(min(LATEST_WRITE_S * (2 if more else 1), LONGEST_WRITE_S))

    deciding(story)


def test_a_kafka_that_is_away_for_a_day_is_still_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LONGEST_BACKOFF_S", 0.0)

    async def story() -> None:
        patience = Patience(0)
        for _ in range(1100):
            await patience.after(OutcomeUnknownError("away"))

    asyncio.run(story())


def test_what_kafka_refuses_for_good_is_passed_on_in_the_end_unless_it_was_away_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "LONGEST_BACKOFF_S", 0.01)
    monkeypatch.setattr(pace, "REFUSED_S", 0.0)
    refused, away = OutcomeUnknownError("refused"), OutcomeUnknownError("away")
    refused.__cause__, away.__cause__ = TopicAuthorizationFailedError(), TimeoutError()

    async def story() -> None:
        patience = Patience(0)
        for error in (refused, away, refused):
            await patience.after(error)
        with pytest.raises(OutcomeUnknownError, match="refused"):
            await patience.after(refused)

    asyncio.run(story())


def test_a_refusal_is_not_passed_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LONGEST_BACKOFF_S", 0.0)
    refused = OutcomeUnknownError("refused")
    refused.__cause__ = TopicAuthorizationFailedError()

    async def story() -> None:
        patience = Patience(0)
        for _ in range(3):
            await patience.after(refused)

    asyncio.run(story())


def test_own_work_is_no_waiting_and_what_is_given_up_is_cancelled() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()

        async def asked() -> str:
            return await answer

        def decide_for_long() -> None:
            end_s = time.process_time() + 4 * LIMIT_S
            while time.process_time() < end_s:
                pass
            loop.call_soon(answer.set_result, "there")

        loop.call_later(LIMIT_S / 2, decide_for_long)
        assert await pace.within(asked(), LIMIT_S) == "there"

        given_up: asyncio.Future[str] = loop.create_future()

        async def for_ever() -> str:
            return await given_up

        with pytest.raises(LateWriteError):
            await pace.within(for_ever(), LIMIT_S)
        assert given_up.cancelled()

    asyncio.run(asyncio.wait_for(story(), 10))
