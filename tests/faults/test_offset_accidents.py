"""What operators do to offsets and topics, with Kafka's own tools: nothing is told twice, and what cannot be
mended is refused with its cure. Scenario S22.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.harness.cluster import Cluster, cluster, eventually, kafka_tool
from tests.harness.messages import Position, Record, grant_all, notifications, sent, transaction
from tests.harness.worker import Worker, notifier

pytestmark = pytest.mark.timeout(150)

SUBJECT, TOPIC, GROUP = "accident:1", "bank.transactions", "notifier"
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
RECORDS = "org.apache.kafka.tools.DeleteRecordsCommand"
TOPICS = "org.apache.kafka.tools.TopicCommand"


@pytest.fixture(params=["exactly_once", "at_least_once"])
def guarantee(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def at(tmp_path: Path, guarantee: str) -> Iterator[Cluster]:
    """Give a cluster whose worker has told five events and stopped."""
    with cluster(tmp_path / "kafka") as running:
        with Worker(running.bootstrap, tmp_path / "before.log", guarantee=guarantee) as worker:
            worker.wait_ready()
            grant_all(running, [SUBJECT])
            _send(running, "before", 5)
            eventually("five are told", lambda: len(_told(running)) == 5)
            assert worker.terminate() == 0
        yield running


def _send(at: Cluster, name: str, count: int) -> list[Position]:
    values = [transaction(SUBJECT, f"{name}-{number}") for number in range(count)]
    return sent(at.producer(), [Record(TOPIC, SUBJECT, value) for value in values])


def _told(at: Cluster) -> list[str]:
    return [str(one["source_event_id"]) for one in notifications(at)]


def _committed(at: Cluster, partition: int) -> int:
    """Return the group's offset in the topic, negative if there is none."""
    consumer = Consumer({"bootstrap.servers": at.bootstrap, "group.id": GROUP})
    try:
        offset: int = consumer.committed([TopicPartition(TOPIC, partition)], timeout=10)[0].offset
    finally:
        consumer.close()
    return offset


@pytest.mark.parametrize(
    "accident",
    [
        ("--delete", "--group", GROUP),
        ("--reset-offsets", "--group", GROUP, "--all-topics", "--to-earliest", "--execute"),
    ],
    ids=["deleted", "reset_to_earliest"],
)
def test_group_offsets_that_are_lost_repeat_nothing(
    at: Cluster, tmp_path: Path, guarantee: str, accident: tuple[str, ...]
) -> None:
    kafka_tool(at, GROUPS, *accident)
    with Worker(at.bootstrap, tmp_path / "after.log", guarantee=guarantee) as worker:
        worker.wait_ready()
        _send(at, "after", 1)
        eventually("the next event is told", lambda: "after-0" in _told(at))
        assert worker.terminate() == 0
    assert sorted(_told(at)) == ["after-0", *(f"before-{number}" for number in range(5))]


@pytest.mark.parametrize("guarantee", ["exactly_once"], indirect=True)
def test_group_offsets_that_are_lost_come_back_without_another_event(at: Cluster, tmp_path: Path) -> None:
    partition = at.read(TOPIC)[0].partition()
    before = _committed(at, partition)
    assert before > 0
    kafka_tool(at, GROUPS, "--delete", "--group", GROUP)
    with Worker(at.bootstrap, tmp_path / "after.log") as worker:
        worker.wait_ready()
        eventually("the offset is committed again", lambda: _committed(at, partition) == before)
        assert worker.terminate() == 0


def test_records_that_retention_deleted_unread_are_counted(
    at: Cluster, tmp_path: Path, guarantee: str
) -> None:
    last = _send(at, "unread", 7)[-1]
    (kept,) = _send(at, "kept", 1)
    place = {"topic": TOPIC, "partition": last.partition, "offset": kept.offset}
    wanted = tmp_path / "delete.json"
    wanted.write_text(json.dumps({"partitions": [place], "version": 1}))
    kafka_tool(at, RECORDS, "--offset-json-file", str(wanted))
    log = tmp_path / "after.log"
    with Worker(at.bootstrap, log, guarantee=guarantee) as worker:
        worker.wait_ready()
        eventually("what is left is told", lambda: "kept-0" in _told(at))
        assert worker.metric("notifier_lost_records_total", topic=TOPIC) == 7
        assert worker.terminate() == 0
    assert f"{TOPIC}-{last.partition}: 7 offsets up to {kept.offset} were deleted" in log.read_text()
    assert len(_told(at)) == 6


def test_a_topic_that_was_created_anew_is_refused_with_the_cure(
    at: Cluster, tmp_path: Path, guarantee: str
) -> None:
    kafka_tool(at, TOPICS, "--delete", "--topic", TOPIC)
    eventually(
        "the topic is there again",
        lambda: notifier("topics", "apply", "--kafka", at.bootstrap).returncode == 0,
    )
    with Worker(at.bootstrap, tmp_path / "after.log", guarantee=guarantee) as worker:
        assert worker.ended() == 4
        said = worker.log.read_text()
    assert f"topic {TOPIC} was deleted and created anew" in said
    assert "NOTIFIER_APP_ID" in said
    assert "Traceback" not in said


def test_a_topic_that_is_deleted_under_a_worker_ends_it(at: Cluster, tmp_path: Path, guarantee: str) -> None:
    with Worker(at.bootstrap, tmp_path / "after.log", guarantee=guarantee) as worker:
        worker.wait_ready()
        kafka_tool(at, TOPICS, "--delete", "--topic", TOPIC)
        assert worker.ended() == 4
        assert f"topic {TOPIC} was deleted, created anew or given other partitions" in worker.log.read_text()
