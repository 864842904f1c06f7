"""Records on their way to Kafka, grouped by topic and partition, and sent as whole record batches.

May import the Kafka client only. Read next: `encoded_batch.py`, then `committer.py`.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from streams.kafka.compression import Packed, pack
from streams.kafka.encoded_batch import EncodedBatch, HeaderList, encode_record
from streams.kafka.futures import look_at

Record = tuple[bytes | None, bytes | None, HeaderList]
Slot = tuple[str, int]
NO_HEADERS: HeaderList = []
BATCH_BYTES = 1_000_000  # below the largest batch that brokers take by default, packed or not


@dataclass(frozen=True, slots=True)
class Encoded:
    """Records of one slot that are encoded already; arguments as of EncodedBatch.

    What is not packed yet takes up plain records that follow: a request has one batch of a partition, and
    two would take two round trips.
    """

    records: Packed | bytes
    count: int
    timestamp_ms: int


class Batch(Protocol):
    """A record batch on its way, as aiokafka has it."""

    def close(self) -> None:
        """Take no more records."""

    def record_count(self) -> int:
        """Return how many records it has."""

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None: ...

    def _build(self) -> bytearray: ...


Slotted = tuple[Slot, Batch]


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
        records: Packed | bytes,
        count: int,
        timestamp_ms: int,
    ) -> None:
        """Append `count` encoded records, at least 1, to be one record batch.

        See EncodedBatch for what they are made of, and `Encoded` for when to pack them. The caller keeps a
        batch below the topic's largest.
        """
        self._count += count
        self._parts.setdefault((topic, partition), []).append(Encoded(records, count, timestamp_ms))

    def __len__(self) -> int:
        return self._count

    def batches(
        self, make_builder: Callable[[], BatchBuilder], *, is_transactional: bool
    ) -> Iterator[Slotted]:
        """Yield everything as closed record batches, each with its slot, those of a slot in order.

        Args:
            make_builder: gives an empty batch that takes records.
            is_transactional: whether a transaction will hold them.
        """
        for slot, parts in self._parts.items():
            for batch in _batches(make_builder, parts, is_transactional=is_transactional):
                batch.close()
                yield slot, batch

    async def send(self, producer: AIOKafkaProducer) -> dict[Slot, int]:
        """Send everything and wait for every acknowledgement; return where the writes ended, by slot.

        Every batch's future is looked at: aiokafka tells of a failed one nowhere else.

        Raises:
            aiokafka.errors.KafkaError: a batch was not acknowledged.
        """
        sent: list[tuple[Slot, int, asyncio.Future[RecordMetadata]]] = []
        for slot, batch in self.batches(producer.create_batch, is_transactional=False):
            future = await producer.send_batch(batch, slot[0], partition=slot[1])
            future.add_done_callback(look_at)
            sent.append((slot, batch.record_count(), future))
        ends: dict[Slot, int] = {}
        for (slot, count, _), metadata in zip(
            sent, await asyncio.gather(*(future for _, _, future in sent)), strict=True
        ):
            ends[slot] = metadata.offset + count
        return ends


def _batches(
    make_builder: Callable[[], BatchBuilder], parts: Sequence[Record | Encoded], *, is_transactional: bool
) -> Iterator[Batch]:
    """Yield as few batches as the builder's batch size and encoded ones in between allow, in order.

    A record larger than the batch size gets a batch of its own.
    """
    builder: BatchBuilder | None = None
    section: _Section | None = None
    for part in parts:
        if isinstance(part, Encoded):
            if builder is not None:
                yield builder
            if section is not None:
                yield section.batch(is_transactional=is_transactional)
            builder = section = None
            if isinstance(part.records, bytes):
                section = _Section(part.records, part.count, part.timestamp_ms)
            else:
                yield EncodedBatch(
                    part.records, part.count, part.timestamp_ms, is_transactional=is_transactional
                )
            continue
        key, value, headers = part
        if section is not None:
            if section.takes(key, value, headers):
                continue
            yield section.batch(is_transactional=is_transactional)
            section = None
        if builder is None:
            builder = make_builder()
        if builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
            yield builder
            builder = make_builder()
            builder.append(timestamp=None, key=key, value=value, headers=headers)
    if section is not None:
        yield section.batch(is_transactional=is_transactional)
    if builder is not None:
        yield builder


class _Section:
    """Encoded records that take up more of them, up to BATCH_BYTES."""

    def __init__(self, records: bytes, count: int, timestamp_ms: int) -> None:
        self._records = bytearray(records)
        self._count = count
        self._timestamp_ms = timestamp_ms

    def takes(self, key: bytes | None, value: bytes | None, headers: HeaderList) -> bool:
        """Append a record; tell whether it had room."""
        record = encode_record(self._count, key, value, headers)
        if len(self._records) + len(record) > BATCH_BYTES:
            return False
        self._records += record
        self._count += 1
        return True

    def batch(self, *, is_transactional: bool) -> EncodedBatch:
        """Return all of them, packed."""
        packed = pack(memoryview(self._records))
        return EncodedBatch(packed, self._count, self._timestamp_ms, is_transactional=is_transactional)
