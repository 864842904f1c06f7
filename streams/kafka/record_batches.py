"""Makes aiokafka hand out RecordBatch columns instead of one object per record.

`install()` replaces the classes that aiokafka's fetcher unpacks responses with, for this process: every
consumer of a worker is ours and takes batches. With the extra `fast` they are RawRecordBatch values over the
fetched bytes, without it columns of aiokafka's records. CRC check, aborted transactions and control batches
stay as aiokafka does them. A response that holds no record but moves the position (control batches, aborted
transactions, compacted holes) gives an empty batch, so that lag and barriers see the end of the log. Upstream
has no hook for this; `tests/kafka/test_record_batches.py` fails when the fetcher no longer looks the classes
up in its module. May import kernel. Read next: `raw_batches.py`, then `transport.py`.
"""

from collections.abc import Iterator
from typing import Any

import aiokafka.consumer.fetcher as fetcher_module
from aiokafka.errors import CorruptRecordException

from streams.kernel.compiled.jit import HAS_NUMBA
from streams.kernel.record_batch import RecordBatch

READ_COMMITTED = 1
ABORT_MARKER = b"\0\0\0\0"  # how a control record's key begins: version 0, type 0


class ColumnarPartitionRecords(fetcher_module.PartitionRecords):  # type: ignore[misc]
    """aiokafka's PartitionRecords that yields a RecordBatch per raw record batch."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[RecordBatch]:
        position = self.next_fetch_offset
        while self._records.has_next():
            raw = self._records.next_batch()
            if self._check_crcs and not raw.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if self._is_skipped(raw):
                self.next_fetch_offset = raw.next_offset
                continue
            batch = self._columns(raw, position)
            position = self.next_fetch_offset = batch.next_offset
            yield batch
        if self.next_fetch_offset > position:
            yield RecordBatch(
                self._tp.topic, self._tp.partition, (), (), (), (), (), position, self.next_fetch_offset
            )

    def _is_skipped(self, raw: Any) -> bool:
        if self._isolation_level == READ_COMMITTED and raw.producer_id is not None:
            self._consume_aborted_up_to(raw.base_offset)
            if raw.is_control_batch and self._contains_abort_marker(raw):
                self._aborted_producers.discard(raw.producer_id)
            if raw.is_transactional and raw.producer_id in self._aborted_producers:
                return True
        return bool(raw.is_control_batch)

    def _columns(self, raw: Any, position: int) -> RecordBatch:
        first = self.next_fetch_offset
        records = [record for record in raw if record.offset >= first]
        return RecordBatch(
            self._tp.topic,
            self._tp.partition,
            [record.offset for record in records],
            [record.timestamp for record in records],
            [record.key for record in records],
            [record.value for record in records],
            [record.headers for record in records],
            position,
            raw.next_offset,
        )


class RawPartitionRecords(ColumnarPartitionRecords):
    """Yields a RawRecordBatch per raw batch, and columns for those of the old formats."""

    def _columns(self, raw: Any, position: int) -> RecordBatch:
        if raw.producer_id is None:
            return super()._columns(raw, position)
        return self._raw_columns(raw, self.next_fetch_offset, position)

    def _contains_abort_marker(self, raw: Any) -> bool:
        control = self._raw_columns(raw, raw.base_offset, raw.base_offset)
        return len(control) > 0 and (control.key(0) or b"").startswith(ABORT_MARKER)

    def _raw_columns(self, raw: Any, first_offset: int, position: int) -> RecordBatch:
        batch: RecordBatch = raw.columns(self._tp.topic, self._tp.partition, first_offset, position)
        return batch


def install() -> None:
    """Make every aiokafka consumer that is created from now on in this process yield RecordBatch values.

    Compiles first where that was not done before, up to a few seconds. Idempotent; never raises.
    """
    if not HAS_NUMBA:
        fetcher_module.PartitionRecords = ColumnarPartitionRecords
        return
    from streams.kafka import raw_batches  # needs the extra `fast`

    raw_batches.warm_up()
    fetcher_module.MemoryRecords = raw_batches.RawMemoryRecords
    fetcher_module.PartitionRecords = RawPartitionRecords
