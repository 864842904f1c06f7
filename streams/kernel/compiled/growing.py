"""Memory that grows without being copied: an anonymous mapping whose pages the system moves.

Arrays of many gigabytes could otherwise only grow by being there twice. Where the system cannot move pages
(macOS, Windows) they are copied. Imports numpy. Read next: `subjects.py`.
"""

import mmap
import platform
from typing import Any

import numpy as np

_PAGE = mmap.PAGESIZE
IS_LINUX = platform.system() == "Linux"


class GrowingArray:
    """A one-dimensional array of numbers, zeros at first; `array` must not be kept across `grow`."""

    def __init__(self, dtype: Any, size: int) -> None:
        self._dtype = np.dtype(dtype)
        self._map = self._new(size)

    def _new(self, size: int) -> mmap.mmap:
        length = -(-max(size, 1) * self._dtype.itemsize // _PAGE) * _PAGE
        if IS_LINUX:
            return mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return mmap.mmap(-1, length)

    @property
    def array(self) -> Any:
        """Return the array as it is now."""
        return np.frombuffer(self._map, self._dtype)

    def grow(self, size: int) -> None:
        """Make it at least `size` numbers long; what is in it stays, zeros are added."""
        length = -(-size * self._dtype.itemsize // _PAGE) * _PAGE
        if length <= len(self._map):
            return
        if IS_LINUX:
            self._map.resize(length)
            return
        larger = self._new(size)
        larger[: len(self._map)] = self._map[:]
        self._map = larger

    def clear(self, value: int) -> None:
        """Set every number to `value`."""
        self.array.fill(value)
