"""Which consent requests were answered lately: one that comes twice changes nothing the second time.

A producer that repeats itself, or an operator who sends a file again, must not bring back what was revoked
meanwhile. The answers are read back from `consent.results`. Imports `wire` for the first field of an answer.
Source: docs/rules.md section 8. Read next: `fold_batch.py`.
"""

from streams.kernel.record_batch import RecordBatch
from streams.wire.frame import FRAME_BYTES
from streams.wire.varint import UndecodableError, read_size

WINDOW = 10_000
"""Answers of a partition number that count; rules.md says so."""

Request = tuple[bytes, str]
"""Subject key and request id."""


class RecentRequests:
    """The last WINDOW answers of one partition number."""

    def __init__(self) -> None:
        self._answered: dict[Request, int] = {}
        self.count = 0
        """Of all answers."""

    def knows(self, key: bytes, request_id: str, ahead: int = 0) -> bool:
        """Tell whether this request was answered; `ahead`: so many answers come before this one's."""
        at = self._answered.get((key, request_id))
        return at is not None and self.count + ahead - at < WINDOW

    def note(self, key: bytes, request_id: str) -> None:
        """Take in the next answer; an empty id is counted only."""
        self.count += 1
        if request_id:
            self._answered[key, request_id] = self.count
        if len(self._answered) > 2 * WINDOW:
            oldest = self.count - WINDOW
            self._answered = {request: at for request, at in self._answered.items() if at > oldest}

    def load(self, batch: RecordBatch) -> None:
        """Take in a run of `consent.results` records in log order."""
        for key, value in zip(batch.keys, batch.values, strict=True):
            self.note(key or b"", _request_id(value))


def _request_id(value: bytes | None) -> str:
    """Return an answer's first field, of whatever version of its schema; empty if it cannot be read."""
    try:
        size, at = read_size(value or b"", FRAME_BYTES + 1, (value or b"")[FRAME_BYTES])
    except (IndexError, UndecodableError):
        return ""
    return (value or b"")[at : at + size // 2].decode("utf-8", "replace")
