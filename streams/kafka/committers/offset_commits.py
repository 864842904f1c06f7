"""Commits the newest offsets of all partitions, one request at a time, beside the work that moves them.

For at_least_once, where nothing has to wait for it: the position marker in `notifier.state` was acknowledged
before, and a start goes on from there if the committed offset lies behind. Imports `errors`. Read next:
`at_least_once.py`. Source: decision record 0006.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.errors import OutcomeUnknownError

log = logging.getLogger(__name__)

RETRY_S = 0.5
OffsetCommit = Callable[[Mapping[TopicPartition, int]], Awaitable[None]]


class OffsetCommits:
    """What is still to be committed, and the task that does it while there is anything.

    Args:
        commit: commits offsets as the group member; raises KafkaError or TimeoutError.
    """

    def __init__(self, commit: OffsetCommit) -> None:
        self._commit = commit
        self._newest: dict[TopicPartition, int] = {}
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    def note(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Have offsets committed soon; later ones take the place of earlier ones."""
        self._newest.update(offsets)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="offset-commits")

    def check(self) -> None:
        """Tell of a commit that failed since the last call: another member may own the partitions now.

        Raises:
            OutcomeUnknownError: one failed.
        """
        failure, self._failure = self._failure, None
        if failure is not None:
            raise OutcomeUnknownError(
                f"{type(failure).__name__} while committing offsets; reading back what happened"
            ) from failure

    async def settle(self, deadline_s: float) -> None:
        """Wait until all of it is committed, then forget what is not. Never raises."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=deadline_s)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._task, self._failure = None, None
        self._newest.clear()

    async def _run(self) -> None:
        while self._newest:
            offsets, self._newest = self._newest, {}
            try:
                await self._commit(offsets)
            except (KafkaError, TimeoutError) as error:
                log.warning("offsets were not committed (%s); trying again", type(error).__name__)
                self._failure = error
                self._newest = offsets | self._newest
                await asyncio.sleep(RETRY_S)
