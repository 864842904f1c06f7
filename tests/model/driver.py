"""Sends a run to Kafka with librdkafka (murmur2_random), events stamped with the time of sending, and notes
what was acknowledged before what.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from tests.model.desk import CUTS, Ask, encoded
from tests.model.sources import Send, Source
from tests.model.values import event_value
from verifier.model.opening import SCHEMA_OF, TIME_OF
from verifier.model.partitions import partition_of
from verifier.replay import Floor

REQUESTS = "consent.requests"


class Driver:
    """One run against one cluster."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.max.bytes": 4_000_000,
                "queue.buffering.max.messages": 500_000,
            }
        )
        self._partitions = partitions
        self._next_request: dict[int, int] = {}
        self._times: dict[str, int] = {}
        self._failures: list[KafkaError] = []
        self.floors: list[Floor] = []

    def run(self, source: Source, asks: list[list[Ask]]) -> None:
        """Send each phase's requests, and when all are acknowledged its share of the events."""
        start = 0
        for phase, cut in zip(asks, CUTS, strict=True):
            end = int(len(source.sends) * cut)
            self.ask(phase)
            self.send(source.sends[start:end])
            start = end

    def ask(self, asks: list[Ask]) -> None:
        """Send requests and wait until each is acknowledged."""
        for ask in asks:
            self._produce(REQUESTS, ask.subject.encode(), encoded(ask, _now()), self._requested)
        self.flush()

    def send(self, sends: list[Send]) -> None:
        """Send events after all that was acknowledged so far, and wait for them."""
        floor = Floor(dict(self._next_request))
        self.floors.append(floor)
        for send in sends:
            self._send(send, floor)
        self.flush()

    def flush(self) -> None:
        """Wait until everything sent is acknowledged; raises AssertionError where something was not."""
        left = self._producer.flush(60)
        assert left == 0, f"{left} records were not acknowledged within 60 s"
        assert not self._failures, self._failures[0].str()

    def _send(self, send: Send, floor: Floor) -> None:
        at = self._times.get(send.same_time_as or "", _now() + send.shift_ms)
        self._times[send.fields["event_id"]] = at
        key, value, home = made(send, at, self._partitions)

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failures.append(error)
            else:
                place, offset = (send.topic, message.partition() or 0), message.offset() or 0
                floor.firsts[place] = min(offset, floor.firsts.get(place, offset))

        self._produce(send.topic, key, value, delivered, -1 if home is None else home)

    def _requested(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(error)
            return
        partition, after = message.partition() or 0, (message.offset() or 0) + 1
        self._next_request[partition] = max(after, self._next_request.get(partition, 0))

    def _produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        delivered: Callable[[KafkaError | None, Message], None],
        partition: int = -1,
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, on_delivery=delivered)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)


def with_giants(source: Source, number: int = 4) -> Source:
    """The source with `number` values over the limit in it."""
    step = max(1, len(source.sends) // (number + 1))
    sends: list[Any] = []
    for place, send in enumerate(source.sends):
        sends.append(send)
        if place % step == step // 2:
            sends.append(replace(send, damage="too_large"))
    return source._replace(sends=sends)


def _now() -> int:
    return int(time.time() * 1000)


def made(send: Send, at: int, partitions: int) -> tuple[bytes | None, bytes | None, int | None]:
    """The key and value of a record of an event at `at`, and its partition where the partitioner may not
    choose it.
    """
    schema, key, name = SCHEMA_OF[send.topic], send.subject.encode(), send.fields["event_id"]
    fields = {**send.fields, "subject": send.subject, TIME_OF[schema]: at}
    match send.damage:
        case "tombstone":
            return key, None, None
        case "null_key":
            return None, event_value(schema, fields), None
        case "misrouted":
            return key, event_value(schema, fields), (partition_of(key, partitions) + 1) % partitions
        case "mismatch":
            return key, event_value(schema, {**fields, "subject": send.subject + "x"}), None
        case "invalid":
            return key, event_value(schema, {**fields, "event_id": name.rjust(129, "x")}), None
        case "unknown_schema":
            return key, b"\x00\x00\x00\x00\x63" + event_value(schema, fields)[5:], None
        case "undecodable":
            return key, event_value(schema, fields)[:-1], None
        case "too_large":
            return key, bytes(1_048_577), None
        case _:
            return key, event_value(schema, fields), None
