"""Names for the arrays that compiled functions take. Imports numpy only, and not at run time."""

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np

    Bytes: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
    Longs: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
    Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]
else:
    Bytes = Longs = Ints = Any
