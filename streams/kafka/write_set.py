"""Records on their way to Kafka, grouped by topic and partition, and sent as whole record batches.

May import the Kafka client only. Read next: `encoded_batch.py`, then `committer.py`.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from streams.kafka.compression import Packed
from streams.kafka.encoded_batch import EncodedBatch

HeaderList = list[tuple[str, bytes]]
Record = tuple[bytes | None, bytes | None, HeaderList]
Slot = tuple[str, int]
NO_HEADERS: HeaderList = []


@dataclass(frozen=True, slots=True)
class Encoded:
    """Records of one slot that are encoded already; arguments as of EncodedBatch."""

    records: Packed
    count: int
    timestamp_ms: int


class WriteSet:
    """Records by (topic, partition), in the order in which they were added."""

    def __init__(self) -> None:
        self._parts: dict[Slot, list[Record | Encoded]] = {}
        self._count = 0

    def add(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: HeaderList = NO_HEADERS,
    ) -> None:
        """Append one record; a null value is a tombstone."""
        slot = (topic, partition)
        self._count += 1
        known = self._parts.get(slot)
        if known is None:
            self._parts[slot] = [(key, value, headers)]
        else:
            known.append((key, value, headers))

    def add_encoded(
        self,
        topic: str,
        partition: int,
        records: Packed,
        count: int,
        timestamp_ms: int,
    ) -> None:
        """Append `count` encoded records, at least 1, to be one record batch.

        See EncodedBatch for what they are made of. The caller keeps a batch below the topic's largest.
        """
        self._count += count
        self._parts.setdefault((topic, partition), []).append(Encoded(records, count, timestamp_ms))

    def __len__(self) -> int:
        return self._count

    async def send(self, producer: AIOKafkaProducer) -> dict[Slot, int]:
        """Send everything and wait for every acknowledgement; return where the writes ended, by slot.

        Every batch's future is looked at: aiokafka would commit a transaction whose batch failed.

        Raises:
            aiokafka.errors.KafkaError: a batch was not acknowledged.
        """
        sent: list[tuple[Slot, int, asyncio.Future[RecordMetadata]]] = []
        for slot, parts in self._parts.items():
            for builder in _builders(producer, parts):
                builder.close()
                future = await producer.send_batch(builder, slot[0], partition=slot[1])
                future.add_done_callback(_look_at)
                sent.append((slot, builder.record_count(), future))
        ends: dict[Slot, int] = {}
        for (slot, count, _), metadata in zip(
            sent, await asyncio.gather(*(future for _, _, future in sent)), strict=True
        ):
            ends[slot] = metadata.offset + count
        return ends


def _look_at(future: asyncio.Future[RecordMetadata]) -> None:
    """Read why a batch failed that nobody awaits, since another one failed first: asyncio would log it."""
    if not future.cancelled():
        future.exception()


def _builders(producer: AIOKafkaProducer, parts: Sequence[Record | Encoded]) -> Iterator[Any]:
    """Yield as few batches as the producer's batch size and encoded ones in between allow, in order.

    A record larger than the batch size gets a batch of its own.
    """
    builder: Any = None
    for part in parts:
        if isinstance(part, Encoded):
            if builder is not None:
                yield builder
            builder = None
            yield EncodedBatch(
                part.records, part.count, part.timestamp_ms, is_transactional=_is_transactional(producer)
            )
            continue
        key, value, headers = part
        if builder is None:
            builder = producer.create_batch()
        if builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
            yield builder
            builder = producer.create_batch()
            builder.append(timestamp=None, key=key, value=value, headers=headers)
    if builder is not None:
        yield builder


def _is_transactional(producer: AIOKafkaProducer) -> bool:
    """Tell whether the producer has a transactional id, as its `create_batch` does."""
    manager = producer._txn_manager  # noqa: SLF001  # aiokafka has no other way to ask
    return manager is not None and manager.transactional_id is not None
