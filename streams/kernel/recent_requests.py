"""Which requests were answered lately, of consents or links: one that comes twice brings nothing back.

A producer that repeats itself, or an operator who sends a file again, must not bring back what was revoked
meanwhile. The answers are read back from `consent.results` (`link.results`); of a request only a digest is
kept. Imports `wire` for the two fields of an answer. Source: docs/rules.md sections 8 and 9. Read next:
`fold_batch.py`.
"""

from hashlib import blake2b

from streams.kernel.record_batch import RecordBatch
from streams.wire.frame import FRAME_BYTES
from streams.wire.varint import UndecodableError, read_size

WINDOW = 10_000
"""Offsets of the requests' topic before a request in which an earlier one counts; rules.md says so."""
DIGEST_BYTES = 16


def digest(key: bytes, request_id: str) -> bytes:
    """Return what is kept of a subject's request."""
    return blake2b(
        key + b"\0" + request_id.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES
    ).digest()


class RecentRequests:
    """The answered requests of one partition number, by digest, and where in the log each was last."""

    def __init__(self) -> None:
        self._answered: dict[bytes, int] = {}
        self.first_offset: int | None = None
        """The least offset of those that were read back; None: of none."""

    def knows(self, request: bytes, offset: int) -> bool:
        """Tell whether this request (its digest) stood in the WINDOW before `offset`.

        One at `offset` or after it is no earlier one: requests may be folded again.
        """
        at = self._answered.get(request)
        return at is not None and 0 < offset - at <= WINDOW

    def note(self, request: bytes, offset: int) -> None:
        """Take in that the request at `offset` was answered."""
        self._answered[request] = offset
        if len(self._answered) > 2 * WINDOW:
            self._answered = {one: at for one, at in self._answered.items() if at > offset - WINDOW}

    def load(self, batch: RecordBatch) -> None:
        """Take in a run of answers, of consents or links, in log order; what cannot be read is nobody's."""
        for key, value in zip(batch.keys, batch.values, strict=True):
            try:
                request_id, offset = _first_and_last(value or b"")
            except (IndexError, UndecodableError):
                continue
            self.first_offset = offset if self.first_offset is None else min(offset, self.first_offset)
            if request_id:
                self.note(digest(key or b"", request_id), offset)


def comes_again(
    key: bytes, request_id: str, offset: int, recent: RecentRequests, seen: dict[bytes, int]
) -> bool:
    """Tell whether a request was answered lately, or is one of `seen` (offsets by digest); note it there."""
    if not request_id:
        return False
    request = digest(key, request_id)
    at = seen.get(request)
    seen[request] = offset
    return offset - at <= WINDOW if at is not None else recent.knows(request, offset)


def _first_and_last(value: bytes) -> tuple[str, int]:
    """Return an answer's first field, its request's id, and its last, that one's offset, of any version."""
    size, at = read_size(value, FRAME_BYTES + 1, value[FRAME_BYTES])
    start = len(value) - 1
    while start > at and value[start - 1] > 127:
        start -= 1
    offset, end = read_size(value, start + 1, value[start])
    if end != len(value) or at + size // 2 > start:
        raise UndecodableError
    return value[at : at + size // 2].decode("utf-8", "replace"), offset // 2
