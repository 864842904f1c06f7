"""Reads a changelog partition in bulk, from a position to its end.

Group-less, read_committed, whole record batches: a million small records take a few seconds. The end is taken
after the owner's InitProducerId, so it holds everything that any earlier owner committed. May import kernel.
Read next: `partition_store.py`.
"""

from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.kafka.connection import client_options
from streams.kernel.record_batch import RecordBatch
from streams.settings import Settings

FETCH_BYTES = 1 << 20  # unpacked it is ten times that, for every partition that is restored at a time
POLL_MS = 500


async def read_to_end(
    settings: Settings,
    topic: str,
    partition: int,
    start: int,
    take: Callable[[RecordBatch], None],
    progress: Callable[[int, int], None],
) -> int:
    """Hand every committed record from `start` to the present end to `take`; return where it stopped.

    Args:
        settings: how to reach Kafka.
        topic: the changelog.
        partition: its partition.
        start: offset to start at, so many before the end if it is negative; the log's first offset where
            `start` was deleted.
        take: called with every batch, also with empty ones.
        progress: called with (offsets read, offsets to read) after each fetch.

    Raises:
        aiokafka.errors.KafkaError: the broker is away.
    """
    tp = TopicPartition(topic, partition)
    consumer = AIOKafkaConsumer(
        **client_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_bytes=FETCH_BYTES,
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    try:
        consumer.assign([tp])
        end: int = (await consumer.end_offsets([tp]))[tp]
        first: int = max(start if start >= 0 else end + start, (await consumer.beginning_offsets([tp]))[tp])
        consumer.seek(tp, first)
        position = first
        progress(0, end - first)
        while position < end:
            fetched: dict[TopicPartition, list[RecordBatch]] = await consumer.getmany(tp, timeout_ms=POLL_MS)
            for batch in fetched.get(tp, ()):
                take(batch)
                position = batch.next_offset
            progress(min(position, end) - first, end - first)
        return position
    finally:
        await consumer.stop()
