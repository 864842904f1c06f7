"""A transaction holds all or nothing, whatever aiokafka would make of it."""

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.errors import FencedError, LateWriteError, OutcomeUnknownError
from streams.kafka.admin import apply_topics
from streams.kafka.broker import RunningBroker
from streams.kafka.transaction_requests import SEQUENCE_LIMIT, TransactionRequests
from streams.kafka.transactions import TransactionalProducer, _builder
from streams.kafka.write_set import Slot, Slotted, WriteSet
from streams.settings import Settings
from streams.wire.topics import CONSENT_STATE, DECISIONS

OVER_TOPIC_LIMIT = random.Random(1).randbytes(9 << 20)
SLOTS = [(DECISIONS, 0)]
OFFSET = TopicPartition(CONSENT_STATE, 0)
Make = Callable[[str], TransactionalProducer]


def writes(*values: bytes) -> WriteSet:
    """Return a write set of incompressible enough values for one partition."""
    found = WriteSet()
    for value in values:
        found.add(DECISIONS, 0, b"k", value)
    return found


async def committed_values(settings: Settings) -> list[bytes]:
    """Return what a read_committed consumer sees of the partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    try:
        tp = TopicPartition(DECISIONS, 0)
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end = (await consumer.end_offsets([tp]))[tp]
        values: list[bytes] = []
        while await consumer.position(tp) < end:
            fetched = (await consumer.getmany(tp, timeout_ms=300)).get(tp, [])
            values.extend(record.value[:20] for record in fetched)
        return values
    finally:
        await consumer.stop()


async def end_offset(settings: Settings) -> int:
    """Return the partition's end, markers included."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    await consumer.start()
    try:
        found: int = (await consumer.end_offsets([TopicPartition(DECISIONS, 0)]))[
            TopicPartition(DECISIONS, 0)
        ]
        return found
    finally:
        await consumer.stop()


@pytest.fixture(params=[1, 2], ids=["version 1", "version 2"])
def make(request: pytest.FixtureRequest, settings: Settings) -> Make:
    """Make a producer that uses no later `transaction.version`: older clusters have no other."""
    return lambda space: TransactionalProducer(
        settings, space, request.param, SLOTS, latest_version=request.param
    )


@pytest.fixture(scope="module")
def settings(broker: RunningBroker) -> Settings:
    """Settings of the session's broker, with the topics applied."""
    found = Settings.from_env({}, kafka=broker.bootstrap, app_id="transactions")
    asyncio.run(apply_topics(found))
    return found


def run(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story with a time limit."""
    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.broker
def test_one_refused_batch_undoes_the_whole_transaction(make: Make, settings: Settings) -> None:
    async def story() -> None:
        producer = make("refused")
        await producer.open()
        with pytest.raises(OutcomeUnknownError):
            await producer.transact(
                [writes(b"kept out"), writes(OVER_TOPIC_LIMIT)], {OFFSET: 1}, settings.app_id
            )
        assert not producer.is_open
        await producer.open()
        await producer.transact([writes(b"afterwards")], {OFFSET: 1}, settings.app_id)
        await producer.close()
        seen = await committed_values(settings)
        assert b"afterwards" in seen
        assert b"kept out" not in seen

    run(story)


@pytest.mark.broker
def test_a_second_owner_fences_the_first(make: Make, settings: Settings) -> None:
    async def story() -> None:
        first, second = (make("fence") for _ in range(2))
        await first.open()
        await second.open()
        with pytest.raises(FencedError):
            await first.transact([writes(b"zombie")], {OFFSET: 5}, settings.app_id)
        await second.transact([writes(b"owner")], {OFFSET: 6}, settings.app_id)
        await second.close()
        seen = await committed_values(settings)
        assert b"owner" in seen
        assert b"zombie" not in seen

    run(story)


@pytest.mark.broker
def test_a_fence_that_only_the_offsets_meet_is_a_fence_and_leaves_nothing_to_log(
    make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        logged: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
        first, second = (make("late") for _ in range(2))
        await first.open()
        await first.transact([writes(b"in time")], {OFFSET: 4}, settings.app_id)
        assert first._requests is not None
        added = first._requests.add_partitions

        async def add_and_lose(slots: Iterable[Slot]) -> None:
            await added(slots)
            await second.open()

        monkeypatch.setattr(first._requests, "add_partitions", add_and_lose)
        with pytest.raises(FencedError):
            await first.transact([writes(b"late zombie")], {OFFSET: 5}, settings.app_id)
        assert not first.is_open
        await second.close()
        assert b"late zombie" not in await committed_values(settings)
        gc.collect()
        await asyncio.sleep(0)
        assert logged == []

    run(story)


@pytest.mark.broker
def test_the_second_of_two_transactions_waits_for_the_markers_of_the_first(
    make: Make, settings: Settings
) -> None:
    async def story() -> None:
        producer = make("in a row")
        await producer.open()
        for number in range(50):
            await producer.transact([writes(b"row %d" % number)], {OFFSET: number}, settings.app_id)
        await producer.close()
        seen = await committed_values(settings)
        rows = [value for value in seen if value.startswith(b"row ")]
        assert rows[-50:] == [b"row %d" % n for n in range(50)]
        assert len(rows) % 50 == 0

    run(story)


@pytest.mark.broker
def test_batches_of_one_partition_are_written_in_order_and_the_last_end_is_told(
    make: Make, settings: Settings
) -> None:
    async def story() -> None:
        producer = make("large")
        await producer.open()
        large = [bytes([65 + number]) + random.Random(number).randbytes(700_000) for number in range(4)]
        ends = await producer.transact([writes(*large), writes(b"Z")], {OFFSET: 1}, settings.app_id)
        await producer.close()
        assert [value[:1] for value in (await committed_values(settings))[-5:]] == [
            b"A",
            b"B",
            b"C",
            b"D",
            b"Z",
        ]
        assert await end_offset(settings) == ends[DECISIONS, 0] + 1  # and the marker

    run(story)


@pytest.mark.broker
def test_batches_that_kafka_refuses_for_now_are_sent_again_and_written_once(settings: Settings) -> None:
    """It does while the transaction changes, here by the group that comes at the same time."""

    async def story() -> None:
        requests = TransactionRequests(settings, "for now", latest_version=1)
        await requests.start()
        for number in range(30):
            batches = list(writes(b"now %d" % number).batches(_builder, is_transactional=True))
            await requests.add_partitions([slot for slot, _ in batches])
            await asyncio.gather(requests.produce(batches), requests.add_group(settings.app_id))
            await requests.commit()
        await requests.close()
        seen = [value for value in await committed_values(settings) if value.startswith(b"now ")]
        assert seen == [b"now %d" % number for number in range(30)]

    run(story)


@pytest.mark.broker
@pytest.mark.parametrize(("latest", "is_new_epoch"), [(1, False), (2, True)])
def test_from_version_2_on_every_transaction_has_an_epoch_of_its_own(
    settings: Settings, latest: int, *, is_new_epoch: bool
) -> None:
    async def story() -> None:
        requests = TransactionRequests(settings, f"epoch {latest}", latest_version=latest)
        await requests.start()
        assert requests.version == latest, "the embedded cluster has the latest"
        before = requests._producer
        batches = list(writes(b"e").batches(_builder, is_transactional=True))
        await requests.add_partitions([slot for slot, _ in batches])
        await requests.produce(batches)
        await requests.commit()
        assert (requests._producer[1] > before[1]) == is_new_epoch
        await requests.close()

    run(story)


@pytest.mark.broker
def test_sequence_numbers_go_on_at_zero_after_the_largest(settings: Settings) -> None:
    async def story() -> None:
        producer = TransactionalProducer(
            settings, "sequence", 0, SLOTS, first_sequence=SEQUENCE_LIMIT - 3, latest_version=1
        )
        await producer.open()
        for number in range(4):
            await producer.transact(
                [writes(b"s%d-1" % number, b"s%d-2" % number)], {OFFSET: 9}, settings.app_id
            )
        assert producer.is_open
        await producer.close()
        assert sum(value.startswith(b"s") for value in await committed_values(settings)) == 8

    run(story)


@pytest.mark.broker
def test_a_transaction_that_is_too_long_for_its_time_is_given_up(
    make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        producer = make("slow")
        await producer.open()
        assert producer._requests is not None

        async def never(*_: object) -> None:
            await asyncio.Event().wait()

        producer._settings = replace(settings, transaction_timeout_ms=1000)
        monkeypatch.setattr(producer._requests, "commit_offsets", never)
        with pytest.raises(OutcomeUnknownError, match="TimeoutError"):
            await producer.transact([writes(b"too late")], {OFFSET: 1}, settings.app_id)
        assert not producer.is_open
        await producer.open()
        await producer.close()
        assert b"too late" not in await committed_values(settings)

    run(story)


@pytest.mark.broker
def test_what_is_not_written_in_time_is_not_committed_however_late_it_is_written(
    make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        producer = make("stale")
        await producer.open()
        requests = producer._requests
        assert requests is not None
        produce, written = requests.produce, asyncio.Event()

        async def late(batches: Iterable[Slotted]) -> dict[Slot, int]:
            try:
                return await asyncio.shield(asyncio.ensure_future(write(batches)))
            finally:
                await written.wait()

        async def write(batches: Iterable[Slotted]) -> dict[Slot, int]:
            await asyncio.sleep(0.3)
            try:
                return await produce(batches)
            finally:
                written.set()

        monkeypatch.setattr(requests, "produce", late)
        began = await end_offset(settings)
        with pytest.raises(LateWriteError):
            await producer.transact([writes(b"stale")], {OFFSET: 1}, settings.app_id, 0.1)
        assert not producer.is_open
        assert await end_offset(settings) > began, "it was written"
        await producer.open()
        await producer.transact([writes(b"fresh")], {OFFSET: 1}, settings.app_id, 10)
        await producer.close()
        seen = await committed_values(settings)
        assert b"fresh" in seen
        assert b"stale" not in seen

    run(story)
