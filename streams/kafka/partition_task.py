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
from typing import NamedTuple, Self

from streams.errors import FencedError, LateWriteError, OutcomeUnknownError
from streams.failpoints import reach
from streams.kafka.futures import call_on_failure
from streams.kafka.membership import check_membership
from streams.kafka.pace import Moment, Patience, Question, WriteLimit
from streams.kafka.partition_owner import INPUTS, PartitionOwner
from streams.kernel.record_batch import RecordBatch, halves
from streams.wire.topics import CONSENT_REQUESTS, EVENT_TOPICS

log = logging.getLogger(__name__)

PENDING_FACTOR = 3  # batches kept while one is under way, in units of batch_max_records
LOOK_S = 1.0
"""Without anything to do it is looked so often whether a broker that started again lost end markers."""
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


class PartitionTask:
    """The life of one owned partition number.

    `consent_arrived` and `events_arrived` are called by the readers; both only queue. `is_saturated` asks the
    event reader to hold back, `on_room` tells it to go on. `records_left` gives a topic's records that are
    not fetched yet, `is_member` asks whether the group still counts on this worker.

    Args:
        interval_s: least time from the beginning of a decision to that of the next, unless a batch is full.
        longest_write_s: bound of WriteLimit.
    """

    def __init__(
        self,
        owner: PartitionOwner,
        is_member: Callable[[], Awaitable[bool]],
        on_room: Callable[[], None],
        records_left: Callable[[str], int],
        batch_max_records: int,
        interval_s: float,
        longest_write_s: float,
    ) -> None:
        self._owner = owner
        self._is_member = is_member
        self._on_room = on_room
        self._records_left = records_left
        self._max_records = batch_max_records
        self._interval_s = interval_s
        self._limit = WriteLimit(longest_write_s)
        self._stepped_s = float("-inf")
        self._requests: deque[RecordBatch] = deque()
        self._events: dict[str, deque[RecordBatch]] = {topic: deque() for topic in EVENT_TOPICS}
        self._pending = 0
        self._question: Question | None = None
        self._wake = asyncio.Event()
        self._is_closing = False
        self.is_ready = False
        self.waits_for = "restore"
        self._is_at_barrier = False
        self._is_retrying = False
        self._task = asyncio.create_task(self._run(), name=f"partition-{owner.partition}")

    def on_failure(self, receiver: Callable[[BaseException], None]) -> None:
        """Have `receiver` called with what ends the task, unless that is a fence or a call of `close`."""
        call_on_failure(self._task, receiver, lambda: self._is_closing)

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
        self._question = Question.ask(self._owner.request_high_watermark)
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
            if self._owner.is_tick_due():
                await self._tick()
            rest_s = self._rest_s()
            if rest_s is not None and rest_s <= 0:
                await self._step()
            elif self._requests:
                await self._fold_arrived()
            elif not self._owner.is_reminder_due():
                await self._until_woken(LOOK_S if rest_s is None else rest_s)
                if not await self._owner.is_whole():
                    await self._acquire()
                    self._is_retrying = False
                continue  # what has come goes first
            if self._owner.is_reminder_due() and not self._is_closing:
                await self._look()

    async def _tick(self) -> None:
        """Have compaction go on; what Kafka does not take is tried again the next time round."""
        try:
            await self._owner.tick()
        except OutcomeUnknownError as error:
            await self._wait_after(error, Patience(self._owner.partition))
            await self._acquire()
        self._is_retrying = False

    async def _look(self) -> None:
        """Look for notices that are owed of the end of consents, some consents each time round.

        After the last they are told, behind a barrier that was asked for after their time was taken.
        """
        if not await self._owner.look():
            return
        try:
            self._forget_question()
            await self._remind()
        except OutcomeUnknownError as error:
            if isinstance(error, LateWriteError):
                self._limit.missed()
            await self._wait_after(error, Patience(self._owner.partition))
            await self._acquire()
        self._is_retrying = False

    async def _remind(self) -> None:
        await self._barrier()
        awake = Moment.now()
        told = await self._owner.decide_notices()
        if awake.has_slept():  # consents may have been withdrawn meanwhile
            await self._barrier()
            told = await self._owner.decide_notices()
        await self._owner.commit_notices(told, self._limit.seconds)

    def _rest_s(self) -> float | None:
        """Return how long events wait for more of them; None if there are none."""
        if not any(self._events.values()):
            return None
        if self._pending >= self._max_records:
            return 0.0
        return self._stepped_s + self._interval_s - asyncio.get_running_loop().time()

    async def _step(self) -> None:
        """Take what has arrived through one decision."""
        self._stepped_s = asyncio.get_running_loop().time()
        batches = self._take()
        patience = Patience(self._owner.partition)
        failures = 0
        is_again = False
        while batches and not self._is_closing:
            try:
                await self._barrier()
                awake = Moment.now()
                await reach("after_barrier")
                batches = self._owner.not_done(batches)  # a fold that failed may have acquired anew
                if not batches:
                    return
                result = await self._owner.decide(batches)
                await reach("after_decide")
                if awake.has_slept() and not is_again:  # consents may have been withdrawn meanwhile
                    is_again = True
                    continue
                decided = Moment.now()
                await self._owner.commit(result, batches, self._records_left, self._limit.seconds)
                self._limit.met(decided.idle_s())
                self._is_retrying = False
                return
            except OutcomeUnknownError as error:
                is_again = False
                if isinstance(error, LateWriteError):
                    self._limit.missed()
                else:
                    failures += 1
                await self._wait_after(error, patience)
                await self._acquire_for(batches)
                batches = self._owner.not_done(batches)
                if failures > 1:  # what is refused as a whole may pass in parts
                    batches = self._first_half(batches)
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

        An open transaction below the mark makes it wait; what is too old by then is asked again.
        """
        clock = asyncio.get_running_loop().time
        started = clock()
        oldest_s = self._limit.seconds
        while True:
            question = self._last_question()
            await self._fold_up_to(await question.answer)
            if question.age_s <= oldest_s:
                break
            oldest_s *= 2
        self.waits_for = ""
        self._owner.observer.barrier_wait(self._owner.partition, clock() - started)

    async def _fold_up_to(self, mark: int) -> None:
        while True:
            await self._fold_arrived()
            if not self._owner.is_restored:  # closed while it acquired anew
                raise asyncio.CancelledError
            if self._owner.request_offset >= mark:
                return
            self.waits_for = (
                f"consent requests up to offset {mark}, folded up to {self._owner.request_offset}"
            )
            if not self._requests:
                self._is_at_barrier = True
                try:
                    await self._until_woken(LOOK_S)
                finally:
                    self._is_at_barrier = False
                if not await self._owner.is_whole():
                    raise OutcomeUnknownError("a transaction has no end markers; reading back")
            if self._is_closing:
                raise asyncio.CancelledError

    def _last_question(self) -> Question:
        """Return the question that was asked when events arrived last, or ask; none is used twice."""
        question, self._question = self._question, None
        if question is None or not question.is_of_use():
            return Question.ask(self._owner.request_high_watermark)
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
                await check_membership(self._is_member)
                await self._owner.acquire()
                return
            except OutcomeUnknownError as error:
                await self._wait_after(error, patience)

    async def _until_closing(self, timeout_s: float) -> None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout_s
        while not self._is_closing and (left := deadline - clock()) > 0:
            await self._until_woken(left)

    async def _until_woken(self, timeout_s: float | None) -> None:
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()

    def _first_half(self, batches: list[RecordBatch]) -> list[RecordBatch]:
        """Return the first half of the records, at least one, and put the rest back to the queues' heads."""
        kept, rest = halves(batches)
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
