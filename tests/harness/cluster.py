"""A cluster with all topics for one test, and clients of another library than the product's."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from streams.errors import ConfigurationError
from streams.kafka.admin import apply_topics
from streams.kafka.broker import RunningBroker, start_broker
from streams.kafka.jars import java_command
from streams.settings import Settings

ROOT = Path(__file__).parents[2]
TREE = Path(os.environ.get("TREE_UNDER_TEST", ROOT))
"""The tree that worker processes run; tests/broken sets another one."""
DEADLINE_S = 60.0


class Cluster:
    """A running broker with the topics applied; `partitions` of each, `properties` beside the usual."""

    def __init__(
        self, running: RunningBroker, partitions: int, properties: Mapping[str, str] | None = None
    ) -> None:
        self.running = running
        self._properties = properties
        self.bootstrap = running.bootstrap
        self.partitions = partitions

    def producer(self, **options: Any) -> Producer:
        """Return a librdkafka producer that partitions as Java does, unless told otherwise."""
        return Producer(
            {"bootstrap.servers": self.bootstrap, "partitioner": "murmur2_random", "acks": "all", **options}
        )

    def start_again(self) -> None:
        """Start the broker again on its port; wait while a killed one still holds it."""
        self.running = started_again(self.running, self._properties)

    def create(self, topic: str) -> None:
        """Create a topic that is none of the product's."""

        async def create() -> None:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            try:
                answer = await admin.create_topics([NewTopic(topic, self.partitions, 1)])
                assert [code for _, code, *_ in answer.topic_errors] == [0], answer
            finally:
                await admin.close()

        asyncio.run(create())

    def read(self, topic: str, isolation: str = "read_committed") -> list[Message]:
        """Return every record of a topic up to its present end, partition by partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "harness",
                "enable.auto.commit": False,
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
            }
        )
        try:
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            found: list[Message] = []
            ended: set[int | None] = set()
            deadline = time.monotonic() + DEADLINE_S
            while len(ended) < len(partitions) and time.monotonic() < deadline:
                for message in consumer.consume(5000, 0.2):
                    if message.error() is not None:
                        ended.add(message.partition())
                    else:
                        found.append(message)
            assert len(ended) == len(partitions), f"{topic} was not read to its end"
            return sorted(found, key=lambda message: (message.partition(), message.offset()))
        finally:
            consumer.close()


@contextmanager
def cluster(
    home: Path, partitions: int = 4, properties: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """Start a broker of its own with all topics; stop it at the end."""
    with start_broker(home, properties=properties) as running:
        make_topics(running.bootstrap, partitions)
        yield Cluster(running, partitions, properties)


def started_again(ended: RunningBroker, properties: Mapping[str, str] | None) -> RunningBroker:
    """Start a broker on the port that it had; wait while what was killed still holds it."""

    def start() -> RunningBroker | None:
        with contextlib.suppress(ConfigurationError):
            return start_broker(ended.home, port=ended.port, properties=properties)
        return None

    again: RunningBroker = eventually("the broker runs again", start)
    return again


def make_topics(bootstrap: str, partitions: int, copies: int = 1) -> None:
    """Create the product's topics."""
    settings = Settings.from_env({}, kafka=bootstrap, partitions=partitions, replication_factor=copies)
    asyncio.run(apply_topics(settings))


def kafka_tool(at: Cluster, main_class: str, *arguments: str) -> str:
    """Run a command-line tool of Kafka's own to its good end; return what it said."""
    command = java_command(main_class, "--bootstrap-server", at.bootstrap, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Error" not in done.stdout, done.stdout
    return done.stdout


def eventually(
    what: str, condition: Callable[[], Any], deadline_s: float = DEADLINE_S, pause_s: float = 0.1
) -> Any:
    """Return the first true answer of `condition`; fail with `what` after the deadline."""
    deadline = time.monotonic() + deadline_s
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(pause_s)


def figures(text: str) -> None:
    """Show what a test measured to whoever runs it with -s."""
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


def as_json(text: str) -> Any:
    """Return parsed JSON, or fail with the text."""
    try:
        return json.loads(text)
    except ValueError:
        raise AssertionError(f"not JSON: {text[:500]}") from None
