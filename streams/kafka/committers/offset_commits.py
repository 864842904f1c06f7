"""Commits the newest offsets of all partitions, one request at a time, beside the work that moves them.

For at_least_once, where nothing has to wait for it: the position marker in `notifier.state` was acknowledged
before, and a start goes on from there if the committed offset lies behind. Imports `errors`. Read next:
`at_least_once.py`. Source: decision record 0006.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from streams.errors import OutcomeUnknownError

log = logging.getLogger(__name__)

RETRY_S = 0.5
OffsetCommit = Callable[[Mapping[TopicPartition, int]], Awaitable[None]]


class OffsetCommits:
    """What is still to be committed, and the task that does it while there is anything.

    Args:
        commit: commits offsets as the group member.
        limit_s: how long one request may take. It must not outlast the session: aiokafka asks for ever while
            the group's coordinator is away, and meanwhile another member may own the partitions.
    """

    def __init__(self, commit: OffsetCommit, limit_s: float) -> None:
        self._commit = commit
        self._limit_s = limit_s
        self._newest: dict[TopicPartition, int] = {}
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    def note(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Have offsets committed soon; later ones take the place of earlier ones."""
        self._newest.update(offsets)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="offset-commits")

    def check(self) -> None:
        """Tell that the last commit failed, as long as none has succeeded since.

        Raises:
            OutcomeUnknownError: it did; another member may own the partitions now.
        """
        if self._failure is not None:
            raise OutcomeUnknownError(
                f"{type(self._failure).__name__} while committing offsets; reading back what happened"
            ) from self._failure

    async def settle(self, deadline_s: float) -> None:
        """Wait until all of it is committed, then forget what is not. Never raises."""
        task = self._task
        if task is not None:
            await asyncio.wait({task}, timeout=deadline_s)
            task.cancel()
            await asyncio.wait({task})
            if self._task is task:
                self._task = None
        self._newest.clear()
        self._failure = None

    async def _run(self) -> None:
        while self._newest:
            offsets, self._newest = self._newest, {}
            try:
                async with asyncio.timeout(self._limit_s):
                    await self._commit(offsets)
            except (CommitFailedError, IllegalStateError) as error:
                # the partitions were taken away, and a revocation will say so: what a later owner committed
                # must not be overwritten
                log.warning("offsets were not committed (%s)", type(error).__name__)
                self._failure = error
                return
            except Exception as error:  # noqa: BLE001  # told to every partition's next commit
                log.warning("offsets were not committed (%s); trying again", type(error).__name__)
                self._failure = error
                self._newest = offsets | self._newest
                await asyncio.sleep(RETRY_S)
            else:
                self._failure = None
