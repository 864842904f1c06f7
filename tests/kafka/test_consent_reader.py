"""Reading requests tells of what ended it, and one that never began ends without a trace."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from streams.kafka.admin import apply_topics
from streams.kafka.broker import RunningBroker
from streams.kafka.consent_reader import ConsentReader
from streams.settings import Settings
from streams.wire.topics import CONSENT_REQUESTS

pytestmark = pytest.mark.broker
LIMIT_S = 30.0


def test_what_ends_reading_is_told_and_nothing_is_told_of_a_stop(broker: RunningBroker) -> None:
    settings = Settings(kafka=broker.bootstrap, app_id="consent-reader")

    async def story() -> None:
        await apply_topics(settings)
        async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
            await producer.send_and_wait(CONSENT_REQUESTS, b"v", b"k", partition=0)
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException] = loop.create_future()

        reader = ConsentReader(settings)
        await reader.start()
        reader.on_failure(ended.set_result)
        reader.add(0, 0, lambda _: None)
        assert isinstance(await asyncio.wait_for(ended, LIMIT_S), AttributeError), "here records come singly"
        await reader.stop()

        told: list[BaseException] = []
        silent = ConsentReader(settings)
        await silent.start()
        silent.on_failure(told.append)
        await silent.stop()
        await asyncio.sleep(0)
        assert not told

    asyncio.run(story())


def test_a_reader_that_never_began_is_stopped(broker: RunningBroker) -> None:
    async def story() -> None:
        reader = ConsentReader(Settings(kafka=broker.bootstrap))
        reader.on_failure(lambda _: None)
        await reader.stop()

    asyncio.run(story())
