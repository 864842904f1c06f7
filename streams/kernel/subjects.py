"""What deciding knows of subjects: their consents as bytes and what is remembered of them. The contract, and
its plain implementation.

`compiled/subjects.py` is the packed one, for the compiled path. May import core. Read next: `interpret.py`.
"""

from typing import Protocol

from streams.core.subject_state import EMPTY_STATE, SubjectState
from streams.kernel.record_batch import RecordBatch


class Subjects(Protocol):
    """Consents and memories of one partition number, as committed; keys are the subjects' raw bytes."""

    def __len__(self) -> int:
        """Return how many subjects have a consent state."""

    def consent(self, key: bytes) -> bytes | None:
        """Return a subject's consent state, None without any."""

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
