"""One task, one state, one transaction at a time per partition number: restore, then fold and decide.

Records wait in memory while a transaction is under way, and the next one takes all of them (group commit).
What was read stays until a commit proved that it is done; after an unknown outcome the committed offsets say
whether it is. Source: DESIGN sections 4 and 5. Read next: `carrier.py`.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from time import process_time
from typing import NamedTuple, Self

from aiokafka.errors import KafkaError, KafkaTimeoutError

from streams.errors import FencedError, OutcomeUnknownError
from streams.failpoints import reach
from streams.kafka.partition_owner import INPUTS, PartitionOwner
from streams.kernel.record_batch import RecordBatch
from streams.wire.topics import CONSENT_REQUESTS, EVENT_TOPICS

log = logging.getLogger(__name__)

PENDING_FACTOR = 3  # batches kept while one is under way, in units of batch_max_records
FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 2.0
LONGEST_SLEEP_S = 0.5  # between the barrier and the write; what was decided before is decided again
LATEST_WRITE_S = 1.0  # after the barrier; doubled by each failure, or a slow Kafka would never be written to
OLDEST_MARK_S = 0.1  # at the barrier; an older one lets more revocations pass it
REFUSED_S = 60.0  # a batch that is too large as a whole is tried in parts meanwhile
FENCED_WAIT_S = 10.0  # a rebalance that takes the partition away comes sooner


class Standing(NamedTuple):
    """Where a partition number stands.

    `is_retrying`: something failed, is told and tried again, which a restart would hardly do better.
    `reached` has the next offsets of all inputs, `restored` all that was ever read back; `readable` are the
    topics whose records it could take now: at the barrier, events wait for consent requests by design.
    """

    is_restored: bool
    restored: int
    reached: Mapping[str, int]
    readable: tuple[str, ...]
    is_retrying: bool = False

    def has_not_moved(self, since: Self) -> bool:
        """Tell whether nothing was read or decided between the two."""
        return (self.restored, self.reached) == (since.restored, since.reached)


class _Moment(NamedTuple):
    """A moment, by the clock and by the processor time of this process, in seconds."""

    clock_s: float
    processor_s: float

    @classmethod
    def now(cls) -> Self:
        """Return the present."""
        return cls(asyncio.get_running_loop().time(), process_time())

    def has_slept(self) -> bool:
        """Tell whether the process neither worked nor waited for itself since: it was paused, or starved."""
        now = self.now()
        return now.clock_s - self.clock_s - (now.processor_s - self.processor_s) > LONGEST_SLEEP_S


class _Question(NamedTuple):
    """How far consent requests had been appended: when that was asked, and the answer."""

    asked_s: float
    answer: asyncio.Task[int]

    @classmethod
    def ask(cls, owner: PartitionOwner) -> Self:
        """Ask now. Whoever wants no answer any more may forget the question."""
        answer = asyncio.create_task(owner.request_high_watermark(), name="barrier-mark")
        answer.add_done_callback(_look_at)
        return cls(asyncio.get_running_loop().time(), answer)

    def is_old(self) -> bool:
        """Tell whether it was asked too long ago."""
        return asyncio.get_running_loop().time() - self.asked_s > OLDEST_MARK_S


def _look_at(answer: asyncio.Task[int]) -> None:
    """Read why a question failed that was forgotten: asyncio would log it."""
    if not answer.cancelled():
        answer.exception()


class Patience:
    """Waits after failures, longer each time.

    A Kafka that is away comes back, however long it takes; what it refuses for good is passed on in the end.
    """

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._refused_since: float | None = None
        self.failures = 0

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
        log.warning("partition number %d: %s", self._partition, error)
        await asyncio.sleep(min(FIRST_BACKOFF_S * 2**self.failures, LONGEST_BACKOFF_S))
        self.failures += 1


def _is_refusal(error: OutcomeUnknownError) -> bool:
    """Tell whether Kafka answered, and trying again will not help: rights, limits, settings."""
    cause = error.__cause__
    return isinstance(cause, KafkaError) and not cause.retriable and not isinstance(cause, KafkaTimeoutError)


class PartitionTask:
    """The life of one owned partition number.

    `consent_arrived` and `events_arrived` are called by the readers; both only queue. `is_saturated` asks the
    event reader to hold back, `on_room` tells it to go on. `records_left` gives a topic's records that are
    not fetched yet, `is_member` asks whether the group still counts on this worker.
    """

    def __init__(
        self,
        owner: PartitionOwner,
        is_member: Callable[[], Awaitable[bool]],
        on_room: Callable[[], None],
        records_left: Callable[[str], int],
        batch_max_records: int,
    ) -> None:
        self._owner = owner
        self._is_member = is_member
        self._on_room = on_room
        self._records_left = records_left
        self._max_records = batch_max_records
        self._requests: deque[RecordBatch] = deque()
        self._events: dict[str, deque[RecordBatch]] = {topic: deque() for topic in EVENT_TOPICS}
        self._pending = 0
        self._question: _Question | None = None
        self._wake = asyncio.Event()
        self._is_closing = False
        self.is_ready = False
        self.waits_for = "restore"
        self._is_at_barrier = False
        self._is_retrying = False
        self._task = asyncio.create_task(self._run(), name=f"partition-{owner.partition}")

    def on_failure(self, receiver: Callable[[BaseException], None]) -> None:
        """Have `receiver` called with what ends the task, unless that is a fence or a call of `close`."""

        def tell(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None and not self._is_closing:
                receiver(error)

        self._task.add_done_callback(tell)

    @property
    def is_saturated(self) -> bool:
        """Tell whether enough records wait already."""
        return self._pending >= PENDING_FACTOR * self._max_records

    @property
    def standing(self) -> Standing:
        """Return where this partition number stands."""
        return Standing(
            self._owner.is_restored,
            self._owner.restored,
            self._owner.positions,
            (CONSENT_REQUESTS,) if self._is_at_barrier else INPUTS,
            self._is_retrying,
        )

    def consent_arrived(self, batch: RecordBatch) -> None:
        """Queue consent requests that the reader delivered."""
        self._requests.append(batch)
        self._wake.set()

    def events_arrived(self, batches: list[RecordBatch]) -> None:
        """Queue event batches of one topic, in offset order, and ask for their barrier: it is answered while
        the batch before them is committed.
        """
        for batch in batches:
            self._events[batch.topic].append(batch)
            self._pending += len(batch)
        self._forget_question()
        self._question = _Question.ask(self._owner)
        self._wake.set()

    async def close(self, deadline_s: float) -> PartitionOwner:
        """Finish what is under way within `deadline_s`, else abandon it.

        Return the owner, its store as the log has it.
        """
        self._is_closing = True
        self._wake.set()
        done, _ = await asyncio.wait({self._task}, timeout=deadline_s)
        if not done:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._forget_question()
        await self._owner.release()
        return self._owner

    async def _run(self) -> None:
        while not self._is_closing:
            try:
                await self._own()
            except FencedError as error:
                self.is_ready, self.waits_for = False, "another worker that owns this partition number"
                log.warning("partition number %d: %s", self._owner.partition, error)
                await self._until_closing(FENCED_WAIT_S)

    async def _own(self) -> None:
        """Acquire the partition number and work until told to close."""
        await self._acquire()
        if self._is_closing:
            return
        self._requests.clear()
        self._owner.read_requests(self.consent_arrived)
        self.is_ready, self.waits_for = True, ""
        while not self._is_closing:
            if not (self._requests or any(self._events.values())):
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._step()

    async def _step(self) -> None:
        """Take what has arrived through one decision; requests alone are folded without one."""
        batches = self._take()
        if not batches:
            await self._fold_arrived()
            return
        patience = Patience(self._owner.partition)
        is_again = False
        while not self._is_closing:
            try:
                await self._barrier()
                asked = _Moment.now()
                await reach("after_barrier")
                batches = self._owner.not_done(batches)  # a fold that failed may have acquired anew
                if not batches:
                    return
                result = await self._owner.decide(batches)
                await reach("after_decide")
                if asked.has_slept() and not is_again:  # consents may have been withdrawn meanwhile
                    is_again = True
                    continue
                write_by_s = asked.clock_s + LATEST_WRITE_S * 2**patience.failures
                await self._owner.commit(result, batches, self._records_left, write_by_s)
                self._is_retrying = False
                return
            except OutcomeUnknownError as error:
                is_again = False
                await self._wait_after(error, patience)
                await self._acquire_for(batches)
                batches = self._owner.not_done(batches)
                if patience.failures > 1:  # what is refused as a whole may pass in parts
                    batches = self._first_half(batches)
                if not batches:
                    return
            except FencedError:
                self._put_back(batches)  # whoever owns it next in this process may be this task again
                raise

    async def _wait_after(self, error: OutcomeUnknownError, patience: Patience) -> None:
        self._is_retrying = True
        await patience.after(error)

    async def _acquire_for(self, batches: list[RecordBatch]) -> None:
        """Acquire anew with these batches in hand; whoever is fenced keeps them."""
        try:
            await self._acquire()
        except FencedError:
            self._put_back(batches)
            raise

    async def _barrier(self) -> None:
        """Fold every request that had been appended when the last of the batch's events arrived, or later.

        An open transaction below the mark makes it wait.
        """
        clock = asyncio.get_running_loop().time
        started = clock()
        mark = await self._last_question().answer
        while True:
            await self._fold_arrived()
            if not self._owner.is_restored:  # closed while it acquired anew
                raise asyncio.CancelledError
            if self._owner.request_offset >= mark:
                break
            self.waits_for = (
                f"consent requests up to offset {mark}, folded up to {self._owner.request_offset}"
            )
            if not self._requests:
                self._wake.clear()
                self._is_at_barrier = True
                try:
                    await self._wake.wait()
                finally:
                    self._is_at_barrier = False
            if self._is_closing:
                raise asyncio.CancelledError
        self.waits_for = ""
        self._owner.observer.barrier_wait(self._owner.partition, clock() - started)

    def _last_question(self) -> _Question:
        """Return the question that was asked when events arrived last, or ask; none is used twice."""
        question, self._question = self._question, None
        if question is None or question.is_old():
            return _Question.ask(self._owner)
        return question

    def _forget_question(self) -> None:
        if self._question is not None:
            self._question.answer.cancel()
            self._question = None

    async def _fold_arrived(self) -> None:
        patience = Patience(self._owner.partition)
        while self._requests:
            batches = list(self._requests)
            await reach("consent_apply")
            try:
                await self._owner.fold(batches)
            except OutcomeUnknownError as error:
                await self._wait_after(error, patience)
                await self._acquire()
                if self._is_closing:
                    return
                continue  # fold() skips what the committed offset says is done
            self._is_retrying = False
            for _ in batches:
                self._requests.popleft()

    async def _acquire(self) -> None:
        patience = Patience(self._owner.partition)
        while not self._is_closing:
            try:
                await self._check_membership()
                await self._owner.acquire()
                return
            except OutcomeUnknownError as error:
                await self._wait_after(error, patience)

    async def _check_membership(self) -> None:
        """Ask the group before fencing others: whoever woke up late must not stop the rightful owner.

        Raises:
            FencedError: another member owns the partition by now, or will.
            OutcomeUnknownError: the group did not answer.
        """
        try:
            is_member = await self._is_member()
        except (KafkaError, TimeoutError) as error:
            raise OutcomeUnknownError(f"{type(error).__name__} from the group; trying again") from error
        if not is_member:
            raise FencedError("the group goes on without this worker")

    async def _until_closing(self, timeout_s: float) -> None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout_s
        while not self._is_closing and (left := deadline - clock()) > 0:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), left)

    def _first_half(self, batches: list[RecordBatch]) -> list[RecordBatch]:
        """Return the first half of the records, at least one, and put the rest back to the queues' heads."""
        room = max(1, sum(map(len, batches)) // 2)
        kept: list[RecordBatch] = []
        rest: list[RecordBatch] = []
        for batch in batches:
            head, tail = batch.split(room) if room > 0 else (None, batch)
            if head is not None:
                kept.append(head)
                room -= len(head)
            if tail is not None:
                rest.append(tail)
        self._put_back(rest)
        return kept

    def _put_back(self, batches: list[RecordBatch]) -> None:
        """Queue what was taken again, before what came after it."""
        for batch in reversed(batches):
            self._events[batch.topic].appendleft(batch)
            self._pending += len(batch)

    def _take(self) -> list[RecordBatch]:
        """Take up to batch_max_records, topics in their fixed order, each in offset order.

        Skips what is done already.
        """
        room, taken = self._max_records, []
        for topic in EVENT_TOPICS:
            queue = self._events[topic]
            while queue and room > 0:
                head, rest = queue[0].split(room)
                if rest is None:
                    queue.popleft()
                else:
                    queue[0] = rest
                self._pending -= len(head)
                room -= len(head)
                taken.append(head)
        if not self.is_saturated:
            self._on_room()
        return self._owner.not_done(taken)
