"""Producers of other libraries and languages feed the worker, and their records come out."""

import base64
import subprocess
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Message

from streams.kafka.jars import compile_java, java_command
from streams.wire.partition import partition_of
from tests.harness.messages import acknowledged, reasons
from tests.interop.conftest import Stage, expected

pytestmark = [pytest.mark.broker, pytest.mark.interop, pytest.mark.timeout(180)]
TOPIC = "bank.transactions"


def test_a_librdkafka_producer_with_murmur2_feeds_the_worker(stage: Stage) -> None:
    subjects = stage.subjects("librdkafka", 200)
    before = stage.decided()
    acknowledged(stage.cluster.producer(partitioner="murmur2_random"), TOPIC, stage.events(subjects))
    stage.wait(before, 200)
    assert stage.told("librdkafka") == expected(subjects)


def test_a_java_producer_with_its_defaults_feeds_the_worker(stage: Stage, tmp_path: Path) -> None:
    subjects = stage.subjects("java", 200)
    before = stage.decided()
    compile_java(Path(__file__).parent / "java" / "Feed.java", tmp_path)
    lines = [
        f"{base64.b64encode(key.encode()).decode()} {base64.b64encode(value).decode()}\n"
        for key, value in stage.events(subjects)
    ]
    done = subprocess.run(
        java_command("Feed", stage.cluster.bootstrap, TOPIC, classes=[tmp_path]),
        input="".join(lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "200"), done.stderr
    stage.wait(before, 200)
    assert stage.told("java") == expected(subjects)


def test_records_of_a_crc32_producer_in_a_wrong_partition_are_rejected_as_misrouted(stage: Stage) -> None:
    subjects = stage.subjects("crc32", 80)
    placed: dict[str, int] = {}

    def note(_: KafkaError | None, message: Message) -> None:
        placed[bytes(message.key() or b"").decode()] = message.partition() or 0

    producer = stage.cluster.producer(partitioner="consistent_random")
    for half in (subjects[:40], subjects[40:]):
        before, rejected = stage.decided(), reasons(stage.cluster).get("REJECT MISROUTED", 0)
        for key, value in stage.events(half):
            producer.produce(TOPIC, value, key, on_delivery=note)
        assert producer.flush(30) == 0
        stage.wait(before, 40)
        found = reasons(stage.cluster).get("REJECT MISROUTED", 0) - rejected
        astray = [subject for subject in half if placed[subject] != partition_of(subject.encode(), 4)]
        assert len(astray) > 10
        # Of the first half one miss per fetched batch is looked at; a finding makes it look at every one.
        assert 1 <= found <= len(astray)
        if half[0] != subjects[0]:
            assert found == len(astray)
    home = [subject for subject in subjects if placed[subject] == partition_of(subject.encode(), 4)]
    assert stage.told("crc32") == expected(home), "told iff it came to the partition where its consent is"


@pytest.mark.parametrize("codec", ["lz4", "zstd", "snappy", "gzip"])
def test_input_compressed_with_each_codec_is_read(stage: Stage, codec: str) -> None:
    subjects = stage.subjects(codec, 100)
    before = stage.decided()
    # A linger that fills one batch: a batch of one record would not be worth compressing.
    producer = stage.cluster.producer(**{"compression.type": codec, "linger.ms": 200})
    acknowledged(producer, TOPIC, stage.events(subjects))
    stage.wait(before, 100)
    assert stage.told(codec) == expected(subjects)
