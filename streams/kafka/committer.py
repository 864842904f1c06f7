"""The contract of a committer: it takes the result of a batch as one value and makes it so.

Implementations: `committers/exactly_once.py`, `committers/at_least_once.py`. Read next: `partition_task.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from aiokafka import TopicPartition

from streams.kafka.write_set import WriteSet

Ends = Mapping[tuple[str, int], int]
"""Offset after the last record that was written, by (topic, partition)."""


class Committer(Protocol):
    """Makes results durable for one partition number."""

    async def commit(
        self, stages: Sequence[WriteSet], offsets: Mapping[TopicPartition, int], write_within_s: float
    ) -> Ends:
        """Write the stages in order, then the offsets; return the offset after the last record by slot.

        What is not acknowledged after waiting `write_within_s` must not become readable if it can be helped.

        Called with one result at a time. After any exception the caller does not know what happened and reads
        back.

        Raises:
            FencedError: another worker owns the partition number; nothing of this result counts.
            LateWriteError: not written within `write_within_s`.
            OutcomeUnknownError: no answer in time, or a failure on the way.
        """
