"""One task, one transaction at a time per partition of the channel space: acquire, then fold what comes.

After an unknown outcome everything is thrown away and acquired again; reading goes on at the position that
the log has. Read next: `link_stage.py`.
"""

import asyncio
import logging
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.errors import FencedError, OutcomeUnknownError
from streams.kafka.futures import call_on_failure
from streams.kafka.link_owner import INPUTS, LinkOwner
from streams.kafka.membership import check_membership, is_member
from streams.kafka.pace import Patience
from streams.kafka.partition_task import FENCED_WAIT_S, LOOK_S, Standing
from streams.kernel.record_batch import RecordBatch
from streams.wire.topics import LINK_REQUESTS

log = logging.getLogger(__name__)


class LinkTask:
    """The life of one owned partition of links.

    Args:
        consumer: the group's member, to which the partition is assigned; paused until it is restored.
    """

    def __init__(self, owner: LinkOwner, consumer: AIOKafkaConsumer) -> None:
        self._owner = owner
        self._consumer = consumer
        self._tp = TopicPartition(LINK_REQUESTS, owner.partition)
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_retrying = False
        self.waits_for = "restore"
        self._task = asyncio.create_task(self._run(), name=f"links-{owner.partition}")

    def on_failure(self, receiver: Callable[[BaseException], None]) -> None:
        """Have `receiver` called with what ends the task, unless that is a call of `close`."""
        call_on_failure(self._task, receiver, lambda: self._is_closing)

    @property
    def standing(self) -> Standing:
        """Return where this partition stands."""
        owner = self._owner
        return Standing(owner.is_restored, owner.restored, owner.positions, INPUTS, self._is_retrying)

    async def close(self, deadline_s: float) -> None:
        """Finish what is under way within `deadline_s`, else abandon it. Never raises."""
        if not self._is_closing:
            self._closing.set_result(None)
        done, _ = await asyncio.wait({self._task}, timeout=deadline_s)
        if not done:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._owner.release()

    @property
    def _is_closing(self) -> bool:
        return self._closing.done()

    async def _run(self) -> None:
        while not self._is_closing:
            try:
                await self._own()
            except FencedError as error:
                self.waits_for = "another worker that owns it"
                log.warning("link partition number %d: %s", self._owner.partition, error)
                await asyncio.wait({self._closing}, timeout=FENCED_WAIT_S)

    async def _own(self) -> None:
        """Acquire the partition and work until told to close."""
        patience = Patience(self._owner.partition, "link")
        is_acquired = False
        while not self._is_closing:
            try:
                if not is_acquired:
                    await self._acquire()
                    is_acquired = True
                await self._step()
            except OutcomeUnknownError as error:
                is_acquired, self._is_retrying, self.waits_for = False, True, "restore"
                await patience.after(error)
            else:
                self._is_retrying = False
                patience = Patience(self._owner.partition, "link")

    async def _acquire(self) -> None:
        await check_membership(lambda: is_member(self._consumer))
        await self._owner.acquire()
        self._consumer.seek(self._tp, self._owner.positions[LINK_REQUESTS])
        self._consumer.resume(self._tp)
        self.waits_for = ""

    async def _step(self) -> None:
        """Fold what comes; without anything keep the log moving, and look for lost end markers."""
        batches = await self._fetched()
        if batches:
            await self._owner.fold(batches)
        elif self._owner.is_tick_due():
            await self._owner.tick()
        elif not self._is_closing and not await self._owner.is_whole():
            raise OutcomeUnknownError("a transaction has no end markers; reading back")

    async def _fetched(self) -> list[RecordBatch]:
        """Return what has come within LOOK_S; nothing when told to close.

        Raises:
            OutcomeUnknownError: the consumer cannot read.
        """
        fetch = asyncio.create_task(self._consumer.getmany(self._tp, timeout_ms=int(LOOK_S * 1000)))
        try:
            await asyncio.wait({fetch, self._closing}, return_when=asyncio.FIRST_COMPLETED)
            if not fetch.done():
                return []
            batches: list[RecordBatch] = fetch.result().get(self._tp, [])
        except KafkaError as error:
            raise OutcomeUnknownError(f"{type(error).__name__} while reading; trying again") from error
        finally:
            fetch.cancel()
        return batches
