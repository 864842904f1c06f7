"""Outputs, then states, then offsets, each acknowledged before the next.

Cheaper than a transaction; a crash in between repeats outputs, equal to the first. Consent folds never come
this way: they are transactional whatever the guarantee (DESIGN section 5).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streams.errors import OutcomeUnknownError
from streams.failpoints import reach
from streams.kafka.committer import Ends
from streams.kafka.write_set import WriteSet

OffsetCommit = Callable[[Mapping[TopicPartition, int]], Awaitable[None]]


class AtLeastOnceCommitter:
    """Commits through a producer that the worker's partitions share, and the member's own offsets."""

    def __init__(self, producer: AIOKafkaProducer, commit_offsets: OffsetCommit) -> None:
        self._producer = producer
        self._commit_offsets = commit_offsets

    async def commit(self, stages: Sequence[WriteSet], offsets: Mapping[TopicPartition, int]) -> Ends:
        """Commit one result; see `committer.Committer.commit`."""
        ends: dict[tuple[str, int], int] = {}
        try:
            for stage in stages:
                if len(stage):
                    ends.update(await stage.send(self._producer))
                    await reach("after_stage")
            await self._commit_offsets(offsets)
        except (KafkaError, TimeoutError) as error:
            raise OutcomeUnknownError(
                f"{type(error).__name__} between outputs and offsets; reading back what happened"
            ) from error
        return ends
