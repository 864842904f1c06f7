"""Writes numbers and bytes as Avro and Kafka's records do; both use zigzag, seven bits a byte.

Every function takes where to write and returns where it stopped. Nothing is checked: callers make room first
(`join.py`, `assemble.py`). Imports `jit`. Source: Avro 1.12 specification; Kafka record format v2.
"""

import numpy as np

from streams.kernel.compiled.jit import inlined
from streams.kernel.compiled.types import Bytes, whole

_ONE, _SEVEN = np.uint64(1), np.uint64(7)
_LOW, _MORE, _EIGHT = np.uint64(0x7F), np.uint64(0x80), np.uint64(8)


@inlined
def put_long(out: Bytes, at: int, value: int) -> int:
    """Write a signed number of 64 bits."""
    rest = (np.uint64(value) << _ONE) ^ np.uint64(value >> 63)
    to = np.uint64(at)
    while rest > _LOW:
        out[to] = np.uint8(rest & _LOW | _MORE)
        rest >>= _SEVEN
        to += _ONE
    out[to] = np.uint8(rest)
    return whole(to + _ONE)


@inlined
def long_size(value: int) -> int:
    """Return how many bytes `put_long` writes."""
    rest = (np.uint64(value) << _ONE) ^ np.uint64(value >> 63)
    size = 1
    while rest > _LOW:
        rest >>= _SEVEN
        size += 1
    return size


@inlined
def put_bytes(out: Bytes, at: int, source: Bytes, place: int, size: int) -> int:
    """Copy `size` bytes from `source[place:]`.

    Places are made unsigned: numba asks of a signed one, byte by byte, whether it counts from the end.
    """
    to, start = np.uint64(at), np.uint64(place)
    for index in range(np.uint64(size)):
        out[to + index] = source[start + index]
    return at + size


@inlined
def put_sized(out: Bytes, at: int, source: Bytes, place: int, size: int) -> int:
    """Write a string: its size, then its bytes."""
    return put_bytes(out, put_long(out, at, size), source, place, size)


@inlined
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


@inlined
def get_number(source: Bytes, at: int, size: int) -> int:
    """Read a little-endian unsigned number of at most 7 bytes."""
    start, value = np.uint64(at), np.uint64(0)
    for index in range(np.uint64(size)):
        value |= np.uint64(source[start + index]) << (_EIGHT * index)
    return whole(value)


@inlined
def put_number(out: Bytes, at: int, value: int, size: int) -> int:
    """Write the low `size` bytes of a number, at most 8, little-endian."""
    to, rest = np.uint64(at), np.uint64(value)
    for index in range(np.uint64(size)):
        out[to + index] = np.uint8(rest >> (_EIGHT * index))
    return at + size


@inlined
def is_same(one: Bytes, place: int, other: Bytes, other_place: int, size: int) -> bool:
    """Tell whether `size` bytes are the same."""
    first, second = np.uint64(place), np.uint64(other_place)
    for index in range(np.uint64(size)):
        if one[first + index] != other[second + index]:
            return False
    return True


@inlined
def decimal_size(value: int) -> int:
    """Return how many digits a number that is not negative has."""
    size = 1
    while value >= 10:
        value //= 10
        size += 1
    return size
