"""A RecordBatch over the unpacked bytes of a v2 record batch: places of records, not copies of them.

Compiled code reads `buffer` and `columns`. Python code uses it like any RecordBatch: single records through
the accessors, or whole columns, which are made when they are first asked for. Read next: `records.py`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from streams.kernel.compiled.records import (
    MALFORMED,
    MIN_RECORD_BYTES,
    NARROW_ROWS,
    WIDE_ROWS,
    index_records,
)
from streams.kernel.record_batch import NO_HEADERS, Headers, RecordBatch
from streams.wire.varint import write_bytes, write_long, write_string

if TYPE_CHECKING:
    import numpy.typing as npt

_UNSIGNED_64 = 0xFFFF_FFFF_FFFF_FFFF


class RecordColumns(NamedTuple):
    """Columns of equal length, contiguous; places are indexes into the batch's buffer.

    Offsets and times are int64, the others int32; a size is -1 for null.
    """

    offsets: "npt.NDArray[np.int64]"
    timestamps_ms: "npt.NDArray[np.int64]"
    key_places: "npt.NDArray[np.int32]"
    key_sizes: "npt.NDArray[np.int32]"
    value_places: "npt.NDArray[np.int32]"
    value_sizes: "npt.NDArray[np.int32]"
    headers_places: "npt.NDArray[np.int32]"
    header_counts: "npt.NDArray[np.int32]"


def read_columns(
    buffer: "npt.NDArray[np.uint8]",
    count: int,
    base_offset: int,
    last_delta: int,
    first_offset: int,
    base_ms: int,
    *,
    has_deltas: bool,
) -> RecordColumns | None:
    """Return the columns of the records at or after `first_offset`; arguments as of `index_records`.

    None if the bytes are malformed. Never raises.
    """
    if not 0 <= count <= len(buffer) // MIN_RECORD_BYTES:
        return None
    wide = np.empty((WIDE_ROWS, count), np.int64)
    narrow = np.empty((NARROW_ROWS, count), np.int32)
    found = index_records(
        buffer, count, base_offset, last_delta, first_offset, base_ms, has_deltas, wide, narrow
    )
    if found == MALFORMED:
        return None
    return RecordColumns._make((*wide[:, :found], *narrow[:, :found]))


class RawRecordBatch(RecordBatch):
    """A RecordBatch with `buffer` (uint8, read-only, shared by its parts) and `columns` into it.

    The list-valued attributes start unset; `__getattr__` makes one when it is first asked for.
    """

    _view: memoryview  # of `buffer`: bytes are cut from it in half the time

    __slots__ = ("_view", "buffer", "columns")

    def __init__(
        self,
        topic: str,
        partition: int,
        buffer: "npt.NDArray[np.uint8]",
        columns: RecordColumns,
        position: int,
        next_offset: int,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.buffer = buffer
        self.columns = columns
        self.position = position
        self.next_offset = next_offset

    @classmethod
    def of(cls, batch: RecordBatch) -> "RawRecordBatch":
        """Return a batch of lists as one over bytes: legacy batches, and records made by hand."""
        data = bytearray()
        places: list[tuple[int, ...]] = []
        for key, value, headers in zip(batch.keys, batch.values, batch.headers, strict=True):
            key_place, value_place = len(data), len(data) + len(key or b"")
            data += (key or b"") + (value or b"")
            sizes = (-1 if key is None else len(key), -1 if value is None else len(value))
            places.append((key_place, sizes[0], value_place, sizes[1], len(data), len(headers)))
            for name, content in headers:
                data += write_string(name)
                data += write_long(-1) if content is None else write_bytes(content)
        narrow = np.array(places, np.int32).reshape(-1, NARROW_ROWS)
        columns = RecordColumns(
            np.array(batch.offsets, np.int64),
            np.array(batch.timestamps_ms, np.int64),
            *(np.ascontiguousarray(narrow[:, column]) for column in range(NARROW_ROWS)),
        )
        buffer = np.frombuffer(bytes(data) + b"\0", np.uint8)
        return cls(batch.topic, batch.partition, buffer, columns, batch.position, batch.next_offset)

    def __getattr__(self, name: str) -> Any:
        make = _MADE_WHEN_ASKED.get(name)
        if make is None:
            raise AttributeError(name)
        made = make(self)
        setattr(self, name, made)
        return made

    def __len__(self) -> int:
        return len(self.columns.offsets)

    def offset(self, index: int) -> int:
        """Return the offset of record `index`."""
        return self.columns.offsets.item(index)

    def timestamp_ms(self, index: int) -> int:
        """Return the time of record `index`."""
        return self.columns.timestamps_ms.item(index)

    def key(self, index: int) -> bytes | None:
        """Return the key of record `index`, None for null."""
        return self._bytes(self.columns.key_places.item(index), self.columns.key_sizes.item(index))

    def value(self, index: int) -> bytes | None:
        """Return the value of record `index`, None for null."""
        return self._bytes(self.columns.value_places.item(index), self.columns.value_sizes.item(index))

    def has_headers(self, index: int) -> bool:
        """Tell whether record `index` has headers."""
        return self.columns.header_counts.item(index) > 0

    def _headers_of(self, index: int) -> Headers:
        found: list[tuple[str, bytes | None]] = []
        at = self.columns.headers_places.item(index)
        for _ in range(self.columns.header_counts.item(index)):
            size, at = _varint(self._view, at)
            name = str(self._view[at : at + size], "utf-8", "replace")
            at += size
            size, at = _varint(self._view, at)
            found.append((name, self._bytes(at, size)))
            at += max(size, 0)
        return found or NO_HEADERS

    def _first_at(self, offset: int) -> int:
        return int(np.searchsorted(self.columns.offsets, offset))

    def _bytes(self, place: int, size: int) -> bytes | None:
        return None if size < 0 else self._view[place : place + size].tobytes()

    def _slice(self, start: int, stop: int, position: int, next_offset: int) -> Self:
        columns = RecordColumns._make(column[start:stop] for column in self.columns)
        return type(self)(self.topic, self.partition, self.buffer, columns, position, next_offset)


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Read a number that `index_records` found well formed: (number, place after it)."""
    byte = view[at]
    if byte < 0x80:
        return byte >> 1 ^ -(byte & 1), at + 1
    value = shift = 0
    while (byte := view[at]) >= 0x80:
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
    value = (value | byte << shift) & _UNSIGNED_64
    return value >> 1 ^ -(value & 1), at + 1


def _all_bytes(
    buffer: "npt.NDArray[np.uint8]", places: "npt.NDArray[np.int32]", sizes: "npt.NDArray[np.int32]"
) -> Sequence[bytes | None]:
    """Return every record's bytes out of one copy of the bytes that they span."""
    if not len(places):
        return []
    first = places.item(0)
    span = buffer[first : places.item(-1) + max(sizes.item(-1), 0)].tobytes()
    pairs = zip((places - first).tolist(), sizes.tolist(), strict=True)
    return [span[place : place + size] if size >= 0 else None for place, size in pairs]


_MADE_WHEN_ASKED: dict[str, Callable[[RawRecordBatch], Any]] = {
    "_view": lambda batch: batch.buffer.data,
    "offsets": lambda batch: batch.columns.offsets.tolist(),
    "timestamps_ms": lambda batch: batch.columns.timestamps_ms.tolist(),
    "keys": lambda batch: _all_bytes(batch.buffer, batch.columns.key_places, batch.columns.key_sizes),
    "values": lambda batch: _all_bytes(batch.buffer, batch.columns.value_places, batch.columns.value_sizes),
    "headers": lambda batch: [batch._headers_of(index) for index in range(len(batch))],  # noqa: SLF001 - same class
}
