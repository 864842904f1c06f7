"""Writes numbers and bytes as Avro and Kafka's records do; both use zigzag, seven bits a byte.

Every function takes where to write and returns where it stopped. Nothing is checked: callers make room first
(`join.py`, `assemble.py`). Imports `jit`. Source: Avro 1.12 specification; Kafka record format v2.
"""

import numpy as np

from streams.kernel.compiled.jit import inner
from streams.kernel.compiled.types import Bytes, whole

_ONE, _SEVEN = np.uint64(1), np.uint64(7)
_LOW, _MORE = np.uint64(0x7F), np.uint64(0x80)


@inner
def put_long(out: Bytes, at: int, value: int) -> int:
    """Write a signed number of 64 bits."""
    rest = (np.uint64(value) << _ONE) ^ np.uint64(value >> 63)
    while rest > _LOW:
        out[at] = np.uint8(rest & _LOW | _MORE)
        rest >>= _SEVEN
        at += 1
    out[at] = np.uint8(rest)
    return at + 1


@inner
def long_size(value: int) -> int:
    """Return how many bytes `put_long` writes."""
    rest = (np.uint64(value) << _ONE) ^ np.uint64(value >> 63)
    size = 1
    while rest > _LOW:
        rest >>= _SEVEN
        size += 1
    return size


@inner
def put_bytes(out: Bytes, at: int, source: Bytes, place: int, size: int) -> int:
    """Copy `size` bytes from `source[place:]`."""
    for index in range(size):
        out[at + index] = source[place + index]
    return at + size


@inner
def put_sized(out: Bytes, at: int, source: Bytes, place: int, size: int) -> int:
    """Write a string: its size, then its bytes."""
    return put_bytes(out, put_long(out, at, size), source, place, size)


@inner
def put_decimal(out: Bytes, at: int, value: int) -> int:
    """Write a number as ASCII digits, as `str` does."""
    if value < 0:
        out[at] = 45
        at += 1
        rest = ~np.uint64(value) + _ONE
    else:
        rest = np.uint64(value)
    ten = np.uint64(10)
    digits, left = 1, rest
    while left >= ten:
        left //= ten
        digits += 1
    for index in range(digits - 1, -1, -1):
        out[at + index] = np.uint8(48 + whole(rest % ten))
        rest //= ten
    return at + digits


@inner
def get_number(source: Bytes, at: int, size: int) -> int:
    """Read a little-endian unsigned number of at most 7 bytes."""
    value = 0
    for index in range(size):
        value |= whole(source[at + index]) << (8 * index)
    return value


@inner
def put_number(out: Bytes, at: int, value: int, size: int) -> int:
    """Write a little-endian unsigned number of at most 7 bytes."""
    for index in range(size):
        out[at + index] = np.uint8(value >> (8 * index) & 0xFF)
    return at + size
