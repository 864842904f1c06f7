"""Already encoded records as a batch that `AIOKafkaProducer.send_batch` takes in place of its BatchBuilder.

aiokafka encodes record by record; whoever has the bytes of many records hands them over whole. Answers what
aiokafka's MessageBatch and accumulator ask of a builder, and nothing else: it is closed from the start. Read
next: `batch_header.py`.
"""

from streams.kafka.batch_header import (
    CHECKED_FROM,
    CRC,
    CRC_AT,
    HEADER,
    MAGIC,
    SIZED_FROM,
    TRANSACTIONAL_MASK,
)
from streams.kafka.checksum import checksum
from streams.kafka.compression import Packed
from streams.wire.varint import write_bytes, write_long, write_string

HeaderList = list[tuple[str, bytes]]
NO_EPOCH = -1
NO_PRODUCER = (-1, -1, -1)

_NULL = write_long(-1)


def encode_record(delta: int, key: bytes | None, value: bytes | None, headers: HeaderList) -> bytes:
    """Return a v2 record body: attributes and time delta 0, `delta` is its place in the batch."""
    parts = [
        b"\0\0",
        write_long(delta),
        *(_NULL if part is None else write_bytes(part) for part in (key, value)),
    ]
    parts.append(write_long(len(headers)))
    for name, content in headers:
        parts += (write_string(name), write_bytes(content))
    return write_bytes(b"".join(parts))


class EncodedBatch:
    """One record batch of encoded records.

    Args:
        records: v2 record bodies back to back, then packed; attributes and time deltas 0, offset deltas from
            0.
        count: how many they are, at least 1.
        timestamp_ms: the time of every record, UTC.
        is_transactional: whether the producer has a transactional id.
    """

    def __init__(self, records: Packed, count: int, timestamp_ms: int, *, is_transactional: bool) -> None:
        self._records = records
        self._count = count
        self._timestamp_ms = timestamp_ms
        self._is_transactional = is_transactional
        self._producer_state = NO_PRODUCER
        self._built: bytearray | None = None

    def append(self, **record: object) -> None:
        """Take nothing: None tells aiokafka that the batch is full."""

    def close(self) -> None:
        """Do nothing: it is closed."""

    def closed(self) -> bool:
        """Tell that nothing can be added."""
        return True

    def record_count(self) -> int:
        """Return how many records there are."""
        return self._count

    def size(self) -> int:
        """Return the size in bytes."""
        return HEADER.size + len(self._records.data)

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        """Take the state that makes a batch idempotent; aiokafka calls it before the first `_build`."""
        assert self._built is None, "a retry sends the batch that was built"
        self._producer_state = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytearray:
        """Return the batch's bytes; a retry gets the same."""
        if self._built is None:
            self._built = self._encode()
        return self._built

    def _encode(self) -> bytearray:
        packed, attributes = self._records
        if self._is_transactional:
            attributes |= TRANSACTIONAL_MASK
        built = bytearray(HEADER.size + len(packed))
        HEADER.pack_into(
            built,
            0,
            0,  # the base offset is the broker's to set
            len(built) - SIZED_FROM,
            NO_EPOCH,
            MAGIC,
            0,  # the checksum comes last
            attributes,
            self._count - 1,
            self._timestamp_ms,
            self._timestamp_ms,
            *self._producer_state,
            self._count,
        )
        built[HEADER.size :] = packed
        CRC.pack_into(built, CRC_AT, checksum(memoryview(built)[CHECKED_FROM:]))
        return built
