"""Reads the topics into `Evidence` with librdkafka, read_committed, from the start to the end each had when
it was asked for.

Decisions are read first: everything they speak of was committed with them or before. Imports confluent-
kafka, `avro`, `evidence`. Read next: `__main__.py`.
"""

import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from verifier import avro
from verifier.evidence import EVENT_TOPICS, Batch, Evidence, Log, Position, Told

DELIVERY, DECISIONS, DEAD_LETTERS = "messenger-delivery", "notifier.decisions", "notifier.dead-letters"
MARK = "notifier.replayed"
"""Header of what operators leave beside dead letters: a record was sent again. It is no letter."""
SOURCE = re.compile(r"(.{1,249})/(\d{1,9})/(\d{1,18})", re.ASCII)
WAIT_S = 30.0
CONNECT_S = 10.0
POLL_S = 0.1
LEADERLESS = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
FETCH_RECORDS = 10_000


class UnreachableError(Exception):
    """Kafka, or a topic that must be there, is not; the text names it and the cure."""


def reader(bootstrap: str, options: dict[str, Any] | None, **named: Any) -> Consumer:
    """Return a group-less reader of what is committed, from where it is told to.

    `options` are librdkafka's, for clusters that ask for credentials; so are `named`, with _ for a dot.
    """
    return Consumer(
        {
            **(options or {}),
            "bootstrap.servers": bootstrap,
            "group.id": f"verifier-{uuid.uuid4()}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            **{name.replace("_", "."): value for name, value in named.items()},
        }
    )


class Topics:
    """A cluster's topics, read as a whole."""

    def __init__(self, bootstrap: str, options: dict[str, Any] | None = None) -> None:
        """Connect to `bootstrap` (HOST:PORT); see `reader`."""
        self._bootstrap = bootstrap
        self._consumer = reader(bootstrap, options)

    def close(self) -> None:
        """Close the connection. Never raises for a broker that is gone."""
        self._consumer.close()

    def cluster_id(self) -> str | None:
        """Return the cluster's id, None where librdkafka does not know it."""
        found: str | None = self._consumer.list_topics(timeout=CONNECT_S).cluster_id
        return found

    def starts(self, topic: str) -> dict[int, int]:
        """Return the first offset kept of each partition. Raises UnreachableError."""
        found = self._consumer.list_topics(topic, timeout=CONNECT_S).topics[topic]
        if found.error is not None:
            where = f"topic {topic} at {self._bootstrap}"
            raise UnreachableError(f"{where}: {found.error.str()}. Create it: notifier topics apply")
        starts = {}
        for partition in found.partitions:
            one = TopicPartition(topic, partition)
            starts[partition] = self._watermarks(one)[0]
        return starts

    def ends(self, topics: tuple[str, ...]) -> dict[tuple[str, int], int]:
        """Return the high watermark of every partition of `topics`. Raises UnreachableError."""
        return {
            (topic, partition): self._watermarks(TopicPartition(topic, partition))[1]
            for topic in topics
            for partition in self.starts(topic)
        }

    def _watermarks(self, place: TopicPartition) -> tuple[int, int]:
        """Return where a partition starts and ends, once it has a leader. Raises KafkaException."""
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                start, end = self._consumer.get_watermark_offsets(place, timeout=WAIT_S)
            except KafkaException as error:
                if error.args[0].code() not in LEADERLESS or time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)
            else:
                return start, end

    def read(self, topic: str, partitions: list[int]) -> Iterator[Message]:
        """Yield the committed records of `topic`, each partition in offset order. Raises UnreachableError."""
        self._consumer.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for one in partitions])
        open_partitions = set(partitions)
        last = time.monotonic()
        while open_partitions:
            # `consume` waits for all the records it is asked for: a long timeout would be spent per topic.
            messages = self._consumer.consume(FETCH_RECORDS, timeout=POLL_S)
            if messages:
                last = time.monotonic()
            elif time.monotonic() - last > WAIT_S:
                raise UnreachableError(f"topic {topic} at {self._bootstrap}: nothing came for {WAIT_S:.0f} s")
            for message in messages:
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka names its own codes so
                    open_partitions.discard(message.partition() or 0)
                elif not error.retriable():
                    raise UnreachableError(f"topic {topic} at {self._bootstrap}: {error.str()}")
        self._consumer.unassign()


def collect(topics: Topics, *, decisions: str = DECISIONS) -> Evidence:
    """Read all that a check needs; `decisions` names another topic to take the decisions from.

    Raises UnreachableError.
    """
    ids, evidence = avro.schema_ids(), Evidence()
    starts = topics.starts(decisions)
    evidence.is_from_start = not any(starts.values())
    for batch in read_batches(topics, list(starts), decisions):
        if isinstance(batch, Batch):
            evidence.batches.append(batch)
        else:
            evidence.unreadable.append(batch)
    for topic in EVENT_TOPICS:
        starts = topics.starts(topic)
        logs = {partition: Log(start, []) for partition, start in starts.items()}
        for message in topics.read(topic, list(starts)):
            logs[message.partition() or 0].offsets.append(message.offset() or 0)
        evidence.logs.update({(topic, partition): log for partition, log in logs.items()})
    _collect_told(topics, evidence, ids)
    for message in topics.read(DEAD_LETTERS, list(topics.starts(DEAD_LETTERS))):
        if MARK in _headers(message):
            continue
        letter = _dead_letter(message)
        if letter is None:
            evidence.unreadable.append(_position(message))
        else:
            evidence.dead_letters.append(letter)
    return evidence


def read_batches(
    topics: Topics, partitions: list[int], decisions: str = DECISIONS
) -> Iterator[Batch | Position]:
    """Yield the batches of the decisions as they are read; a position alone: what cannot be read.

    Raises UnreachableError.
    """
    readers = avro.versions("decision_batch")
    for message in topics.read(decisions, partitions):
        position = _position(message)
        try:
            schema_id, body = avro.unframe(message.value() or b"", tuple(readers))
            yield Batch(position, body, readers[schema_id].read(body))
        except avro.BrokenValueError:
            yield position


def _collect_told(topics: Topics, evidence: Evidence, ids: dict[str, int]) -> None:
    readers = avro.versions("notification")
    for message in topics.read(DELIVERY, list(topics.starts(DELIVERY))):
        position = _position(message)
        try:
            schema_id, body = avro.unframe(message.value() or b"", (*readers, ids["recall"]))
            if schema_id == ids["recall"]:
                continue
            value = readers[schema_id].read(body)
        except avro.BrokenValueError:
            evidence.unreadable.append(position)
            continue
        key = (message.key() or b"").decode("utf-8", "replace")
        source = _source(_headers(message).get("notifier.source"))
        names = value["notification_id"], value["recipient"], value["kind"]
        evidence.told.append(Told(position, key, *names, source, value["decided_at"]))


def _position(message: Message) -> Position:
    return Position(message.topic() or "", message.partition() or 0, message.offset() or 0)


def _headers(message: Message) -> dict[str, bytes]:
    headers: Any = message.headers() or []
    return {name: value for name, value in headers if value is not None}


def _source(header: bytes | None) -> Position | None:
    found = SOURCE.fullmatch((header or b"").decode("utf-8", "replace"))
    return Position(found[1], int(found[2]), int(found[3])) if found else None


def _dead_letter(message: Message) -> Position | None:
    headers = _headers(message)
    names = ("__streams.errors.topic", "__streams.errors.partition", "__streams.errors.offset")
    return _source(b"/".join(headers.get(name, b"") for name in names))
