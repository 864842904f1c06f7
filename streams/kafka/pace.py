"""Time in the life of a partition task: what waits, for how long, and what has become too old.

Imports `errors` and `futures`. Read next: `partition_task.py`. Source: decision record 0010.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from time import process_time
from typing import Any, NamedTuple, Self, TypeVar

from aiokafka.errors import KafkaError, KafkaTimeoutError

from streams.errors import LateWriteError, OutcomeUnknownError
from streams.kafka.futures import look_at

log = logging.getLogger(__name__)

Result = TypeVar("Result")

FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 2.0
SHORTEST_WAIT_S = 0.1
REFUSED_S = 60.0  # a batch that is too large as a whole is tried in parts meanwhile
LONGEST_SLEEP_S = 0.5  # between the barrier and the write; what was decided before is decided again
OLDEST_MARK_S = 0.1  # when a step begins; an older one lets more revocations pass it
LATEST_WRITE_S = 1.5  # after the decision, waiting for Kafka: nothing is told 2 s after a revocation


class Moment(NamedTuple):
    """A moment, by the clock and by the processor time of this process, in seconds."""

    clock_s: float
    processor_s: float

    @classmethod
    def now(cls) -> Self:
        """Return the present."""
        return cls(asyncio.get_running_loop().time(), process_time())

    def idle_s(self) -> float:
        """Return for how long the process has not worked since: it waited, was paused, or starved."""
        now = self.now()
        return now.clock_s - self.clock_s - (now.processor_s - self.processor_s)

    def has_slept(self) -> bool:
        """Tell whether it has not worked for too long."""
        return self.idle_s() > LONGEST_SLEEP_S


async def within(work: Coroutine[Any, Any, Result], limit_s: float) -> Result:
    """Return what `work` gives, cancelling it when the process has waited for it for `limit_s`.

    The process's own work does not count: while it decides for seconds, answers lie there unread.

    Raises:
        LateWriteError: it took longer; a TimeoutError of `work` itself passes.
    """
    began, task = Moment.now(), asyncio.create_task(work)
    left_s = limit_s
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=left_s)
            if done:
                return task.result()
            left_s = limit_s - began.idle_s()
            if left_s < SHORTEST_WAIT_S:
                raise LateWriteError(f"not written after {limit_s:.1f} s of waiting")
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


class Question(NamedTuple):
    """How far consent requests had been appended: when that was asked, and the answer."""

    asked_s: float
    answer: asyncio.Task[int]

    @classmethod
    def ask(cls, high_watermark: Callable[[], Coroutine[Any, Any, int]]) -> Self:
        """Ask now. Whoever wants no answer any more cancels the question or forgets it."""
        answer = asyncio.create_task(high_watermark(), name="barrier-mark")
        answer.add_done_callback(look_at)
        return cls(asyncio.get_running_loop().time(), answer)

    @property
    def age_s(self) -> float:
        """Return how long ago it was asked."""
        return asyncio.get_running_loop().time() - self.asked_s

    def is_of_use(self) -> bool:
        """Tell whether a step that begins now may go by the answer."""
        has_failed = self.answer.done() and (self.answer.cancelled() or self.answer.exception() is not None)
        return self.age_s <= OLDEST_MARK_S and not has_failed


class WriteLimit:
    """How long Kafka may take to take a decision.

    LATEST_WRITE_S; longer once that turned out too short, or nothing would be written where Kafka or this
    machine takes longer. `longest_s` is never exceeded.
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self.seconds = min(LATEST_WRITE_S, longest_s)

    def missed(self) -> None:
        """Give the next try twice the time."""
        self.seconds = min(2 * self.seconds, self._longest_s)

    def met(self, needed_s: float) -> None:
        """Go by what was needed, with room for twice as much."""
        self.seconds = min(max(LATEST_WRITE_S, 2 * needed_s), self._longest_s)


class Patience:
    """Waits after failures, longer each time.

    A Kafka that is away comes back, however long it takes; what it refuses for good is passed on in the end.

    Args:
        space: the key space, to say which partition it is; "" for that of subjects.
    """

    def __init__(self, partition: int, space: str = "") -> None:
        self._what = f"{space} partition number {partition}".lstrip()
        self._refused_since: float | None = None
        self._wait_s = FIRST_BACKOFF_S

    async def after(self, error: OutcomeUnknownError) -> None:
        """Wait before the next try.

        Raises:
            OutcomeUnknownError: `error`, when Kafka has refused for REFUSED_S, not having been away.
        """
        now = asyncio.get_running_loop().time()
        if not _is_refusal(error):
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = now
        elif now - self._refused_since > REFUSED_S:
            raise error
        log.warning("%s: %s", self._what, error)
        await asyncio.sleep(min(self._wait_s, LONGEST_BACKOFF_S))
        self._wait_s = min(2 * self._wait_s, LONGEST_BACKOFF_S)


def _is_refusal(error: OutcomeUnknownError) -> bool:
    """Tell whether Kafka answered, and trying again will not help: rights, limits, settings."""
    cause = error.__cause__
    return isinstance(cause, KafkaError) and not cause.retriable and not isinstance(cause, KafkaTimeoutError)
