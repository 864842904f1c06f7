"""What the harness asks of the broker, through librdkafka: no contender shares this code.

Progress is read from outside: offsets that a contender's consumer group committed, and ends of its topics.
"""

import ctypes
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from bench.workload import PARTITIONS

TIMEOUT_S = 30.0
ASK_S = 5.0
OFFSETS_TOPIC = "__consumer_offsets"
PATIENCE_S = 60.0
POLL_S = 0.2
QUIET = "0"
TELL_EVERY = 50_000
ID_AT = slice(6, 42)  # a Notification's first field, after the frame (5 bytes) and its length (1 byte)

_LATEST = OffsetSpec.latest()

Tell = Callable[[int], None]
Result = TypeVar("Result")


class Cluster:
    """The broker under measurement, seen from outside; every topic has the same number of partitions."""

    def __init__(self, bootstrap: str, partitions: int = PARTITIONS) -> None:
        self.bootstrap = bootstrap
        self.partitions = partitions
        # after the broker has gone it would tell of each of its tries to come back
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": QUIET})
        _never_close(self._admin)
        self._askers: dict[str, Consumer] = {}

    def create(self, topics: Mapping[str, Mapping[str, str]]) -> None:
        """Create topics (name -> config), each with the partitions of the workload."""
        new = [NewTopic(name, self.partitions, 1, config=dict(config)) for name, config in topics.items()]
        for future in self._admin.create_topics(new).values():
            future.result(TIMEOUT_S)

    def remove(self, *names: str) -> None:
        """Delete those of the named topics that exist."""
        present = [name for name in names if name in self._admin.list_topics(timeout=TIMEOUT_S).topics]
        for future in self._admin.delete_topics(present).values() if present else ():
            future.result(TIMEOUT_S)

    def recreate(self, topics: Mapping[str, Mapping[str, str]]) -> None:
        """Empty topics by deleting and creating them; waits until the deletion is through."""
        self.remove(*topics)
        _patiently(lambda: self.create(topics))

    def forget_group(self, group: str) -> None:
        """Delete a consumer group and its offsets, once its last member has left.

        A broker that keeps no offsets yet is not asked: the answer may not come.
        """
        if OFFSETS_TOPIC in self._admin.list_topics(timeout=TIMEOUT_S).topics:
            _patiently(lambda: self._delete_group(group))

    def _delete_group(self, group: str) -> None:
        try:
            self._admin.delete_consumer_groups([group], request_timeout=ASK_S)[group].result(TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                raise

    def rewind(self, group: str, topic: str) -> None:
        """Set a group's offsets of one topic to its beginning, once its last member has left."""
        zero = [TopicPartition(topic, partition, 0) for partition in range(self.partitions)]
        request = [ConsumerGroupTopicPartitions(group, zero)]
        _patiently(lambda: self._admin.alter_consumer_group_offsets(request)[group].result(TIMEOUT_S))

    def committed(self, group: str, topic: str) -> list[int]:
        """The offsets that a group has committed of each partition; 0 where it has none yet.

        A consumer that never joins asks, not the admin client: librdkafka 2.12 crashes the process when its
        list_consumer_group_offsets is answered with an error, as while the coordinator starts. It asks with
        read_uncommitted, which gives the last committed offsets at once; with the default it asks again and
        again while a transaction with offsets is open, which a busy contender's always is.
        """
        if group not in self._askers:
            self._askers[group] = asker = Consumer(
                {
                    "bootstrap.servers": self.bootstrap,
                    "group.id": group,
                    "enable.auto.commit": False,
                    "isolation.level": "read_uncommitted",
                    "log_level": QUIET,
                }
            )
            _never_close(asker)
        wanted = [TopicPartition(topic, partition) for partition in range(self.partitions)]
        found = self._askers[group].committed(wanted, timeout=ASK_S)
        if fault := next((place.error for place in found if place.error), None):
            raise KafkaException(fault)
        return [max(place.offset, 0) for place in found]

    def find_coordinator(self, group: str, topic: str) -> None:
        """Ask about a group until it is answered: it takes seconds on a broker that keeps no offsets yet."""
        _patiently(lambda: self.committed(group, topic))

    def progress(self, group: str, topic: str) -> int:
        """How many events a group has committed; 0 while the broker does not know it."""
        try:
            return sum(self.committed(group, topic))
        except KafkaException:
            return 0

    def ends(self, topic: str) -> list[int]:
        """The end offset of each partition; zeros while the topic does not exist."""
        if topic not in self._admin.list_topics(timeout=TIMEOUT_S).topics:
            return [0] * self.partitions
        return _patiently(lambda: self._ends(topic))

    def _ends(self, topic: str) -> list[int]:
        wanted = {TopicPartition(topic, partition): _LATEST for partition in range(self.partitions)}
        found = self._admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED)
        ends = {place.partition: future.result(TIMEOUT_S).offset for place, future in found.items()}
        return [ends[partition] for partition in range(self.partitions)]

    def fill(
        self, topic: str, messages: Iterable[tuple[bytes, bytes]], tell: Tell, codec: str = "lz4"
    ) -> None:
        """Publish messages in order, murmur2 and compressed, and check that all of them arrived."""
        before, number = sum(self.ends(topic)), 0
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "partitioner": "murmur2_random",
                "compression.type": codec,
                "enable.idempotence": True,
                "linger.ms": 20,
                "batch.num.messages": 10_000,
                "queue.buffering.max.messages": 500_000,
                "log_level": 2,
            }
        )
        for number, (key, value) in enumerate(messages, start=1):
            while True:
                try:
                    producer.produce(topic, value, key)
                    break
                except BufferError:
                    producer.poll(0.05)
            if number % TELL_EVERY == 0:
                producer.poll(0)
                tell(number)
        producer.flush(PATIENCE_S)
        if (arrived := sum(self.ends(topic)) - before) != number:
            raise RuntimeError(f"{arrived} of {number} messages arrived in {topic}")

    def notification_ids(self, topic: str) -> Iterator[str]:
        """Give the id of every notification on a topic, read_committed, up to its present end."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "bench-reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
            }
        )
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(self.partitions)])
        unfinished = set(range(self.partitions))
        try:
            while unfinished:
                for message in consumer.consume(10_000, timeout=1.0):
                    value = message.value()
                    if message.error() is None and isinstance(value, bytes):
                        yield value[ID_AT].decode()
                    else:
                        unfinished.discard(message.partition() or 0)
        finally:
            consumer.close()


def _never_close(client: AdminClient | Consumer) -> None:
    """Leave a client open until the process ends, with one reference more than there is.

    librdkafka may wait for ever in closing one whose question about a group got no answer: a run of ten
    minutes was lost that way, with all of its figures measured.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))


def _patiently(act: Callable[[], Result]) -> Result:
    """Repeat until it works: deletions, departures and new leaders take the broker a moment."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            return act()
        except KafkaException:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(POLL_S)
