"""End markers that Kafka lost are seen before anything is written behind them."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError

from streams.errors import LateWriteError, OutcomeUnknownError
from streams.kafka.admin import apply_topics
from streams.kafka.broker import RunningBroker, start_broker
from streams.kafka.positions import GroupOffsets
from streams.kafka.transaction_traces import Trace
from streams.kafka.transactions import TransactionalProducer, _builder
from streams.kafka.write_set import Slot, WriteSet
from streams.settings import Settings
from streams.wire.topics import BANK_TRANSACTIONS, DECISIONS, NOTIFIER_STATE
from tests.harness.lost_markers import LAX, leave_open

pytestmark = pytest.mark.broker
PARTITION = 3
INPUT = TopicPartition(BANK_TRANSACTIONS, PARTITION)
SLOTS = [(DECISIONS, PARTITION), (NOTIFIER_STATE, PARTITION)]


@pytest.fixture(scope="module")
def lax(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    with start_broker(tmp_path_factory.mktemp("lax"), partitions=4, properties=LAX) as running:
        yield running


@pytest.fixture
def settings(lax: RunningBroker, request: pytest.FixtureRequest) -> Settings:
    """Settings with a group and transactional ids of this test's own."""
    found = Settings.from_env({}, kafka=lax.bootstrap)
    asyncio.run(apply_topics(found))
    return replace(found, app_id=re.sub(r"\W", "-", request.node.name)[:80])


def writes(topic: str, value: bytes) -> WriteSet:
    found = WriteSet()
    found.add(topic, PARTITION, b"k", value)
    return found


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 60))


async def visible(settings: Settings, topic: str) -> list[bytes]:
    """Return what a read_committed consumer sees of the partition, up to the last stable offset."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    try:
        tp = TopicPartition(topic, PARTITION)
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end = (await consumer.end_offsets([tp]))[tp]
        found: list[bytes] = []
        while await consumer.position(tp) < end:
            found += [record.value for record in (await consumer.getmany(tp, timeout_ms=300)).get(tp, [])]
        return found
    finally:
        await consumer.stop()


async def committed(settings: Settings) -> dict[str, int] | None:
    offsets = GroupOffsets(settings, settings.app_id)
    await offsets.start()
    try:
        return await offsets.committed([BANK_TRANSACTIONS], PARTITION)
    finally:
        await offsets.stop()


def producer(
    settings: Settings, latest_version: int = 2, slots: Sequence[Slot] = SLOTS
) -> TransactionalProducer:
    return TransactionalProducer(settings, "subject", PARTITION, slots, latest_version=latest_version)


def outcome(owner: TransactionalProducer) -> bool | None:
    return owner.was_committed


async def initialised_by_another(settings: Settings) -> None:
    other = producer(settings)
    await other.open()
    await other.close()


def test_what_the_next_transaction_would_have_committed_is_found_and_aborted(settings: Settings) -> None:
    name = f"{settings.app_id}.subject.{PARTITION}"

    async def story() -> None:
        owner = producer(settings)
        await owner.open()
        await owner.transact(
            [writes(DECISIONS, b"1"), writes(NOTIFIER_STATE, b"1")], {INPUT: 1}, settings.app_id
        )
        await owner.open()
        assert await owner.unfinished() == {}
        await owner.close()
        await leave_open(
            settings, name, [writes(DECISIONS, b"lost"), writes(NOTIFIER_STATE, b"lost")], {INPUT: 2}
        )
        owner = producer(settings)
        await owner.open()
        assert owner.was_committed is None, "Kafka forgot it when the id was initialised"
        left = await owner.unfinished()
        assert set(left) == set(SLOTS)
        assert await committed(settings) is None
        await owner.finish(left, settings.app_id)
        assert not owner.is_open
        await owner.open()
        assert await owner.unfinished() == {}
        assert await committed(settings) == {BANK_TRANSACTIONS: 1}
        await owner.transact(
            [writes(DECISIONS, b"2"), writes(NOTIFIER_STATE, b"2")], {INPUT: 2}, settings.app_id
        )
        await owner.close()
        assert (await visible(settings, DECISIONS))[-2:] == [b"1", b"2"]
        assert (await visible(settings, NOTIFIER_STATE))[-2:] == [b"1", b"2"]

    run(story)


def test_if_nobody_looks_the_next_transaction_commits_it(settings: Settings) -> None:
    """Which is why somebody must: the fault is Kafka's, and this says when it is gone."""

    async def story() -> None:
        await leave_open(settings, f"{settings.app_id}.subject.{PARTITION}", [writes(DECISIONS, b"lost")], {})
        owner = producer(settings)
        await owner.open()
        await owner.transact([writes(DECISIONS, b"next")], {INPUT: 1}, settings.app_id)
        await owner.close()
        assert (await visible(settings, DECISIONS))[-2:] == [b"lost", b"next"]

    run(story)


def test_offsets_alone_may_be_what_is_unfinished(settings: Settings) -> None:
    async def story() -> None:
        owner = producer(settings)
        await owner.open()
        await owner.transact([writes(DECISIONS, b"o")], {INPUT: 5}, settings.app_id)
        await owner.close()
        await leave_open(settings, f"{settings.app_id}.subject.{PARTITION}", [], {INPUT: 6})
        owner = producer(settings)
        await owner.open()
        assert await owner.unfinished() == {}
        assert await committed(settings) is None
        await owner.finish([], settings.app_id)
        assert await committed(settings) == {BANK_TRANSACTIONS: 5}

    run(story)


@pytest.mark.parametrize("latest_version", [1, 2])
def test_a_transaction_that_ended_elsewhere_is_left_to_a_person(
    settings: Settings, latest_version: int
) -> None:
    async def story() -> None:
        owner = producer(settings, latest_version)
        name = f"{settings.app_id}.subject.{PARTITION}"
        await leave_open(
            settings, name, [writes(DECISIONS, b"torn")], {}, ended=[writes(NOTIFIER_STATE, b"torn")]
        )
        await initialised_by_another(settings)
        await owner.open()
        with pytest.raises(
            OutcomeUnknownError, match=r"notifier.decisions-3 from offset \d+ on, while notifier.state-3"
        ):
            await owner.unfinished()
        await owner.finish(SLOTS[:1], settings.app_id)

    run(story)


@pytest.mark.parametrize("looks", [1, 3])
def test_a_transaction_that_the_coordinator_remembers_ends_as_it_did(settings: Settings, looks: int) -> None:
    name = f"{settings.app_id}.subject.{PARTITION}"

    async def story() -> None:
        await leave_open(
            settings, name, [writes(DECISIONS, b"late")], {INPUT: 7}, ended=[writes(NOTIFIER_STATE, b"late")]
        )
        owner = producer(settings)
        for _ in range(looks):
            await owner.open()
        assert owner.was_committed is True
        left = await owner.unfinished()
        assert await committed(settings) is None
        await owner.finish(left, settings.app_id)
        await owner.open()
        assert await owner.unfinished() == {}
        assert (await visible(settings, DECISIONS))[-1] == b"late"
        assert await committed(settings) == {BANK_TRANSACTIONS: 7}
        await owner.close()

    run(story)


def test_what_was_under_way_counts_as_aborted_and_a_new_transaction_as_unknown(settings: Settings) -> None:
    async def story() -> None:
        first = producer(settings)
        await first.open()
        assert outcome(first) is None, "nobody has used the id before"
        await first.transact([writes(DECISIONS, b"x")], {INPUT: 1}, settings.app_id)
        assert first._requests is not None
        await first._requests.produce(writes(DECISIONS, b"y").batches(_builder, is_transactional=True))
        await first.close()
        owner = producer(settings)
        await owner.open()
        assert outcome(owner) is False
        await owner.transact([writes(DECISIONS, b"z")], {INPUT: 1}, settings.app_id)
        assert outcome(owner) is None
        await owner.open()
        assert outcome(owner) is True
        for _ in range(2):
            await initialised_by_another(settings)
        await owner.open()
        assert outcome(owner) is None, "others had the id meanwhile, perhaps with transactions"
        assert (await visible(settings, DECISIONS))[-2:] == [b"x", b"z"]
        await owner.close()

    run(story)


def test_what_never_reached_the_other_partitions_is_aborted(settings: Settings) -> None:
    async def story() -> None:
        owner = producer(settings)
        await owner.open()
        await owner.transact(
            [writes(DECISIONS, b"a"), writes(NOTIFIER_STATE, b"a")], {INPUT: 1}, settings.app_id
        )
        await owner.close()
        await leave_open(settings, f"{settings.app_id}.subject.{PARTITION}", [writes(DECISIONS, b"half")], {})
        owner = producer(settings)
        await owner.open()
        left = await owner.unfinished()
        assert set(left) == {(DECISIONS, PARTITION)}
        await owner.finish(left, settings.app_id)
        assert (await visible(settings, DECISIONS))[-1] == b"a"

    run(story)


@pytest.mark.parametrize(
    ("request_name", "error", "said"),
    [
        ("traces", KafkaTimeoutError(), "KafkaTimeoutError for what is unfinished"),
        ("traces", TopicAuthorizationFailedError("notifier.decisions-3"), "grant the right to read"),
        ("mark", KafkaTimeoutError(), "KafkaTimeoutError while it is finished"),
    ],
)
def test_without_an_answer_nobody_knows(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, request_name: str, error: Exception, said: str
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise error

    async def look_and_abort(owner: TransactionalProducer) -> None:
        await owner.finish(await owner.unfinished(), settings.app_id)

    async def story() -> None:
        owner = producer(settings)
        with pytest.raises(OutcomeUnknownError, match="not open"):
            await owner.unfinished()
        await owner.open()
        monkeypatch.setattr(owner._requests, request_name, refuse)
        with pytest.raises(OutcomeUnknownError, match=said):
            await look_and_abort(owner)
        await owner.close()

    run(story)


def test_a_partition_without_a_leader_stays_in_doubt_and_stops_no_other(settings: Settings) -> None:
    async def story() -> None:
        owner = producer(settings, slots=[*SLOTS, (DECISIONS, 99)])
        await owner.open()
        assert await owner.unfinished() == {}
        assert owner._requests is not None
        assert owner._requests.is_in_doubt
        assert await owner.is_whole(), "as far as it is known"
        await owner.transact([writes(DECISIONS, b"1")], {INPUT: 1}, settings.app_id)
        assert owner._requests.is_in_doubt, "asked again, and still without one"
        await owner.close()

    run(story)


def test_what_was_lost_is_seen_once_a_connection_broke_and_not_asked_for_before(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_answer(*_: object) -> None:
        raise KafkaTimeoutError

    async def story() -> None:
        owner = producer(settings)
        await owner.open()
        await owner.transact([writes(DECISIONS, b"1")], {INPUT: 1}, settings.app_id)
        await owner.open()  # Kafka has answered before it wrote the end markers; this waits for them
        assert owner._requests is not None
        with monkeypatch.context() as patch:
            patch.setattr(owner._requests, "traces", no_answer)
            assert await owner.is_whole(), "its connections stand"
            connection = next(iter(owner._requests._connections))
            connection.close()
            assert await owner.is_whole(), "nobody answers"
        assert await owner.is_whole()
        assert not owner._requests.has_lost_connection()
        await leave_open_beside(owner)
        assert await owner.is_whole(), "its connections stand"
        next(iter(owner._requests._connections)).close()
        assert not await owner.is_whole()
        with pytest.raises(OutcomeUnknownError, match="UnfinishedTransactionError in a transaction"):
            await owner.transact([writes(DECISIONS, b"2")], {INPUT: 2}, settings.app_id)
        assert not owner.is_open

    run(story)


async def leave_open_beside(owner: TransactionalProducer) -> None:
    """Write what gets no end marker by this producer itself."""
    requests = owner._requests
    assert requests is not None
    latest, requests.version = requests.version, 1
    await requests.produce(writes(DECISIONS, b"lost").batches(_builder, is_transactional=True))
    requests.version = latest


def test_the_look_counts_against_the_time_to_write(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        owner = producer(settings)
        await owner.open()
        await owner.transact([writes(DECISIONS, b"1")], {INPUT: 1}, settings.app_id)
        assert owner._requests is not None
        look = owner._requests.traces

        async def late(slots: Collection[Slot]) -> dict[Slot, Trace]:
            await asyncio.sleep(1)
            return await look(slots)

        monkeypatch.setattr(owner._requests, "traces", late)
        next(iter(owner._requests._connections)).close()
        with pytest.raises(LateWriteError):
            await owner.transact([writes(DECISIONS, b"too late")], {INPUT: 2}, settings.app_id, 0.3)
        assert b"too late" not in await visible(settings, DECISIONS)

    run(story)
