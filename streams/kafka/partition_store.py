"""What a worker keeps in memory for one partition number: consents and subject states, as the log has them.

Consents stay bytes until a record asks for them, then are prepared once and kept in a bounded cache: loading
millions of subjects costs no decoding. A store holds only what was committed; a batch works on its own
overlay and merges it after the commit. How subjects are kept is `kernel/subjects.py`'s matter. May import
kernel, wire and core. Read next: `restore.py`.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from streams.core.consent import ConsentState
from streams.core.prepared import PreparedConsent, prepare
from streams.core.subject_state import SubjectState, apply_chunk
from streams.kernel.recent_requests import RecentRequests
from streams.kernel.record_batch import RecordBatch
from streams.kernel.subjects import Subjects
from streams.wire.codec import (
    PositionMarker,
    decode_consent_state,
    decode_position_marker,
    decode_subject_state,
)

MARKER_KEY = b"\x00position"
TICK_KEY = b"\x00tick"
"""A tombstone of nobody, see `ResultWriter.tick`."""
CHUNK_SEPARATOR = b"\x1f"
PREPARED_LIMIT = 200_000
_UNREADABLE = prepare(ConsentState(subject="", holders=(), suspended=True))


class ChangelogPositions(NamedTuple):
    """Offsets up to which a store has taken in its two changelogs, and the answers to requests."""

    consents: int
    states: int
    answers: int | None = None


class PartitionStore:
    """Consents and subject states of one partition number; keys are the subjects' raw bytes.

    `marker_at` is where the position marker was written, None if it was read from the log.
    """

    def __init__(self, subjects: Subjects) -> None:
        self.positions = ChangelogPositions(0, 0)
        self.marker: PositionMarker | None = None
        self.marker_at: int | None = None
        self.subjects = subjects
        self.recent = RecentRequests()
        self._prepared: dict[bytes, PreparedConsent] = {}

    def __len__(self) -> int:
        """Return the number of subjects with a consent state."""
        return len(self.subjects)

    def prepared(self, key: bytes) -> PreparedConsent | None:
        """Return what is needed to decide for a subject.

        None: no consent. State that cannot be read counts as suspended. Never raises.
        """
        found = self._prepared.get(key)
        if found is not None:
            return found
        value = self.subjects.consent(key)
        if value is None:
            return None
        state = decode_consent_state(value)
        found = _UNREADABLE if state is None else prepare(state)
        if len(self._prepared) >= PREPARED_LIMIT:
            self._prepared.clear()
        self._prepared[key] = found
        return found

    def consent_state(self, key: bytes) -> ConsentState | None:
        """Return a subject's consents.

        An unreadable one comes back suspended and empty, so that nothing is told until a readable request.
        """
        value = self.subjects.consent(key)
        if value is None:
            return None
        return decode_consent_state(value) or ConsentState(
            subject=key.decode("utf-8", "replace"), holders=(), suspended=True
        )

    def state(self, key: bytes) -> SubjectState:
        """Return what processing remembers of a subject. Never raises."""
        return self.subjects.state(key)

    def load_consents(self, batch: RecordBatch) -> None:
        """Take in a run of `consent.state` records in log order; null values delete."""
        self.subjects.load_consents(batch)
        if self._prepared:
            self._prepared.clear()

    def load_states(self, batch: RecordBatch) -> None:
        """Take in a run of `notifier.state` records in log order: chunks of subjects, the position marker."""
        states: dict[bytes, SubjectState] = {}
        known = self.subjects.state
        for key, value in zip(batch.keys, batch.values, strict=True):
            if key is None:
                continue
            if key == MARKER_KEY:
                self.marker = decode_position_marker(value) if value is not None else None
                continue
            subject, _, suffix = key.rpartition(CHUNK_SEPARATOR)
            first_entry, entries = decode_subject_state(value) if value is not None else (0, None)
            state = states.get(subject) or known(subject)
            states[subject] = apply_chunk(state, suffix, first_entry, entries)
        for subject, state in states.items():
            self.subjects.set_state(subject, state)

    def merge_consents(
        self, changes: Mapping[bytes, bytes | None], forgotten: Collection[bytes], position: int
    ) -> None:
        """Take in committed folds: encoded states by subject, None where the subject was deleted.

        `forgotten` were deleted meanwhile, also where a grant came after it: their memory goes first.
        """
        for key in forgotten:
            self.subjects.put_consent(key, None)
        for key, value in changes.items():
            self._prepared.pop(key, None)
            self.subjects.put_consent(key, value)
        self.positions = self.positions._replace(consents=max(position, self.positions.consents))

    def merge_answers(self, answered: Mapping[bytes, int], position: int) -> None:
        """Take in which requests were answered: their offsets by digest."""
        for request, offset in answered.items():
            self.recent.note(request, offset)
        self.positions = self.positions._replace(answers=max(position, self.positions.answers or 0))

    def merge_states(
        self,
        changes: Mapping[bytes, SubjectState],
        marker: PositionMarker,
        position: int,
        stamp: int | None = None,
    ) -> None:
        """Take in the committed overlay of a batch; `stamp` names what the compiled path staged."""
        if stamp is not None:
            self.subjects.commit(stamp)
        for key, state in changes.items():
            self.subjects.set_state(key, state)
        self.marker, self.marker_at = marker, position - 1
        self.positions = self.positions._replace(states=max(position, self.positions.states))
