"""Stops a worker when too much of what comes in goes to dead letters: then it is the worker, or a schema, and
not the records.

Dead letters are safe where they are; a worker that goes on would only make more of them. May import errors.
Read next: `partition_owner.py`.
"""

from collections import deque
from typing import NamedTuple

from streams.errors import DeadLetterBreakerError


class _Counted(NamedTuple):
    records: int
    dead: int


class DeadLetterBreaker:
    """Counts over the last records of all partitions of a worker.

    Args:
        percent: the most that may go to dead letters; 100 allows all.
        window: how many of the last records count, to the batch; with fewer, nothing stops.
    """

    def __init__(self, percent: int, window: int) -> None:
        self._percent = percent
        self._window = window
        self._batches: deque[_Counted] = deque()
        self._records = 0
        self._dead = 0

    @property
    def ratio(self) -> float:
        """Return the share of the window that went to dead letters, 0 to 1."""
        return self._dead / self._records if self._records else 0.0

    def count(self, records: int, dead: int) -> None:
        """Count a committed batch.

        Raises:
            DeadLetterBreakerError: too many of the window were dead letters.
        """
        if not records:
            return
        self._batches.append(_Counted(records, dead))
        self._records += records
        self._dead += dead
        while self._records - self._batches[0].records >= self._window:
            oldest = self._batches.popleft()
            self._records -= oldest.records
            self._dead -= oldest.dead
        if self._records >= self._window and self._dead * 100 > self._percent * self._records:
            raise DeadLetterBreakerError(
                f"{self.ratio:.0%} of the last {self._records:,} records went to dead letters, more than "
                f"{self._percent} %: this worker stops. Headers on notifier.dead-letters say why; "
                "NOTIFIER_DEAD_LETTER_PERCENT=100 lets it go on"
            )
