"""Everything of a batch in one Kafka transaction.

Outputs, decisions, dead letters, states, marker, offsets. The default.
"""

from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition

from streams.kafka.committer import Ends
from streams.kafka.transactions import TransactionalProducer
from streams.kafka.write_set import WriteSet


class ExactlyOnceCommitter:
    """Commits through the partition number's transactional producer."""

    def __init__(self, producer: TransactionalProducer, group_id: str) -> None:
        self._producer = producer
        self._group_id = group_id

    async def commit(
        self, stages: Sequence[WriteSet], offsets: Mapping[TopicPartition, int], write_within_s: float
    ) -> Ends:
        """Commit one result; see `committer.Committer.commit`."""
        return await self._producer.transact(stages, offsets, self._group_id, write_within_s)
