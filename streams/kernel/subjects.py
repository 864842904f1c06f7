"""What deciding knows of subjects: their consents as bytes and what is remembered of them. The contract, and
its plain implementation.

`compiled/subjects.py` is the packed one, for the compiled path. May import core. Read next: `interpret.py`.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from streams.core.expiry import Range
from streams.core.subject_state import EMPTY_STATE, SubjectState
from streams.kernel.record_batch import RecordBatch

KEYS_A_SLICE = 1_000


class Subjects(Protocol):
    """Consents and memories of one partition number, as committed; keys are the subjects' raw bytes."""

    def __len__(self) -> int:
        """Return how many subjects have a consent state."""

    def consent(self, key: bytes) -> bytes | None:
        """Return a subject's consent state, None without any."""

    def slices(self, ends: Sequence[Range]) -> Iterator[Sequence[bytes]]:
        """Yield subjects, some at a time, among them all of which a consent ends in one of these ranges.

        None of them takes longer than a few milliseconds. Subjects that come between two slices may be left
        out, and what was yielded may have gone.
        """

    def put_consent(self, key: bytes, value: bytes | None) -> None:
        """Store a subject's consent state; None deletes it, with all that is remembered of the subject."""

    def load_consents(self, batch: RecordBatch) -> None:
        """Store a run of `consent.state` records in log order; null values delete."""

    def state(self, key: bytes) -> SubjectState:
        """Return what is remembered of a subject."""

    def set_state(self, key: bytes, state: SubjectState) -> None:
        """Set what is remembered of a subject."""

    def commit(self, stamp: int) -> None:
        """Make what the decision of that stamp staged the committed memory; without effect for any other."""


class PlainSubjects:
    """Subjects in dictionaries."""

    def __init__(self) -> None:
        self._consents: dict[bytes, bytes] = {}
        self._states: dict[bytes, SubjectState] = {}

    def __len__(self) -> int:
        return len(self._consents)

    def consent(self, key: bytes) -> bytes | None:
        """See `Subjects.consent`."""
        return self._consents.get(key)

    def slices(self, ends: Sequence[Range]) -> Iterator[Sequence[bytes]]:
        """See `Subjects.slices`; when consents end is not known here, so these are all."""
        del ends
        keys = list(self._consents)
        for start in range(0, len(keys), KEYS_A_SLICE):
            yield keys[start : start + KEYS_A_SLICE]

    def put_consent(self, key: bytes, value: bytes | None) -> None:
        """See `Subjects.put_consent`."""
        if value is None:
            self._consents.pop(key, None)
            self._states.pop(key, None)
        else:
            self._consents[key] = value

    def load_consents(self, batch: RecordBatch) -> None:
        """See `Subjects.load_consents`."""
        known, keys, values = self._consents, batch.keys, batch.values
        known.update(zip(keys, values, strict=True))  # type: ignore[arg-type]  # nulls leave below
        if None in values:
            for key in keys:
                if key is not None and known.get(key, b"") is None:
                    del known[key]

    def state(self, key: bytes) -> SubjectState:
        """See `Subjects.state`."""
        return self._states.get(key, EMPTY_STATE)

    def set_state(self, key: bytes, state: SubjectState) -> None:
        """See `Subjects.set_state`."""
        if state == EMPTY_STATE:
            self._states.pop(key, None)
        else:
            self._states[key] = state

    def commit(self, stamp: int) -> None:
        """Nothing is staged here."""
