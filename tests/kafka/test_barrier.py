"""High watermarks are observed after they were asked for, count open transactions, and failures are told."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    LeaderNotAvailableError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
)

from streams.kafka.admin import apply_topics
from streams.kafka.barrier import IN_FLIGHT, HighWatermarks
from streams.kafka.broker import RunningBroker
from streams.settings import Settings
from streams.wire.topics import CONSENT_REQUESTS

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def settings(broker: RunningBroker) -> Settings:
    found = Settings.from_env({}, kafka=broker.bootstrap, app_id="barrier")
    asyncio.run(apply_topics(found))
    return found


def run(settings: Settings, story: Callable[[HighWatermarks, AIOKafkaProducer], Awaitable[None]]) -> None:
    async def whole() -> None:
        marks = HighWatermarks(settings)
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id="barrier-test")
        await marks.start()
        await producer.start()
        try:
            await story(marks, producer)
        finally:
            await producer.stop()
            await marks.stop()

    asyncio.run(asyncio.wait_for(whole(), 60))


async def append(producer: AIOKafkaProducer, partition: int) -> int:
    """Append one record in the open transaction; return where the partition ends now."""
    sent = await producer.send_and_wait(CONSENT_REQUESTS, b"v", b"k", partition=partition)
    return int(sent.offset) + 1


def test_records_of_an_open_transaction_count_at_once(settings: Settings) -> None:
    async def story(marks: HighWatermarks, producer: AIOKafkaProducer) -> None:
        await producer.begin_transaction()
        for _ in range(20):
            end = await append(producer, 0)
            assert await marks.of(0) == end
        await producer.abort_transaction()

    run(settings, story)


def test_many_askers_get_the_mark_of_their_own_partition_not_older_than_their_question(
    settings: Settings,
) -> None:
    async def story(marks: HighWatermarks, producer: AIOKafkaProducer) -> None:
        async def ask(partition: int) -> None:
            for _ in range(15):
                end = await append(producer, partition)
                assert await marks.of(partition) == end

        await producer.begin_transaction()
        await asyncio.gather(*(ask(partition) for partition in range(settings.partitions)))
        await producer.abort_transaction()

    run(settings, story)


def test_a_question_is_not_answered_by_a_request_that_was_sent_before(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(marks: HighWatermarks, producer: AIOKafkaProducer) -> None:
        await producer.begin_transaction()
        end = await append(producer, 1)
        send, let_go = marks._client.send, asyncio.Event()

        async def slow(*arguments: object) -> object:
            answer = await send(*arguments)
            await let_go.wait()
            return answer

        monkeypatch.setattr(marks._client, "send", slow)
        early = [asyncio.create_task(marks.of(1)) for _ in range(2 * IN_FLIGHT)]
        await asyncio.sleep(0.2)
        assert await append(producer, 1) == end + 1
        late = asyncio.create_task(marks.of(1))
        await asyncio.sleep(0)
        let_go.set()
        assert await late == end + 1
        assert {await one for one in early} <= {end, end + 1}
        await producer.abort_transaction()

    run(settings, story)


def test_what_a_request_met_is_told_to_every_asker_and_the_next_question_is_asked_anew(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(marks: HighWatermarks, _: AIOKafkaProducer) -> None:
        async def fails(*_: object) -> None:
            raise RequestTimedOutError

        with monkeypatch.context() as patched:
            patched.setattr(marks._client, "send", fails)
            met = await asyncio.gather(*(marks.of(number) for number in (0, 0, 1, 2)), return_exceptions=True)
        assert all(isinstance(one, KafkaError) for one in met)
        assert await marks.of(0) >= 0

    run(settings, story)


def test_questions_that_are_open_when_the_connection_ends_are_cancelled(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(marks: HighWatermarks, _: AIOKafkaProducer) -> None:
        async def never(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(marks._client, "send", never)
        under_way = asyncio.create_task(marks.of(0))
        await asyncio.sleep(0.1)
        just_asked = asyncio.create_task(marks.of(1))
        await asyncio.sleep(0)
        await marks.stop()
        met = await asyncio.gather(under_way, just_asked, return_exceptions=True)
        assert [type(one) for one in met] == [asyncio.CancelledError] * 2

    run(settings, story)


def test_a_partition_without_a_leader_is_asked_for_until_it_has_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(marks: HighWatermarks, _: AIOKafkaProducer) -> None:
        cluster, asked = marks._client.cluster, []
        leader_for_partition = cluster.leader_for_partition

        def leader(place: object) -> int | None:
            asked.append(place)
            return {1: None, 2: -1}.get(len(asked), leader_for_partition(place))

        monkeypatch.setattr(cluster, "leader_for_partition", leader)
        assert await marks.of(0) >= 0
        assert len(asked) == 3

    run(settings, story)


@pytest.mark.parametrize(
    ("error", "is_told"), [(LeaderNotAvailableError, False), (TopicAuthorizationFailedError, True)]
)
def test_an_answer_that_refuses_is_told_unless_trying_again_helps(
    error: type[KafkaError], is_told: bool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(marks: HighWatermarks, _: AIOKafkaProducer) -> None:
        send, answers = marks._client.send, []

        async def refuses_once(*arguments: object) -> object:
            answers.append(SimpleNamespace(topics=[(CONSENT_REQUESTS, [(0, error.errno, -1, -1)])]))
            return answers[0] if len(answers) == 1 else await send(*arguments)

        monkeypatch.setattr(marks._client, "send", refuses_once)
        if is_told:
            with pytest.raises(error):
                await marks.of(0)
        assert await marks.of(0) >= 0

    run(settings, story)
