"""One task, one state, one transaction at a time per partition number: restore, then fold and decide.

Records wait in memory while a transaction is under way, and the next one takes all of them (group commit).
What was read stays until a commit proved that it is done; after an unknown outcome the committed offsets say
whether it is. Source: DESIGN sections 4 and 5. Read next: `carrier.py`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic

from streams.errors import FencedError, OutcomeUnknownError
from streams.failpoints import reach
from streams.kafka.partition_owner import PartitionOwner
from streams.kernel.record_batch import RecordBatch
from streams.wire.topics import EVENT_TOPICS

log = logging.getLogger(__name__)

PENDING_FACTOR = 3  # batches kept while one is under way, in units of batch_max_records
MAX_FAILURES = 5  # tries of one batch before the worker gives up and says so
FAILURE_BACKOFF_S = 0.2


class PartitionTask:
    """The life of one owned partition number.

    `consent_arrived` and `events_arrived` are called by the readers; both only queue. `is_saturated` asks the
    event reader to hold back, `on_room` tells it to go on. `records_left` gives a topic's records that are
    not fetched yet.
    """

    def __init__(
        self,
        owner: PartitionOwner,
        on_room: Callable[[], None],
        records_left: Callable[[str], int],
        batch_max_records: int,
    ) -> None:
        self._owner = owner
        self._on_room = on_room
        self._records_left = records_left
        self._max_records = batch_max_records
        self._requests: deque[RecordBatch] = deque()
        self._events: dict[str, deque[RecordBatch]] = {topic: deque() for topic in EVENT_TOPICS}
        self._pending = 0
        self._wake = asyncio.Event()
        self._is_closing = False
        self.is_ready = False
        self.waits_for = "restore"
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

    def consent_arrived(self, batch: RecordBatch) -> None:
        """Queue consent requests that the reader delivered."""
        self._requests.append(batch)
        self._wake.set()

    def events_arrived(self, batches: list[RecordBatch]) -> None:
        """Queue event batches of one topic, in offset order."""
        for batch in batches:
            self._events[batch.topic].append(batch)
            self._pending += len(batch)
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
        await self._owner.release()
        return self._owner

    async def _run(self) -> None:
        try:
            await self._retrying(self._owner.acquire)
            if self._is_closing:
                return
            self._owner.read_requests(self.consent_arrived)
            self.is_ready, self.waits_for = True, ""
            while not self._is_closing:
                await self._wake.wait()
                self._wake.clear()
                while (
                    self._requests or self._pending or any(self._events.values())
                ) and not self._is_closing:
                    await self._step()
        except FencedError as error:
            self.is_ready, self.waits_for = (
                False,
                "a new assignment: another worker owns this partition number",
            )
            log.warning("partition number %d: %s", self._owner.partition, error)

    async def _step(self) -> None:
        """Take what has arrived through one decision; requests alone are folded without one."""
        batches = self._take()
        if not batches:
            await self._fold_arrived()
            return
        failures = 0
        while not self._is_closing or failures == 0:
            try:
                await self._barrier()
                result = self._owner.decide(batches)
                await reach("after_decide")
                await self._owner.commit(result, batches, self._records_left)
                return
            except OutcomeUnknownError as error:
                failures += 1
                if failures >= MAX_FAILURES:
                    raise
                log.warning("partition number %d: %s", self._owner.partition, error)
                await asyncio.sleep(FAILURE_BACKOFF_S * failures)
                await self._retrying(self._owner.acquire)
                batches = self._owner.not_done(batches)
                if not batches:
                    return

    async def _barrier(self) -> None:
        """Fold every request that had been appended when the batch was taken.

        An open transaction below the mark makes it wait.
        """
        started = monotonic()
        mark = await self._owner.request_high_watermark()
        while True:
            await self._fold_arrived()
            if self._owner.request_offset >= mark:
                break
            self.waits_for = (
                f"consent requests up to offset {mark}, folded up to {self._owner.request_offset}"
            )
            self._wake.clear()
            if not self._requests:
                await self._wake.wait()
            if self._is_closing:
                raise asyncio.CancelledError
        self.waits_for = ""
        self._owner.observer.barrier_wait(self._owner.partition, monotonic() - started)

    async def _fold_arrived(self) -> None:
        while self._requests:
            batches = list(self._requests)
            await reach("consent_apply")
            try:
                await self._owner.fold(batches)
            except OutcomeUnknownError as error:
                log.warning("partition number %d: %s", self._owner.partition, error)
                await self._retrying(self._owner.acquire)
                continue  # fold() skips what the committed offset says is done
            for _ in batches:
                self._requests.popleft()

    async def _retrying(self, action: Callable[[], Awaitable[None]]) -> None:
        for attempt in range(MAX_FAILURES):
            try:
                await action()
                return
            except OutcomeUnknownError as error:
                if attempt + 1 == MAX_FAILURES or self._is_closing:
                    raise
                log.warning("partition number %d: %s", self._owner.partition, error)
                await asyncio.sleep(FAILURE_BACKOFF_S * (attempt + 1))

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
