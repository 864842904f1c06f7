"""What was encoded elsewhere is read back as it went in, by aiokafka's reader and by librdkafka's."""

import asyncio
import random
import struct
import subprocess
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder, MessageBatch
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.structs import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.kafka.broker import RunningBroker
from streams.kafka.committers.at_least_once import producer_options
from streams.kafka.compression import Packed, pack
from streams.kafka.encoded_batch import EncodedBatch
from streams.kafka.transaction_protocol import finalized
from streams.kafka.transaction_requests import TransactionRequests
from streams.kafka.write_set import BATCH_BYTES, WriteSet
from streams.settings import Settings
from streams.wire.varint import write_bytes, write_long
from tests.harness.cluster import Cluster

NOW_MS = 1_700_000_000_123
NULL = write_long(-1)
Row = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]

some_bytes = st.none() | st.binary(max_size=200)
rows = st.lists(
    st.tuples(some_bytes, some_bytes, st.lists(st.tuples(st.text(max_size=5), some_bytes), max_size=3)),
    min_size=1,
    max_size=30,
)


def encode(records: Sequence[Row]) -> bytes:
    out = b""
    for delta, (key, value, headers) in enumerate(records):
        body = b"\0" + write_long(0) + write_long(delta)
        body += b"".join(NULL if part is None else write_bytes(part) for part in (key, value))
        body += write_long(len(headers))
        for name, part in headers:
            body += write_bytes(name.encode()) + (NULL if part is None else write_bytes(part))
        out += write_bytes(body)
    return out


def packed(records: Sequence[Row]) -> Packed:
    return pack(memoryview(encode(records)))


def values(first: int, count: int) -> Packed:
    return packed([(b"k", b"%d" % number, [("h", b"x")]) for number in range(first, first + count)])


@settings(deadline=None)
@given(rows, st.booleans(), st.integers(0, 1 << 40))
def test_encoded_records_are_read_back(records: list[Row], is_transactional: bool, producer_id: int) -> None:
    batch = EncodedBatch(packed(records), len(records), NOW_MS, is_transactional=is_transactional)
    batch._set_producer_state(producer_id, 7, 99)
    built = batch._build()
    read = DefaultRecordBatch(bytes(built))
    assert read.validate_crc()
    assert (read.is_transactional, read.is_control_batch, read.magic) == (is_transactional, False, 2)
    assert (read.producer_id, read.producer_epoch, read.base_sequence) == (producer_id, 7, 99)
    assert (read.base_offset, read.last_offset_delta) == (0, len(records) - 1)
    assert (read.first_timestamp, read.max_timestamp) == (NOW_MS, NOW_MS)
    assert struct.unpack_from(">i", built, 8)[0] == len(built) - 12
    found = [(record.key, record.value, list(record.headers)) for record in read]
    assert found == records


def test_the_bytes_are_those_of_aiokafkas_own_builder() -> None:
    records: list[Row] = [(b"k%d" % number, b"some value" * 9, [("h", None)]) for number in range(50)]
    theirs = BatchBuilder(1 << 20, 0, is_transactional=True)
    for key, value, headers in records:
        theirs.append(timestamp=NOW_MS, key=key, value=value, headers=headers)
    theirs._set_producer_state(5, 6, 7)
    ours = EncodedBatch(packed(records), 50, NOW_MS, is_transactional=True)
    ours._set_producer_state(5, 6, 7)
    theirs_built, ours_built = bytes(theirs._build()), bytes(ours._build())
    assert (theirs_built[22], ours_built[22]) == (16, 16 | 3)
    assert len(ours_built) < len(theirs_built)
    for known in (slice(8), slice(12, 17), slice(23, 61)):  # all but size, checksum and codec
        assert ours_built[known] == theirs_built[known]


def test_what_lz4_does_not_make_smaller_is_sent_as_it_is() -> None:
    records: list[Row] = [(None, random.Random(1).randbytes(500), [])]
    batch = EncodedBatch(packed(records), 1, NOW_MS, is_transactional=False)
    assert bytes(batch._build()[61:]) == encode(records)
    assert batch._build()[22] == 0


def test_a_retry_sends_the_batch_that_was_built() -> None:
    async def story() -> None:
        batch = EncodedBatch(values(0, 3), 3, NOW_MS, is_transactional=True)
        sending = MessageBatch(TopicPartition("t", 0), batch, ttl=1, linger_time=10)
        sending.set_producer_state(1, 2, 3)
        sending.drain_ready()
        first = sending.get_data_buffer()
        sending.reset_drain()
        sending.drain_ready()
        assert sending.get_data_buffer() is first
        assert batch.size() == len(first)
        with pytest.raises(AssertionError):
            batch._set_producer_state(1, 2, 6)

    asyncio.run(story())


def test_it_is_closed_and_counts_its_records() -> None:
    async def story() -> None:
        batch = EncodedBatch(values(0, 3), 3, NOW_MS, is_transactional=False)
        sending = MessageBatch(TopicPartition("t", 0), batch, ttl=1, linger_time=10)
        assert sending.append(b"k", b"v", None) is None
        assert sending.remaining_linger() is None
        assert (sending.record_count, sending.is_empty()) == (3, False)
        assert batch.size() == 61 + len(values(0, 3).data)
        batch.close()
        assert batch.closed()

    asyncio.run(story())


def test_without_the_extra_fast_the_checksum_is_the_same() -> None:
    script = (
        "import sys; sys.modules['crc32c'] = None\n"
        "from streams.kafka.checksum import checksum\n"
        "assert checksum.__code__.co_names[0] == 'calc_crc32c'\n"
        "print(*(checksum(kind(b'123456789')) for kind in (bytes, bytearray, memoryview)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.stdout.split() == [str(0xE3069283)] * 3, run.stderr


def test_a_write_set_counts_encoded_records() -> None:
    writes = WriteSet()
    writes.add("t", 0, b"k", b"v")
    writes.add_encoded("t", 0, values(0, 5), 5, NOW_MS)
    assert len(writes) == 6


def plain_builder() -> BatchBuilder:
    return BatchBuilder(BATCH_BYTES, 0, is_transactional=True)


@given(rows, st.lists(st.tuples(some_bytes, some_bytes), max_size=5))
def test_plain_records_join_encoded_ones_that_are_not_packed(
    encoded: list[Row], later: list[tuple[bytes | None, bytes | None]]
) -> None:
    writes = WriteSet()
    writes.add_encoded("t", 0, encode(encoded), len(encoded), NOW_MS)
    for key, value in later:
        writes.add("t", 0, key, value, [("h", b"x")])
    ((_, batch),) = writes.batches(plain_builder, is_transactional=True)
    assert batch.record_count() == len(encoded) + len(later)
    found = [(row.key, row.value, row.headers) for row in DefaultRecordBatch(bytes(batch._build()))]
    assert found == [*encoded, *((key, value, [("h", b"x")]) for key, value in later)]


def test_what_finds_no_room_beside_encoded_records_gets_a_batch_of_its_own() -> None:
    writes = WriteSet()
    large: list[Row] = [(b"k", bytes(BATCH_BYTES - 100), [])]
    writes.add_encoded("t", 0, encode(large), 1, NOW_MS)
    writes.add("t", 0, b"k", bytes(50))
    writes.add("t", 0, b"k", bytes(50))
    writes.add_encoded("t", 0, encode(large), 1, NOW_MS)
    counts = [batch.record_count() for _, batch in writes.batches(plain_builder, is_transactional=True)]
    assert counts == [2, 1, 1]


def test_encoded_records_that_follow_each_other_stay_batches_of_their_own() -> None:
    writes = WriteSet()
    for first in (b"1", b"2"):
        writes.add_encoded("t", 0, encode([(first, b"v", [])]), 1, NOW_MS)
    found = [batch for _, batch in writes.batches(plain_builder, is_transactional=True)]
    keys = [[row.key for row in DefaultRecordBatch(bytes(batch._build()))] for batch in found]
    assert keys == [[b"1"], [b"2"]]


def test_a_broker_that_finalizes_no_feature_has_none() -> None:
    assert finalized(SimpleNamespace(tags={})) == {}


# -- with a broker -----------------------------------------------------------------------------------------


async def write_in_transaction(
    settings: Settings, name: str, writes: WriteSet, *, is_kept: bool
) -> dict[tuple[str, int], int]:
    """Write with a producer of its own; what is not kept is undone by the next one's start."""
    requests = TransactionRequests(settings, name)
    await requests.start()
    try:
        batches = list(
            writes.batches(lambda: BatchBuilder(1 << 20, 0, is_transactional=True), is_transactional=True)
        )
        await requests.add_partitions({slot: None for slot, _ in batches})
        ends = await requests.produce(batches)
        if is_kept:
            await requests.commit()
        return ends
    finally:
        await requests.close()


@pytest.mark.broker
@pytest.mark.parametrize("kind", ["plain", "idempotent", "transactional"])
def test_encoded_batches_arrive_in_the_order_in_which_they_were_added(
    broker: RunningBroker, kind: str
) -> None:
    topic = f"encoded-{kind}-{uuid4().hex[:6]}"
    cluster = Cluster(broker, 2)
    cluster.create(topic)

    def write(first: int) -> WriteSet:
        writes = WriteSet()
        writes.add(topic, 0, b"k", b"%d" % first, [("h", b"x")])
        writes.add_encoded(topic, 0, values(first + 1, 3), 3, NOW_MS)
        writes.add_encoded(topic, 0, values(first + 4, 2000), 2000, NOW_MS)
        writes.add_encoded(topic, 1, values(first, 2), 2, NOW_MS)
        writes.add(topic, 0, b"k", b"%d" % (first + 2004), [("h", b"x")])
        writes.add(topic, 0, b"k", b"%d" % (first + 2005), [("h", b"x")])
        return writes

    async def story() -> list[dict[tuple[str, int], int]]:
        settings = Settings.from_env({}, kafka=broker.bootstrap, app_id="encoded")
        if kind == "transactional":
            return [
                await write_in_transaction(settings, topic, write(first), is_kept=is_kept)
                for first, is_kept in ((0, True), (5000, False), (2006, True))
            ]
        producer = AIOKafkaProducer(**producer_options(settings), enable_idempotence=kind != "plain")
        await producer.start()
        try:
            return [await write(first).send(producer) for first in (0, 5000, 2006)]
        finally:
            await producer.stop()

    ends = asyncio.run(asyncio.wait_for(story(), 60))
    one, marker = 2006, int(kind == "transactional")
    assert [found[topic, 0] for found in ends] == [one, 2 * one + marker, 3 * one + 2 * marker]
    assert [found[topic, 1] for found in ends] == [2, 4 + marker, 6 + 2 * marker]
    read = [message for message in cluster.read(topic) if message.partition() == 0]
    firsts = (0, 2006) if kind == "transactional" else (0, 5000, 2006)
    numbers = [number for first in firsts for number in range(first, first + one)]
    assert [message.value() for message in read] == [b"%d" % number for number in numbers]
    assert {message.key() for message in read} == {b"k"}
    assert all(message.headers() == [("h", b"x")] for message in read)
    assert [message.offset() for message in read[:one]] == list(range(one))
    assert read[-1].offset() == ends[-1][topic, 0] - 1
    assert {message.timestamp()[1] for message in read[1:2004]} == {NOW_MS}
