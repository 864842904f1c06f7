"""Finds the records of a v2 record batch: one pass over the unpacked bytes fills columns of places.

The bytes are foreign. A place past the end of what may be read means "does not fit": `varint` and `_skip`
return it and pass it on, so that a record is checked once, where it ends. Records must fill the bytes, each
its own size, in rising offsets. Imports nothing else. Source: Kafka's message format, "Record". Read next:
`raw_batch.py`.
"""

from typing import TYPE_CHECKING

from streams.kernel.compiled.jit import compiled

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MALFORMED = -1
NULL_SIZE = -1
MIN_RECORD_BYTES = 7  # size, attributes, two deltas, no key, no value, no headers: a byte each

# The rows of `wide` (int64) and of `narrow` (int32).
OFFSET, TIMESTAMP = range(2)
KEY_PLACE, KEY_SIZE, VALUE_PLACE, VALUE_SIZE, HEADERS_PLACE, HEADER_COUNT = range(6)
WIDE_ROWS = 2
NARROW_ROWS = 6

_UNSIGNED = 0x7FFF_FFFF_FFFF_FFFF


@compiled
def varint(buffer: "npt.NDArray[np.uint8]", at: int, end: int) -> tuple[int, int]:
    """Read a zigzag number of at most 64 bits: (number, place after it).

    The place is `end + 1` where the number does not end before `end`, or `at` lies beyond it.
    """
    value, shift = 0, 0
    while at < end and shift < 70:
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return ((value >> 1) & _UNSIGNED) ^ -(value & 1), at
        shift += 7
    return 0, end + 1


@compiled
def _skip(at: int, size: int, end: int) -> int:
    """Return the place after `size` bytes (none, if it is negative); `end + 1` if they do not fit."""
    if size <= 0:
        return at
    return at + size if size <= end - at else end + 1


@compiled
def _skip_headers(buffer: "npt.NDArray[np.uint8]", at: int, end: int, count: int) -> int:
    """Return the place after `count` headers; `end + 1` if they do not fit or a name has no size."""
    if count < 0 or count > (end - at) >> 1:  # a header is two bytes at least
        return end + 1
    for _ in range(count):
        size, at = varint(buffer, at, end)
        if size < 0:
            return end + 1
        at = _skip(at, size, end)
        size, at = varint(buffer, at, end)
        at = _skip(at, size, end)
    return at


@compiled
def index_records(
    buffer: "npt.NDArray[np.uint8]",
    count: int,
    base_offset: int,
    last_delta: int,
    first_offset: int,
    base_ms: int,
    has_deltas: bool,
    wide: "npt.NDArray[np.int64]",
    narrow: "npt.NDArray[np.int32]",
) -> int:
    """Find the records of a batch; return how many lie at or after `first_offset`, MALFORMED for bad bytes.

    Args:
        buffer: read-only, the whole unpacked records section, below 2 GiB.
        count: records that the batch's header promises; holes between their offsets are normal.
        base_offset: the header's.
        last_delta: the header's; no record lies more than this after `base_offset`.
        first_offset: records before it are checked and left out.
        base_ms: the header's first time, or the broker's append time if `has_deltas` is False.
        has_deltas: whether records have times of their own.
        wide: int64[WIDE_ROWS, >= count], filled by row: offset, time in milliseconds.
        narrow: int32[NARROW_ROWS, >= count]: place and size of key and value (size -1 for null), place and
            number of headers. Headers were walked: what is there can be read without another check.
    """
    at, everything = 0, buffer.shape[0]
    found, previous = 0, -1
    if count < 0 or count > wide.shape[1] or count > narrow.shape[1]:
        return MALFORMED
    for _ in range(count):
        size, at = varint(buffer, at, everything)
        if size < MIN_RECORD_BYTES - 1 or size > everything - at:
            return MALFORMED
        end = at + size
        if buffer[at] >= 0x80:  # unused bits; clients disagree on how to read past them
            return MALFORMED
        time_delta, at = varint(buffer, at + 1, end)
        delta, at = varint(buffer, at, end)
        key_size, at = varint(buffer, at, end)
        key_place = at
        at = _skip(at, key_size, end)
        value_size, at = varint(buffer, at, end)
        value_place = at
        at = _skip(at, value_size, end)
        header_count, at = varint(buffer, at, end)
        headers_place = at
        at = _skip_headers(buffer, at, end, header_count)
        if at != end or delta <= previous or delta > last_delta:
            return MALFORMED
        previous = delta
        if base_offset + delta < first_offset:
            continue
        wide[OFFSET, found] = base_offset + delta
        wide[TIMESTAMP, found] = base_ms + time_delta if has_deltas else base_ms
        narrow[KEY_PLACE, found] = key_place
        narrow[KEY_SIZE, found] = max(key_size, NULL_SIZE)
        narrow[VALUE_PLACE, found] = value_place
        narrow[VALUE_SIZE, found] = max(value_size, NULL_SIZE)
        narrow[HEADERS_PLACE, found] = headers_place
        narrow[HEADER_COUNT, found] = header_count
        found += 1
    return found if at == everything else MALFORMED
