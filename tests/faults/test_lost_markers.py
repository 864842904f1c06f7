"""Kafka loses the end markers of a transaction: whatever of it a worker remembers, all is told once."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka
import pytest
from aiokafka import TopicPartition
from confluent_kafka import Consumer

from streams.kafka.write_set import WriteSet
from streams.settings import Settings
from tests.harness.cluster import Cluster, cluster, eventually, kafka_tool
from tests.harness.lost_markers import LAX, leave_open
from tests.harness.messages import Record, conserved, grant_all, notifications, sent, transaction
from tests.harness.worker import Worker

pytestmark = pytest.mark.timeout(150)

SUBJECT, TOPIC = "marker:1", "bank.transactions"
TRANSACTIONS = "org.apache.kafka.tools.TransactionsCommand"
OUTPUTS = ("messenger-delivery", "notifier.decisions", "notifier.state")


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path / "kafka", properties=LAX) as running:
        yield running


def _send(at: Cluster, *names: str) -> int:
    values = [transaction(SUBJECT, name) for name in names]
    return sent(at.producer(), [Record(TOPIC, SUBJECT, value) for value in values])[-1].partition


def _told(at: Cluster) -> list[str]:
    return sorted(str(one["source_event_id"]) for one in notifications(at))


def _copies(at: Cluster, partition: int) -> list[WriteSet]:
    """Return what the last transaction wrote to this partition number's topics, once more."""
    found = []
    for topic in OUTPUTS:
        last = [one for one in at.read(topic) if topic == OUTPUTS[0] or one.partition() == partition][-1]
        copy = WriteSet()
        copy.add(topic, last.partition(), last.key(), last.value())
        found.append(copy)
    return found


def test_a_worker_that_takes_over_aborts_what_nobody_has_seen(at: Cluster, tmp_path: Path) -> None:
    with Worker(at.bootstrap, tmp_path / "before.log") as worker:
        worker.wait_ready()
        grant_all(at, [SUBJECT])
        partition = _send(at, "one", "two")
        eventually("two are told", lambda: len(_told(at)) == 2)
        assert worker.terminate() == 0
    _send(at, "three")
    settings = Settings.from_env({}, kafka=at.bootstrap)
    name = f"{settings.app_id}.subject.{partition}"
    lost = {TopicPartition(TOPIC, partition): 3}
    asyncio.run(leave_open(settings, name, _copies(at, partition), lost))
    log = tmp_path / "after.log"
    with Worker(at.bootstrap, log) as worker:
        worker.wait_ready()
        eventually("the third is told", lambda: len(_told(at)) == 3)
        _send(at, "four")
        eventually("the fourth is told", lambda: len(_told(at)) == 4)
        assert worker.terminate() == 0
    assert _told(at) == ["four", "one", "three", "two"]
    assert conserved(at)["violations"] == []
    said = log.read_text()
    assert f"partition number {partition}: Kafka lost end markers of a transaction (" in said
    assert "notifier.state" in said
    assert "Traceback" not in said


def test_what_is_half_committed_waits_for_a_person(at: Cluster, tmp_path: Path) -> None:
    with Worker(at.bootstrap, tmp_path / "before.log") as worker:
        worker.wait_ready()
        grant_all(at, [SUBJECT])
        partition = _send(at, "one")
        eventually("it is told", lambda: len(_told(at)) == 1)
        assert worker.terminate() == 0
    _send(at, "two")
    settings = Settings.from_env({}, kafka=at.bootstrap)
    asyncio.run(leave_open(settings, f"{settings.app_id}.subject.{partition}", _copies(at, partition), {}))
    _commit(at, partition, 2)
    log = tmp_path / "after.log"
    with Worker(at.bootstrap, log) as worker:
        eventually("it is refused", lambda: "yet its offsets are committed" in log.read_text())
        assert _told(at) == ["one"]
        for topic, number, start in _hanging(at):
            where = ("--topic", topic, "--partition", str(number), "--start-offset", str(start))
            kafka_tool(at, TRANSACTIONS, "abort", *where)
        worker.wait_ready()
        _send(at, "three")
        eventually("the next is told", lambda: len(_told(at)) == 2)
        assert worker.terminate() == 0
    assert _told(at) == ["one", "three"], "two counted as done"


def _commit(at: Cluster, partition: int, offset: int) -> None:
    """Set the group's offset, as if the transaction had been committed there."""
    consumer = Consumer({"bootstrap.servers": at.bootstrap, "group.id": "notifier"})
    where = confluent_kafka.TopicPartition(TOPIC, partition, offset)
    consumer.commit(offsets=[where], asynchronous=False)
    consumer.close()


def _hanging(at: Cluster) -> list[tuple[str, int, int]]:
    """Return topic, partition and first offset of each transaction that Kafka's tool takes for hanging."""
    asked = ("find-hanging", "--broker-id", "1", "--max-transaction-timeout", "0")
    rows = [line.split() for line in kafka_tool(at, TRANSACTIONS, *asked).splitlines()]
    head = rows[0]
    found = [dict(zip(head, row, strict=False)) for row in rows[1:] if len(row) >= len(head)]
    return [(row["Topic"], int(row["Partition"]), int(row["StartOffset"])) for row in found]
