"""The live checker: reads along, sends canaries, and serves what it found to Prometheus on loopback.

Canaries are events of subjects that nobody has consented for, with a marker in every text: any marker in what
comes out, its headers or keys, is a leak. Imports confluent-kafka, prometheus-client, `watch` and `topics`.
Read next: `__main__.py`.
"""

import time
import uuid
from collections.abc import Callable
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from verifier.avro import BrokenValueError, encode, load_schema, schema_ids, unframe, versions
from verifier.evidence import EVENT_TOPICS, REQUESTS
from verifier.recording import Request, Sent
from verifier.topics import CONNECT_S, DEAD_LETTERS, DECISIONS, DELIVERY, UnreachableError, reader
from verifier.watch import Watch

OUTPUTS = (DELIVERY, DECISIONS, DEAD_LETTERS, "consent.results", "consent.evidence")
POLL_S, JUDGE_S, RECORDS, LOOKUP_S = 0.2, 1.0, 10_000, 5.0
BUCKETS = (0.0, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 30.0)
CANARIES: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "bank.transactions": (
        "bank_transaction",
        ("merchant_name", "description", "category"),
        {"status": "POSTED", "amount_minor": -1, "currency": "EUR"},
    ),
    "bank.security": ("security_alert", ("type", "action_url_key"), {"severity": "INFO"}),
    "shipping.events": (
        "shipment_update",
        ("location", "carrier", "description"),
        {"shipment_id": "canary", "status": "IN_TRANSIT"},
    ),
}
"""What canaries are made of: by topic the schema, the texts that carry the marker, and what else it needs."""


class Export:
    """A live checker of one cluster.

    Args:
        bootstrap: HOST:PORT.
        port: of `/metrics` on 127.0.0.1; 0 takes a free one.
        canary_every_s: seconds between canaries; None sends none.
        options: librdkafka's.
    """

    def __init__(
        self, bootstrap: str, port: int, canary_every_s: float | None, options: dict[str, Any] | None = None
    ) -> None:
        self._plain = {**(options or {}), "bootstrap.servers": bootstrap}
        self._reader, self._lookup = (reader(bootstrap, options) for _ in range(2))
        self._reached: dict[int, int] = {}
        self._every_s = canary_every_s
        self._marker = f"canary-{uuid.uuid4().hex}"
        self._notifications, self._ids = versions("notification"), schema_ids()
        self._watch = Watch(self._assign(bootstrap), self._subject_of, time.time_ns() // 1_000_000)
        registry = CollectorRegistry()
        self._after = Counter(
            "notifier_notifications_after_revocation_total",
            "Notifications appended more than 2 s after a revocation; must stay 0.",
            registry=registry,
        )
        self._silence = Histogram(
            "notifier_revocation_to_silence_seconds",
            "From the append of a revocation to that of the last notification after it, 0 without any.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._leaks = Counter(
            "notifier_canary_leaks_total",
            "Canaries of subjects without consent that were found in an output; must stay 0.",
            ["topic"],
            registry=registry,
        )
        self._sent = Counter("notifier_canaries_total", "Canaries sent.", registry=registry)
        self._read = Counter(
            "notifier_watched_records_total", "Records read along.", ["topic"], registry=registry
        )
        for topic in OUTPUTS:
            self._leaks.labels(topic)
            self._read.labels(topic)
        self._unjudged = Counter(
            "notifier_unjudged_notifications_total",
            "Notifications of people who once ended a consent that could not be judged, by why.",
            ["reason"],
            registry=registry,
        )
        for reason in ("unresolved", "dropped", "unreadable"):
            self._unjudged.labels(reason)
        server, _ = start_http_server(port, "127.0.0.1", registry=registry)
        self.port: int = server.server_port

    def run(self, is_ended: Callable[[], bool]) -> None:
        """Read along until it is ended. A broker that is away is waited for."""
        producer = Producer({**self._plain, "partitioner": "murmur2_random", "linger.ms": 5})
        due_s = judge_s = time.monotonic()
        while not is_ended():
            for message in self._reader.consume(RECORDS, timeout=POLL_S):
                error = message.error()
                if error is None:
                    self._take(message)
                elif error.code() == KafkaError._PARTITION_EOF and message.topic() == REQUESTS:  # noqa: SLF001 - librdkafka names its own codes so
                    self._reached[message.partition() or 0] = message.offset() or 0
            if self._every_s is not None and time.monotonic() >= due_s:
                due_s = time.monotonic() + self._every_s
                self._send(producer)
            if time.monotonic() >= judge_s:
                judge_s = time.monotonic() + JUDGE_S
                self._judge()
        producer.flush(POLL_S)
        self._reader.close()
        self._lookup.close()

    def _judge(self) -> None:
        """Judge what is old enough, if all requests of now were read: else who ended what is not known."""
        now = time.time_ns() // 1_000_000
        try:
            ends = {
                number: self._reader.get_watermark_offsets(TopicPartition(REQUESTS, number), CONNECT_S)[1]
                for number in self._reached
            }
        except KafkaException:  # a broker that is away is waited for
            return
        if any(self._reached[number] < end for number, end in ends.items()):
            return
        found = self._watch.settle(now)
        self._after.inc(found.after_revocation)
        self._unjudged.labels("unresolved").inc(found.unresolved)
        self._unjudged.labels("dropped").inc(found.dropped)
        for silence in found.silences:
            self._silence.observe(silence / 1000)
        for topic, count in found.leaks.items():
            self._leaks.labels(topic).inc(count)

    def _take(self, message: Message) -> None:
        topic, partition = message.topic() or "", message.partition() or 0
        if topic == REQUESTS:
            self._reached[partition] = (message.offset() or 0) + 1
            self._watch.request(
                partition,
                Request(message.offset() or 0, message.key(), message.value(), message.timestamp()[1]),
            )
            return
        self._read.labels(topic).inc()
        headers: list[tuple[str, bytes | None]] = list(message.headers() or [])
        parts = [message.key(), message.value(), *(part for pair in headers for part in pair)]
        marker = self._marker.encode()
        if any(marker in (part.encode() if isinstance(part, str) else part) for part in parts if part):
            self._watch.leak(topic)
        if topic == DELIVERY:
            self._told(message, {name: content for name, content in headers if content is not None})

    def _told(self, message: Message, headers: dict[str, bytes]) -> None:
        value = message.value() or b""
        try:
            schema_id, body = unframe(value, (*self._notifications, self._ids["recall"]))
            if schema_id == self._ids["recall"]:
                return
            fields = self._notifications[schema_id].read(body)
        except BrokenValueError:
            self._unjudged.labels("unreadable").inc()
            return
        key = (message.key() or b"").decode("utf-8", "replace")
        place = message.partition() or 0, message.offset() or 0
        self._watch.told(Sent(*place, key, fields, headers, value, message.timestamp()[1]))

    def _send(self, producer: Producer) -> None:
        now = time.time_ns() // 1_000_000
        for topic, (schema, texts, plain) in CANARIES.items():
            subject, event_id = f"canary:{uuid.uuid4().hex}", f"{self._marker}-{uuid.uuid4().hex}"
            avro = load_schema(schema)
            fields = {field["name"]: field.get("default") for field in avro["fields"]}
            fields |= {name: now for name in ("occurred_at", "status_at") if name in fields}
            fields |= {"event_id": event_id, "subject": subject, **dict.fromkeys(texts, self._marker)}
            fields |= plain
            frame = b"\0" + self._ids[schema].to_bytes(4, "big")
            producer.produce(topic, frame + encode(avro, fields), subject)
            self._sent.inc()
        producer.poll(0)

    def _subject_of(self, source: tuple[str, int, int]) -> str | None:
        """Read the key of one event, or of the request that made a consent which a notice tells of."""
        if source[0] not in (*EVENT_TOPICS, REQUESTS):
            return None
        self._lookup.assign([TopicPartition(*source)])
        message = self._lookup.poll(LOOKUP_S)
        if message is None or message.error() or message.offset() != source[2]:
            return None
        return (message.key() or b"").decode("utf-8", "replace")

    def _assign(self, bootstrap: str) -> int:
        """Read requests from the start and outputs from now on; return the partitions of requests."""
        known = self._reader.list_topics(timeout=CONNECT_S).topics
        missing = [topic for topic in (REQUESTS, *OUTPUTS) if topic not in known]
        if missing:
            raise UnreachableError(f"no topic {missing[0]} at {bootstrap}. Create it: notifier topics apply")
        places = [TopicPartition(REQUESTS, number, OFFSET_BEGINNING) for number in known[REQUESTS].partitions]
        for topic in OUTPUTS:
            places += [TopicPartition(topic, number, OFFSET_END) for number in known[topic].partitions]
        self._reader.assign(places)
        self._reached.update(dict.fromkeys(known[REQUESTS].partitions, 0))
        return len(known[REQUESTS].partitions)


def export(
    bootstrap: str,
    port: int,
    canary_every_s: float | None,
    is_ended: Callable[[], bool],
    ready: Callable[[int], None],
    options: dict[str, Any] | None = None,
) -> None:
    """Run a live checker until it is ended; `ready` is told the port. Raises UnreachableError at first."""
    found = Export(bootstrap, port, canary_every_s, options)
    ready(found.port)
    found.run(is_ended)
