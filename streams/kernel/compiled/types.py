"""Names for what compiled functions take: arrays, and whole numbers of 64 bits.

`whole` makes any whole number one of 64 bits; to mypy that is an `int`.
"""

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    Bytes: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
    Longs: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
    Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]

    def whole(_: Any) -> int:
        """Return a whole number of 64 bits."""
        ...
else:
    Bytes = Longs = Ints = Any
    whole = np.int64
