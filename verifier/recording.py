"""A run as its topics show it: what went in, when and in which batches it was decided, and what came out."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from verifier.avro import BrokenValueError, unframe, versions
from verifier.evidence import EVENT_TOPICS, REQUESTS
from verifier.model.rules import Record
from verifier.topics import DEAD_LETTERS, DECISIONS, DELIVERY, MARK, SOURCE, Topics

STATES, PROGRESS = "consent.state", "notifier.state"
_STATES, _MARKERS = versions("consent_state"), versions("position_marker")


class Request(NamedTuple):
    """A record of consent.requests."""

    offset: int
    key: bytes | None
    value: bytes | None
    appended: int


class Sent(NamedTuple):
    """A record of messenger-delivery: its key, value as a dict, its headers, the value with its frame, and
    when it was appended.
    """

    partition: int
    offset: int
    key: str
    value: dict[str, Any]
    headers: dict[str, bytes]
    framed: bytes
    appended: int = 0

    @property
    def place(self) -> str:
        """Return where it stands, as reports say it."""
        return f"{DELIVERY}/{self.partition}/{self.offset}"

    @property
    def source(self) -> tuple[str, int, int]:
        """Return the event that it tells of; without a header that names one, ("", 0, 0)."""
        found = SOURCE.fullmatch(self.headers.get("notifier.source", b"").decode("utf-8", "replace"))
        return (found[1], int(found[2]), int(found[3])) if found else ("", 0, 0)

    @property
    def is_notice(self) -> bool:
        """Tell whether it tells of a consent instead of an event."""
        return self.source[0] == REQUESTS

    @property
    def digest(self) -> str:
        """Return what tells its key and value from others."""
        return digest_of(self.key.encode(), self.framed)


class Marker(NamedTuple):
    """A position marker: when it was written, and up to when had been told which consents end."""

    written_at: int
    reminded_until: int | None


@dataclass
class Recording:
    """Everything a model needs to decide again, and everything that was decided.

    `states` are the last consent states by partition and key; `salts` are those of a key's states that are
    kept, each with the offset of the request that made the state, in order. `markers` are those that
    compaction has left, of workers that tell of consents that end.
    """

    partitions: int
    events: dict[tuple[str, int], list[Record]] = field(default_factory=dict)
    requests: dict[int, list[Request]] = field(default_factory=dict)
    batches: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    dead_letters: list[dict[str, bytes]] = field(default_factory=list)
    states: dict[int, dict[bytes, bytes | None]] = field(default_factory=dict)
    salts: dict[bytes, list[tuple[int, bytes]]] = field(default_factory=dict)
    markers: dict[int, list[Marker]] = field(default_factory=dict)

    def keep_state(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Take in one record of consent.state, in log order."""
        self.states.setdefault(partition, {})[key] = value
        try:
            schema_id, body = unframe(value or b"", tuple(_STATES))
            state = _STATES[schema_id].read(body)
        except BrokenValueError:
            return
        self.salts.setdefault(key, []).append((state["request_offset"], state.get("salt") or b""))

    def keep_marker(self, partition: int, value: bytes | None) -> None:
        """Take in one record of notifier.state, in log order; most are the states of subjects."""
        try:
            schema_id, body = unframe(value or b"", tuple(_MARKERS))
            marker = _MARKERS[schema_id].read(body)
        except BrokenValueError:
            return
        if "reminded_until" in marker:  # not of the first schema
            one = Marker(marker["written_at"], marker["reminded_until"])
            self.markers.setdefault(partition, []).append(one)

    def salt_at(self, key: bytes, next_offset: int) -> bytes | None:
        """Return the salt in force where requests below `next_offset` were folded.

        None: the state of then is not kept any more. Empty: it had none, being of an earlier schema.
        """
        before = [salt for made_by, salt in self.salts.get(key, ()) if made_by < next_offset]
        return before[-1] if before else None


def digest_of(key: bytes, value: bytes) -> str:
    """Return what tells a record's key and value from others."""
    return hashlib.sha256(len(key).to_bytes(4, "big") + key + value).hexdigest()[:32]


def record(bootstrap: str, options: dict[str, Any] | None = None) -> Recording:
    """Read a run; decisions first, as all that they speak of was committed with them or before.

    `options` are librdkafka's, for clusters that ask for credentials. Raises UnreachableError.
    """
    topics = Topics(bootstrap, options)
    try:
        partitions = list(topics.starts(EVENT_TOPICS[0]))
        found = Recording(len(partitions))
        batches = versions("decision_batch")
        for message in topics.read(DECISIONS, list(topics.starts(DECISIONS))):
            schema_id, body = unframe(message.value() or b"", tuple(batches))
            value = batches[schema_id].read(body)
            found.batches.setdefault(value["partition"], []).append(value)
        for topic in EVENT_TOPICS:
            found.events |= {(topic, partition): [] for partition in partitions}
            for message in topics.read(topic, partitions):
                partition, offset = message.partition() or 0, message.offset() or 0
                one = Record(topic, partition, offset, message.key(), message.value())
                found.events[topic, partition].append(one)
        for message in topics.read(REQUESTS, partitions):
            request = Request(message.offset() or 0, message.key(), message.value(), message.timestamp()[1])
            found.requests.setdefault(message.partition() or 0, []).append(request)
        for message in topics.read(STATES, partitions):
            found.keep_state(message.partition() or 0, message.key() or b"", message.value())
        for message in topics.read(PROGRESS, partitions):
            found.keep_marker(message.partition() or 0, message.value())
        _outputs(topics, found)
    finally:
        topics.close()
    return found


def _outputs(topics: Topics, found: Recording) -> None:
    notifications = versions("notification")
    for message in topics.read(DELIVERY, list(topics.starts(DELIVERY))):
        schema_id, body = unframe(message.value() or b"", tuple(notifications))
        key = (message.key() or b"").decode()
        place = message.partition() or 0, message.offset() or 0
        value, appended = message.value() or b"", message.timestamp()[1]
        fields = notifications[schema_id].read(body)
        found.sent.append(Sent(*place, key, fields, _headers(message), value, appended))
    for message in topics.read(DEAD_LETTERS, list(topics.starts(DEAD_LETTERS))):
        headers = _headers(message)
        found.dead_letters += [] if MARK in headers else [headers]


def _headers(message: Any) -> dict[str, bytes]:
    return {name: value for name, value in message.headers() or [] if value is not None}
