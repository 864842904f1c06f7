"""Outputs, then states, each acknowledged before the next; then offsets, which nothing waits for.

Cheaper than a transaction; a crash in between repeats outputs, equal to the first. Consent folds never come
this way: they are transactional whatever the guarantee (DESIGN section 5). Read next: `exactly_once.py`.
"""

from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streams.errors import OutcomeUnknownError
from streams.failpoints import reach
from streams.kafka.committer import Ends
from streams.kafka.committers.offset_commits import OffsetCommits
from streams.kafka.connection import client_options
from streams.kafka.write_set import BATCH_BYTES, WriteSet
from streams.settings import Settings

RETRY_BACKOFF_MS = 10


def producer_options(settings: Settings) -> dict[str, object]:
    """Return what the producer takes that the worker's partitions share."""
    return {
        **client_options(settings),
        "linger_ms": 0,
        "max_batch_size": BATCH_BYTES,
        "compression_type": "lz4",
        "retry_backoff_ms": RETRY_BACKOFF_MS,
        "acks": "all",
    }


class AtLeastOnceCommitter:
    """Commits through a producer and offsets that the worker's partitions share."""

    def __init__(self, producer: AIOKafkaProducer, offset_commits: OffsetCommits) -> None:
        self._producer = producer
        self._offset_commits = offset_commits

    async def commit(
        self,
        stages: Sequence[WriteSet],
        offsets: Mapping[TopicPartition, int],
        write_within_s: float,  # noqa: ARG002 - the contract has it
    ) -> Ends:
        """Commit one result; see `committer.Committer.commit`.

        What aiokafka's producer has taken it goes on sending, and nobody can have it back: no limit is kept.
        """
        self._offset_commits.check()
        ends: dict[tuple[str, int], int] = {}
        try:
            for stage in stages:
                if len(stage):
                    ends.update(await stage.send(self._producer))
                    await reach("after_stage")
        except (KafkaError, TimeoutError) as error:
            raise OutcomeUnknownError(
                f"{type(error).__name__} between outputs and states; reading back what happened"
            ) from error
        self._offset_commits.note(offsets)
        return ends
