"""A fetched run of one partition's records as columns, not objects.

Whoever fills it hands over parallel columns; nobody downstream sees a record object. Made of aiokafka's
records here, of raw record batches in `compiled/raw_batch.py`, which answers the same. Imports nothing. Read
next: `interpret.py`.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Self

Headers = Sequence[tuple[str, bytes | None]]
NO_HEADERS: Headers = ()


class RecordBatch:
    """Columns of equal length, in offset order.

    Attributes:
        topic, partition: where the records were read.
        offsets: rising; holes (control records, compaction, aborted transactions) are normal.
        keys, values: raw bytes, None for null.
        timestamps_ms: the record's time; the broker's append time where the topic is LogAppendTime.
        headers: per record, in wire order.
        position: where reading stood before this batch; a reader that expects less than this has lost
            records.
        next_offset: where reading goes on; at least the last offset + 1, beyond it after holes.

    A batch may be empty and still move `next_offset` on. Who needs all records takes the columns; who needs
    a few takes `offset`, `key`, `value` and so on of an index below the length, which cost no columns.
    """

    __slots__ = (
        "headers",
        "keys",
        "next_offset",
        "offsets",
        "partition",
        "position",
        "timestamps_ms",
        "topic",
        "values",
    )

    def __init__(
        self,
        topic: str,
        partition: int,
        offsets: Sequence[int],
        timestamps_ms: Sequence[int],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Sequence[Headers],
        position: int,
        next_offset: int,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.offsets = offsets
        self.timestamps_ms = timestamps_ms
        self.keys = keys
        self.values = values
        self.headers = headers
        self.position = position
        self.next_offset = next_offset

    def __len__(self) -> int:
        return len(self.offsets)

    def offset(self, index: int) -> int:
        """Return the offset of record `index`."""
        return self.offsets[index]

    def timestamp_ms(self, index: int) -> int:
        """Return the time of record `index`."""
        return self.timestamps_ms[index]

    def key(self, index: int) -> bytes | None:
        """Return the key of record `index`, None for null."""
        return self.keys[index]

    def value(self, index: int) -> bytes | None:
        """Return the value of record `index`, None for null."""
        return self.values[index]

    def has_headers(self, index: int) -> bool:
        """Tell whether record `index` has headers."""
        return bool(self.headers[index])

    def header(self, index: int, name: str) -> bytes | None:
        """Return the last header of that name of record `index`, None if there is none. Never raises."""
        for header_name, value in reversed(self._headers_of(index)):
            if header_name == name:
                return value
        return None

    def split(self, count: int) -> tuple[Self, Self | None]:
        """Return the first `count` records and the rest (None when nothing is left). Never raises."""
        if count >= len(self):
            return self, None
        cut = self.offset(count)
        return self._slice(0, count, self.position, cut), self._slice(count, len(self), cut, self.next_offset)

    def since(self, offset: int) -> Self:
        """Return the records at or after `offset`; the whole batch if none lies before it. Never raises."""
        first = self._first_at(offset)
        return self._slice(first, len(self), offset, self.next_offset) if first else self

    def _headers_of(self, index: int) -> Headers:
        return self.headers[index]

    def _first_at(self, offset: int) -> int:
        """Return the index of the first record at or after `offset`."""
        return bisect_left(self.offsets, offset)

    def _slice(self, start: int, stop: int, position: int, next_offset: int) -> Self:
        return type(self)(
            self.topic,
            self.partition,
            self.offsets[start:stop],
            self.timestamps_ms[start:stop],
            self.keys[start:stop],
            self.values[start:stop],
            self.headers[start:stop],
            position,
            next_offset,
        )


def halves(batches: Sequence[RecordBatch]) -> tuple[list[RecordBatch], list[RecordBatch]]:
    """Return the first half of the records, at least one, and the rest."""
    room = max(1, sum(map(len, batches)) // 2)
    kept: list[RecordBatch] = []
    rest: list[RecordBatch] = []
    for batch in batches:
        head, tail = batch.split(room) if room > 0 else (None, batch)
        if head is not None:
            kept.append(head)
            room -= len(head)
        if tail is not None:
            rest.append(tail)
    return kept, rest
