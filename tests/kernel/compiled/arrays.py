"""Bytes as the compiled functions take them."""

import numpy as np
from numpy.typing import NDArray


def array_of(data: bytes) -> NDArray[np.uint8]:
    """Return a writable array of the bytes."""
    return np.frombuffer(bytearray(data), dtype=np.uint8)
