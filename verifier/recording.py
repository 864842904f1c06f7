"""A run as its topics show it: what went in, when and in which batches it was decided, and what came out."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from verifier.avro import Reader, load_schema, schema_ids, unframe
from verifier.evidence import EVENT_TOPICS
from verifier.model.rules import Record
from verifier.topics import DEAD_LETTERS, DECISIONS, DELIVERY, Topics

REQUESTS = "consent.requests"


class Request(NamedTuple):
    """A record of consent.requests."""

    offset: int
    key: bytes | None
    value: bytes | None
    appended: int


class Sent(NamedTuple):
    """A record of messenger-delivery: its key, value as a dict, its headers, and the value with its frame."""

    partition: int
    offset: int
    key: str
    value: dict[str, Any]
    headers: dict[str, bytes]
    framed: bytes


@dataclass
class Recording:
    """Everything a model needs to decide again, and everything that was decided."""

    partitions: int
    events: dict[tuple[str, int], list[Record]] = field(default_factory=dict)
    requests: dict[int, list[Request]] = field(default_factory=dict)
    batches: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    dead_letters: list[dict[str, bytes]] = field(default_factory=list)


def record(bootstrap: str) -> Recording:
    """Read a run; decisions first, as all that they speak of was committed with them or before."""
    topics, ids = Topics(bootstrap), schema_ids()
    try:
        partitions = list(topics.starts(EVENT_TOPICS[0]))
        found = Recording(len(partitions))
        batches = Reader(load_schema("decision_batch"))
        for message in topics.read(DECISIONS, list(topics.starts(DECISIONS))):
            value = batches.read(unframe(message.value() or b"", (ids["decision_batch"],))[1])
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
        _outputs(topics, ids, found)
    finally:
        topics.close()
    return found


def _outputs(topics: Topics, ids: dict[str, int], found: Recording) -> None:
    notifications = Reader(load_schema("notification"))
    for message in topics.read(DELIVERY, list(topics.starts(DELIVERY))):
        body = unframe(message.value() or b"", (ids["notification"],))[1]
        key = (message.key() or b"").decode()
        place = message.partition() or 0, message.offset() or 0
        found.sent.append(
            Sent(*place, key, notifications.read(body), _headers(message), message.value() or b"")
        )
    for message in topics.read(DEAD_LETTERS, list(topics.starts(DEAD_LETTERS))):
        found.dead_letters.append(_headers(message))


def _headers(message: Any) -> dict[str, bytes]:
    return {name: value for name, value in message.headers() or [] if value is not None}
