"""Room for what one decision writes, used again by the next one.

Imports `layout`. Read next: `decider.py`.
"""

from functools import cache
from typing import Any

import numpy as np

from streams.kernel.compiled.hashes import BLAKE2B_WORDS, SHA1_WORDS
from streams.kernel.compiled.index import PERSON_TEXTS
from streams.kernel.compiled.layout import OUTPUT_COUNTERS, RUN_TOTAL, VERDICT, Outputs, Scratch
from streams.kernel.compiled.sha256 import HMAC_WORDS
from streams.kernel.compiled.tables import FATES, KIND_COUNT, REASONS

FIRST_BYTES = 1 << 20
FIELDS, TEXT_BYTES, BODY_BYTES, PERSON_BYTES = 32, 1 << 14, 1 << 17, 1 << 10


class Buffers:
    """Room for what one decision writes; one decision at a time uses it."""

    def __init__(self) -> None:
        self.order = 0
        self.scratch = Scratch(
            np.zeros(FIELDS, np.int64), np.zeros(FIELDS, np.int32), np.zeros(FIELDS, np.int32),
            np.zeros(FIELDS, np.int32), np.zeros(FIELDS, np.uint8), np.zeros(TEXT_BYTES, np.uint8),
            np.zeros(BODY_BYTES, np.uint8), np.zeros(SHA1_WORDS, np.uint32),
            np.zeros(HMAC_WORDS, np.uint32), np.zeros(BLAKE2B_WORDS, np.uint64),
            np.zeros(VERDICT, np.int64), np.zeros(PERSON_BYTES, np.uint8), np.zeros(PERSON_TEXTS, np.int32),
        )  # fmt: skip
        self.states = np.empty(FIRST_BYTES, np.uint8)
        self.batches = np.empty(FIRST_BYTES, np.uint8)
        self.outputs = _outputs(1, FIRST_BYTES)

    def begin(self, records: int) -> None:
        """Make room for what so many records may be counted as, and start anew."""
        if records + 1 > self.outputs.out_at.size:
            self.outputs = _outputs(records, self.outputs.out.size)
        self.outputs.counter.fill(0)
        self.order = 0
        self._runs_told = 0

    def grow(self) -> None:
        """Double the room of outputs, rows and runs; what is written stays."""
        old = self.outputs
        self.outputs = old._replace(
            **{
                name: longer(getattr(old, name), 2 * getattr(old, name).size)
                for name in ("out", "rows", "runs")
            }
        )

    def no_consent(self) -> int:
        """Return how many records without consent were found since the last call."""
        told, self._runs_told = self._runs_told, int(self.outputs.counter[RUN_TOTAL])
        return self._runs_told - told


def _outputs(records: int, size: int) -> Outputs:
    return Outputs(
        np.empty(size, np.uint8), np.zeros(records + 1, np.int64), np.zeros(records, np.int64),
        np.zeros(records, np.int32), np.zeros(records, np.int64),
        np.empty(size, np.uint8), np.zeros(records + 1, np.int64), np.zeros(records, np.int64),
        np.empty(size, np.uint8), np.zeros(records, np.int64), np.zeros(OUTPUT_COUNTERS, np.int64),
        np.zeros((FATES, REASONS, KIND_COUNT), np.int64), np.zeros((FATES, REASONS, KIND_COUNT), np.int64),
    )  # fmt: skip


@cache
def process_buffers() -> Buffers:
    """Return the buffers of this process: a decision has no await in it."""
    return Buffers()


def longer(array: Any, size: int) -> Any:
    """Return an array of at least `size`, twice as long where it was shorter; what is in it stays."""
    if array.size >= size:
        return array
    longer = np.zeros(max(size, 2 * array.size), array.dtype)
    longer[: array.size] = array
    return longer
