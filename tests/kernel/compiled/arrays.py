"""Bytes and events as the compiled functions take them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def array_of(data: bytes) -> NDArray[np.uint8]:
    """Return a writable array of the bytes."""
    return np.frombuffer(bytearray(data), dtype=np.uint8)


def columns_of(event: tuple[Any, ...]) -> tuple[NDArray[Any], ...]:
    """Return an event as `read_fields` leaves it: buffer, number, place, size, chars, is_null."""
    buffer = bytearray(b"A")
    columns = []
    for value in event:
        if isinstance(value, str):
            data = value.encode()
            columns.append((0, len(buffer), len(data), len(value), 0))
            buffer += data
        else:
            columns.append((value or 0, 0, 0, 0, value is None))
    # text that would be fine stands behind the last one
    buffer += b"A1"
    number, place, size, chars, is_null = zip(*columns, strict=True)
    return (
        array_of(bytes(buffer)),
        np.array(number, dtype=np.int64),
        *(np.array(column, dtype=np.int32) for column in (place, size, chars)),
        np.array(is_null, dtype=np.uint8),
    )
