"""What a live checker knows of a running notifier: is anybody told after a revocation, does a canary leak?

A worker cannot refute itself: these figures come from the topics, by a process that decides nothing. Pure:
records come in, in any order of topics; what is a few seconds old is judged, by the broker's clock alone.
Imports the model and `recording`. Read next: `export.py`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from verifier.avro import BrokenValueError, Reader, load_schema, schema_ids, unframe
from verifier.model.consents import Consents
from verifier.recording import Request, Sent

MOST_CHANGES = 16
SETTLE_MS = 3_000
"""How old a record is before it is judged: by then whatever was appended before it was read."""
BOUND_MS = 2_000
MOST_WAITING = 100_000

_REQUEST = Reader(load_schema("consent_request"))


class End(NamedTuple):
    """A consent that ended: of which subject and user, when the broker appended what ended it."""

    subject: str
    user: str
    appended: int


@dataclass
class Figures:
    """What was found since the last time it was asked for.

    `silences` has, for each revocation, the time to the last notification that came after it, 0 without any;
    milliseconds. `unresolved` notifications could not be judged, as their event is not kept any more or names
    none; `dropped` ones, as too many were waiting.
    """

    after_revocation: int = 0
    unresolved: int = 0
    dropped: int = 0
    silences: list[int] = field(default_factory=list)
    leaks: dict[str, int] = field(default_factory=dict)


class Watch:
    """Takes records of requests and notifications; judges them once they have settled.

    Args:
        partitions: of consent.requests.
        subject_of: gives the key of the event, or of the consent request, at a source position, None if it
            cannot be had.
        since_ms: what ended before is known, but its silence was not watched.
    """

    def __init__(
        self, partitions: int, subject_of: Callable[[tuple[str, int, int]], str | None], since_ms: int = 0
    ) -> None:
        self._since_ms = since_ms
        self._consents = [Consents(number, partitions) for number in range(partitions)]
        self._subject_of = subject_of
        self._ended: set[str] = set()
        self._open: list[tuple[End, int]] = []
        self._waiting: list[Sent] = []
        self._begins: dict[tuple[str, str], list[tuple[int, End | None]]] = defaultdict(list)
        self._figures = Figures()

    def request(self, partition: int, request: Request) -> None:
        """Take in a consent request, in the order of its partition."""
        known = self._consents[partition]
        before = known.find(request.key or b"")
        standing = [
            user
            for user, versions in (before.holders if before else {}).items()
            if versions[-1]["revoked_at"] is None
        ]
        answer = known.apply(request.key, request.value, request.appended, request.offset)
        asked = _asked(request.value)
        if answer is None or answer.reason is not None or asked is None:
            return
        subject = asked["subject"]
        if asked["action"] in ("GRANT", "CHANGE"):
            self._change(subject, asked["user_id"], request.appended, None)
            return
        for user in standing:
            if asked["user_id"] in (None, user):
                end = End(subject, user, request.appended)
                self._change(subject, user, request.appended, end)
                self._ended.add(user)
                if request.appended >= self._since_ms:
                    self._open.append((end, 0))

    def _change(self, subject: str, user: str, appended: int, end: End | None) -> None:
        changes = self._begins[subject, user]
        changes.append((appended, end))
        del changes[:-MOST_CHANGES]

    def told(self, sent: Sent) -> None:
        """Take in a notification; of who never ended a consent none is looked at any further."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(sent)
        else:
            self._figures.dropped += 1

    def leak(self, topic: str, count: int = 1) -> None:
        """Count a canary's marker that was found where it must not be."""
        self._figures.leaks[topic] = self._figures.leaks.get(topic, 0) + count

    def settle(self, now_ms: int) -> Figures:
        """Judge what is old enough at `now_ms`, and return what was found since the last call.

        All requests that were appended before `now_ms` must have been taken in.
        """
        due = [one for one in self._waiting if one.appended <= now_ms - SETTLE_MS]
        self._waiting = [one for one in self._waiting if one.appended > now_ms - SETTLE_MS]
        for sent in due:
            if sent.key in self._ended:
                self._judge(sent)
        for end, last in self._open:
            if end.appended <= now_ms - SETTLE_MS - BOUND_MS:
                self._figures.silences.append(max(0, last - end.appended))
        self._open = [one for one in self._open if one[0].appended > now_ms - SETTLE_MS - BOUND_MS]
        found, self._figures = self._figures, Figures()
        return found

    def _judge(self, sent: Sent) -> None:
        subject = self._subject_of(sent.source)
        if subject is None:
            self._figures.unresolved += 1
            return
        end = _end_at(self._begins.get((subject, sent.key), ()), sent.appended)
        if end is None:
            return
        if sent.appended - end.appended > BOUND_MS:
            self._figures.after_revocation += 1
        self._open = [(one, max(last, sent.appended) if one == end else last) for one, last in self._open]


def _end_at(changes: Iterable[tuple[int, End | None]], appended: int) -> End | None:
    """Return the first end since the last grant before that time, None if the consent stands."""
    ended: End | None = None
    for at, end in changes:
        if at <= appended:
            ended = None if end is None else ended or end
    return ended


def _asked(value: bytes | None) -> dict[str, Any] | None:
    try:
        return _REQUEST.read(unframe(value or b"", (schema_ids()["consent_request"],))[1])
    except BrokenValueError:
        return None
