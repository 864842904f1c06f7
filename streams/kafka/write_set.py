"""Records on their way to Kafka, grouped by topic and partition, and sent as whole record batches.

May import the Kafka client only. Read next: `committer.py`.
"""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

HeaderList = list[tuple[str, bytes]]
Record = tuple[bytes | None, bytes | None, HeaderList]
NO_HEADERS: HeaderList = []


class WriteSet:
    """Records by (topic, partition), in the order in which they were added."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, int], list[Record]] = {}

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
        known = self._records.get(slot)
        if known is None:
            self._records[slot] = [(key, value, headers)]
        else:
            known.append((key, value, headers))

    def __len__(self) -> int:
        return sum(map(len, self._records.values()))

    async def send(self, producer: AIOKafkaProducer) -> dict[tuple[str, int], int]:
        """Send everything and wait for every acknowledgement; return where the writes ended, by slot.

        Every batch's future is looked at: aiokafka would commit a transaction whose batch failed.

        Raises:
            aiokafka.errors.KafkaError: a batch was not acknowledged.
        """
        sent: list[tuple[tuple[str, int], int, asyncio.Future[RecordMetadata]]] = []
        for slot, records in self._records.items():
            for builder in _builders(producer, records):
                future = await producer.send_batch(builder, slot[0], partition=slot[1])
                sent.append((slot, builder.record_count(), future))
        ends: dict[tuple[str, int], int] = {}
        for (slot, count, _), metadata in zip(
            sent, await asyncio.gather(*(future for _, _, future in sent)), strict=True
        ):
            ends[slot] = metadata.offset + count
        return ends


def _builders(producer: AIOKafkaProducer, records: Sequence[Record]) -> list:  # type: ignore[type-arg]  # aiokafka's BatchBuilder is untyped
    """Fill as few batches as the producer's batch size allows.

    A record larger than it gets a batch of its own.
    """
    builders = [producer.create_batch()]
    for key, value, headers in records:
        if builders[-1].append(timestamp=None, key=key, value=value, headers=headers) is None:
            builders.append(producer.create_batch())
            builders[-1].append(timestamp=None, key=key, value=value, headers=headers)
    for builder in builders:
        builder.close()
    return builders
