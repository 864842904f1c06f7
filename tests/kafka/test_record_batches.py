"""aiokafka hands out columns, with its own filter for aborted transactions and control records."""

import subprocess
import sys

import pytest

from streams.kafka.broker import RunningBroker
from tests.harness.cluster import Cluster

SCRIPT = """
import asyncio, sys, time
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
if sys.argv.pop() == "plain":
    sys.modules["numba"] = None
from streams.kafka.record_batches import install
install()

async def main(bootstrap, topic, codec):
    options, started_ms = {"bootstrap_servers": bootstrap}, time.time() * 1000 - 1
    producer = AIOKafkaProducer(**options, transactional_id=topic, compression_type=codec or None)
    await producer.start()
    for number in range(4):
        await producer.begin_transaction()
        one = {"value": b"%d" % number, "key": b"k", "partition": 0, "headers": [("h", b"x")]}
        sends = [await producer.send(topic, **one) for _ in range(50)]
        await asyncio.gather(*sends)
        await (producer.abort_transaction() if number % 2 else producer.commit_transaction())
    await producer.stop()
    consumer = AIOKafkaConsumer(**options, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    tp = TopicPartition(topic, 0)
    consumer.assign([tp])
    consumer.seek(tp, 5)
    end = (await consumer.end_offsets([tp]))[tp]
    position, values, batches = 5, [], []
    while position < end:
        for batch in (await consumer.getmany(tp, timeout_ms=500)).get(tp, []):
            assert batch.position == position
            batches.append(batch)
            columns = (batch.keys, batch.values, batch.offsets, batch.headers, batch.timestamps_ms)
            assert {len(column) for column in columns} == {len(batch)}
            position = batch.next_offset
            values += batch.values
            for index in range(len(batch)):
                assert (batch.key(index), batch.header(index, "h")) == (b"k", b"x")
                assert batch.has_headers(index)
                assert batch.offset(index) == batch.offsets[index] >= 5
                assert batch.value(index) == batch.values[index]
                assert batch.timestamp_ms(index) == batch.timestamps_ms[index] > started_ms
    await consumer.stop()
    print(*{type(batch).__name__ for batch in batches})
    print(position == end, values.count(b"0"), values.count(b"1"), values.count(b"2"), values.count(b"3"))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.broker
@pytest.mark.parametrize("codec", ["", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize(("kind", "classes"), [("plain", {"RecordBatch"}), ("raw", {"RawRecordBatch"})])
def test_columns_skip_aborted_records_and_reach_the_end_of_the_log(
    broker: RunningBroker, codec: str, kind: str, classes: set[str]
) -> None:
    topic = f"columns-{kind}-{codec or 'none'}"
    Cluster(broker, 1).create(topic)
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, broker.bootstrap, topic, codec, kind],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    used, *counts = run.stdout.splitlines() or [""]
    assert set(used.split()) - {"RecordBatch"} == classes - {"RecordBatch"}, run.stderr
    assert counts == ["True 45 0 50 0"], run.stderr
