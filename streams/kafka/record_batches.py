"""Makes aiokafka hand out RecordBatch columns instead of one object per record.

`install()` replaces the class that aiokafka's fetcher unpacks responses with, for this process: every
consumer of a worker is ours and takes batches. CRC check, aborted transactions and control batches stay as
aiokafka does them. A response that holds no record but moves the position (control batches, aborted
transactions, compacted holes) gives an empty batch, so that lag and barriers see the end of the log. Upstream
has no hook for this; `tests/kafka/test_record_batches.py` fails when the fetcher no longer looks the class up
in its module. May import kernel. Read next: `transport.py`.
"""

from collections.abc import Iterator
from typing import Any

import aiokafka.consumer.fetcher as fetcher_module
from aiokafka.errors import CorruptRecordException

from streams.kernel.record_batch import RecordBatch

READ_COMMITTED = 1


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


def install() -> None:
    """Make every aiokafka consumer that is created from now on in this process yield RecordBatch values.

    Idempotent; never raises.
    """
    fetcher_module.PartitionRecords = ColumnarPartitionRecords
