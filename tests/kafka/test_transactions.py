"""A transaction holds all or nothing, whatever aiokafka would make of it."""

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, TopicAuthorizationFailedError
from aiokafka.producer.transaction_manager import TransactionManager

from streams.errors import FencedError, OutcomeUnknownError
from streams.kafka.admin import apply_topics
from streams.kafka.broker import RunningBroker
from streams.kafka.transactions import TransactionalProducer
from streams.kafka.write_set import Slot, WriteSet
from streams.settings import Settings
from streams.wire.topics import CONSENT_STATE, DECISIONS

OVER_TOPIC_LIMIT = random.Random(1).randbytes(9 << 20)
OFFSET = TopicPartition(CONSENT_STATE, 0)


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


@pytest.fixture(scope="module")
def settings(broker: RunningBroker) -> Settings:
    """Settings of the session's broker, with the topics applied."""
    found = Settings.from_env({}, kafka=broker.bootstrap, app_id="transactions")
    asyncio.run(apply_topics(found))
    return found


def run(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story with a time limit."""
    asyncio.run(asyncio.wait_for(_quietly(story), 60))


async def _quietly(story: Callable[[], Awaitable[None]]) -> None:
    """Keep unread futures to ourselves: aiokafka leaves those of a fenced producer behind.

    asyncio would log them with tracebacks when they are collected, which may be while pytest parses a module:
    CPython 3.11 then fails with "AST constructor recursion depth mismatch".
    """
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    await story()


@pytest.mark.broker
def test_one_refused_batch_undoes_the_whole_transaction(settings: Settings) -> None:
    async def story() -> None:
        producer = TransactionalProducer(settings, "refused", 0)
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
def test_a_second_owner_fences_the_first(settings: Settings) -> None:
    async def story() -> None:
        first, second = (TransactionalProducer(settings, "fence", 0) for _ in range(2))
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


class SentAfterTheError(WriteSet):
    """Hands its batches over once the transaction has met an error elsewhere; aiokafka calls that illegal."""

    async def send(self, producer: AIOKafkaProducer) -> dict[Slot, int]:
        while producer._txn_manager.is_in_transaction():  # noqa: ASYNC110  # aiokafka has no event for it
            await asyncio.sleep(0)
        return await super().send(producer)


class RefusedFirst(WriteSet):
    """Meets an error that ends the transaction, not the producer, before its batches are handed over."""

    async def send(self, producer: AIOKafkaProducer) -> dict[Slot, int]:
        producer._txn_manager.error_transaction(TopicAuthorizationFailedError("t"))
        return await super().send(producer)


@pytest.mark.broker
def test_a_send_after_the_fence_was_met_by_the_offsets_is_a_fence_and_leaves_nothing_to_log(
    settings: Settings,
) -> None:
    async def story() -> None:
        logged: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
        first, second = (TransactionalProducer(settings, "late", 0) for _ in range(2))
        await first.open()
        await first.transact([writes(b"in time")], {OFFSET: 4}, settings.app_id)
        await second.open()
        late = SentAfterTheError()
        late.add(DECISIONS, 0, b"k", b"late zombie")
        with pytest.raises(FencedError) as raised:
            await first.transact([late], {OFFSET: 5}, settings.app_id)
        assert isinstance(raised.value.__cause__, IllegalOperation)
        await second.close()
        assert b"late zombie" not in await committed_values(settings)
        del first, second, raised
        gc.collect()
        await asyncio.sleep(0)
        assert logged == []

    run(story)


@pytest.mark.broker
def test_a_send_after_another_error_is_no_fence_and_is_named_by_that_error(settings: Settings) -> None:
    async def story() -> None:
        producer = TransactionalProducer(settings, "refused-first", 0)
        await producer.open()
        refused = RefusedFirst()
        refused.add(DECISIONS, 0, b"k", b"refused first")
        with pytest.raises(OutcomeUnknownError, match="TopicAuthorizationFailedError"):
            await producer.transact([refused], {OFFSET: 5}, settings.app_id)
        assert not producer.is_open
        assert b"refused first" not in await committed_values(settings)

    run(story)


@pytest.mark.broker
def test_a_producer_is_replaced_before_its_sequence_numbers_run_out(settings: Settings) -> None:
    async def story() -> None:
        producer = TransactionalProducer(settings, "sequence", 0, max_records=3)
        await producer.open()
        for number in range(4):
            await producer.transact(
                [writes(b"s%d-1" % number, b"s%d-2" % number)], {OFFSET: 9}, settings.app_id
            )
        assert producer.is_open
        assert producer.opened == 3
        await producer.close()
        assert sum(value.startswith(b"s") for value in await committed_values(settings)) == 8

    run(story)


def test_aiokafka_still_counts_sequence_numbers_below_zero() -> None:
    """Kafka goes on at 0 after 2^31 - 1; when this fails, `MAX_RECORDS` is no longer needed."""

    async def story() -> None:
        manager = TransactionManager("id", 1000)
        manager.set_pid_and_epoch(1, 0)
        tp = TopicPartition("t", 0)
        manager.increment_sequence_number(tp, 2**31 - 1)
        manager.increment_sequence_number(tp, 5)
        assert manager.sequence_number(tp) < 0

    run(story)
