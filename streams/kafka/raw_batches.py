"""Cuts fetched bytes into raw v2 record batches, for the columns of `RawRecordBatch`.

Stands where aiokafka's MemoryRecords and DefaultRecordBatch stand, with the names that its fetcher and
`ColumnarPartitionRecords` ask for. Batches of the old formats (magic 0 and 1) are left to aiokafka's parser.
Needs the extra `fast`. Read next: `batch_header.py`, then `unpack.py`.
"""

from typing import Any

import aiokafka.consumer.fetcher as fetcher_module
import numpy as np
from aiokafka.errors import CorruptRecordException

from streams.errors import OversizedBatchError
from streams.kafka.batch_header import (
    APPEND_TIME_MASK,
    CHECKED_FROM,
    CODEC_MASK,
    CONTROL_MASK,
    HEADER,
    MAGIC,
    MAGIC_AT,
    SIZE,
    SIZE_AT,
    SIZED_FROM,
    TRANSACTIONAL_MASK,
)
from streams.kafka.checksum import checksum
from streams.kafka.unpack import UNPACKED_LIMIT, OverLimitError, UnreadableError, unpack
from streams.kernel.compiled.raw_batch import RawRecordBatch, read_columns

AiokafkaMemoryRecords = fetcher_module.MemoryRecords


class RawBatch:
    """One v2 batch: its header is parsed, its records are not."""

    __slots__ = (
        "_crc",
        "_records",
        "_span",
        "attributes",
        "base_offset",
        "first_ms",
        "last_delta",
        "max_ms",
        "producer_id",
    )

    def __init__(self, span: memoryview) -> None:
        self._span = span
        (
            self.base_offset,
            _,
            _,
            _,
            self._crc,
            self.attributes,
            self.last_delta,
            self.first_ms,
            self.max_ms,
            self.producer_id,
            _,
            _,
            self._records,
        ) = HEADER.unpack_from(span)

    @property
    def next_offset(self) -> int:
        """The offset after the batch, also where compaction took its last records."""
        return int(self.base_offset + self.last_delta + 1)

    @property
    def is_transactional(self) -> bool:
        """Whether the batch belongs to a transaction."""
        return bool(self.attributes & TRANSACTIONAL_MASK)

    @property
    def is_control_batch(self) -> bool:
        """Whether the batch is the broker's own."""
        return bool(self.attributes & CONTROL_MASK)

    def validate_crc(self) -> bool:
        """Tell whether the bytes are those that the producer sent."""
        return bool(checksum(self._span[CHECKED_FROM:]) == self._crc)

    def columns(self, topic: str, partition: int, first_offset: int, position: int) -> RawRecordBatch:
        """Return the records at or after `first_offset`.

        Raises:
            CorruptRecordException: the records are malformed or packed in an unknown way.
            OversizedBatchError: they unpack to more than UNPACKED_LIMIT.
        """
        try:
            buffer = unpack(self.attributes & CODEC_MASK, self._span[HEADER.size :])
        except UnreadableError as error:
            raise CorruptRecordException(f"{self._where(topic, partition)}: {error}") from error
        except OverLimitError as error:
            raise OversizedBatchError(
                f"{self._where(topic, partition)}: its records unpack to over {UNPACKED_LIMIT >> 20} MiB; "
                f"delete the partition's records before offset {self.next_offset} and have its producer send "
                "smaller batches"
            ) from error
        has_deltas = not self.attributes & APPEND_TIME_MASK
        columns = read_columns(
            buffer,
            self._records,
            self.base_offset,
            self.last_delta,
            first_offset,
            self.first_ms if has_deltas else self.max_ms,
            has_deltas=has_deltas,
        )
        if columns is None:
            raise CorruptRecordException(f"{self._where(topic, partition)}: malformed records")
        return RawRecordBatch(topic, partition, buffer, columns, position, self.next_offset)

    def _where(self, topic: str, partition: int) -> str:
        return f"{topic}-{partition}, batch at offset {self.base_offset}"


class RawMemoryRecords:
    """The record batches of one fetched partition; a last one that is cut off is left to the next fetch."""

    def __init__(self, fetched: bytes | None) -> None:
        self._bytes = memoryview(fetched or b"")
        self._at = 0

    def size_in_bytes(self) -> int:
        """Return how many bytes were fetched."""
        return len(self._bytes)

    def has_next(self) -> bool:
        """Tell whether there is another whole batch."""
        return self._end() <= len(self._bytes)

    def next_batch(self) -> Any:
        """Return the next whole batch: a RawBatch, or aiokafka's own for the old formats.

        Raises:
            CorruptRecordException: it is too small to be one.
        """
        start, end = self._at, self._end()
        span = self._bytes[start:end]
        if len(span) <= MAGIC_AT or (span[MAGIC_AT] >= MAGIC and len(span) < HEADER.size):
            raise CorruptRecordException(f"a record batch of {len(span)} bytes is too small to be one")
        self._at = end
        if span[MAGIC_AT] < MAGIC:
            return AiokafkaMemoryRecords(bytes(span)).next_batch()
        return RawBatch(span)

    def _end(self) -> int:
        """Return where the next batch ends; beyond the bytes if not even its size is there."""
        start = self._at + SIZED_FROM
        if start > len(self._bytes):
            return start
        size: int = SIZE.unpack_from(self._bytes, self._at + SIZE_AT)[0]
        return start + size


def warm_up() -> None:
    """Compile, or load, what reads records, so that no fetch waits for it."""
    read_columns(np.frombuffer(b"", np.uint8), 0, 0, 0, 0, 0, has_deltas=True)
