import asyncio
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError
from aiokafka.partitioner import murmur2

from streams.core.codes import TransactionStatus
from streams.core.consent import ConsentRequest
from streams.core.events import AccountBalance, BankTransaction, Event
from streams.errors import KafkaUnreachableError, TopicError
from streams.formats.grants import GrantRule, grant
from streams.formats.retime import stamped
from streams.kafka.admin import apply_topics
from streams.kafka.broker import RunningBroker
from streams.kafka.publish import Publisher, PublishReport, publish
from streams.settings import Settings
from streams.wire.codec import decode_consent_request, decode_event
from streams.wire.topics import BANK_BALANCES, BANK_TRANSACTIONS, CONSENT_REQUESTS

PARTITIONS = 4


@dataclass
class Given:
    """A source made by hand."""

    values: Sequence[tuple[int | None, str, Event | ConsentRequest]]
    consents: Sequence[ConsentRequest] = ()
    is_stamped: bool = False
    topics: Sequence[str] = (BANK_TRANSACTIONS, BANK_BALANCES)
    rejected: Sequence[tuple[int, str]] = field(default_factory=list)
    rejected_count: int = 0

    def grants(self, now: int) -> Iterable[ConsentRequest]:
        assert now > 0
        return self.consents

    def items(self, start: int) -> Iterable[tuple[int | None, str, Event | ConsentRequest]]:
        return ((None if due is None else start + due, topic, value) for due, topic, value in self.values)

    def stamp(self, value: Event | ConsentRequest, now: int) -> Event | ConsentRequest:
        return stamped(value, now) if self.is_stamped and not isinstance(value, ConsentRequest) else value


def payment(subject: str, number: int) -> BankTransaction:
    return BankTransaction(f"{subject}-{number}", subject, 5, TransactionStatus.POSTED, number, "EUR")


async def records(
    bootstrap: str, topic: str, subjects: set[str]
) -> list[tuple[int, int, bytes, bytes, dict[str, bytes]]]:
    """(partition, timestamp, key, value, headers) of every record of these subjects, in the order of each
    partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Any] = []
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                found += (await consumer.getmany(partition, timeout_ms=1_000)).get(partition, [])
    finally:
        await consumer.stop()
    return [
        (record.partition, record.timestamp, record.key, record.value, dict(record.headers))
        for record in found
        if record.key is not None and record.key.decode() in subjects
    ]


@pytest.fixture
def settings(broker: RunningBroker) -> Settings:
    made = Settings(kafka=broker.bootstrap, partitions=PARTITIONS)
    asyncio.run(apply_topics(made))
    return made


def subjects(count: int) -> list[str]:
    return [f"bank:{uuid.uuid4().hex}" for _ in range(count)]


@pytest.mark.broker
def test_events_arrive_in_order_in_the_partition_of_their_key_and_are_counted(settings: Settings) -> None:
    names = subjects(12)
    sent = [payment(name, number) for number in range(30) for name in names]
    balance = AccountBalance("b", names[0], 5, 7, "EUR")
    source = Given([*((None, BANK_TRANSACTIONS, each) for each in sent), (None, BANK_BALANCES, balance)])
    report = asyncio.run(publish(settings, source))
    assert report.published == {BANK_TRANSACTIONS: 360, BANK_BALANCES: 1}
    found = asyncio.run(records(settings.kafka, BANK_TRANSACTIONS, set(names)))
    for name in names:
        mine = [record for record in found if record[2] == name.encode()]
        assert [decode_event(0, value) for *_rest, value, _headers in mine] == [
            payment(name, n) for n in range(30)
        ]
        # aiokafka's own hash, not ours
        assert {record[0] for record in mine} == {(murmur2(name.encode()) & 0x7FFFFFFF) % PARTITIONS}
    assert found[0][4] == {"ce_id": decode_id(found[0][3])}


def decode_id(value: bytes) -> bytes:
    event = decode_event(0, value)
    assert isinstance(event, BankTransaction)
    return event.event_id.encode()


@pytest.mark.broker
def test_grants_are_appended_before_the_first_event(settings: Settings) -> None:
    names = subjects(50)
    now = time.time_ns() // 1_000_000
    consents = [grant(name, "user:1", GrantRule(1, 1), now) for name in names]
    source = Given([(None, BANK_TRANSACTIONS, payment(name, 1)) for name in names], consents, is_stamped=True)
    report = asyncio.run(publish(settings, source))
    assert (report.grants, report.published[CONSENT_REQUESTS]) == (50, 50)
    requests = asyncio.run(records(settings.kafka, CONSENT_REQUESTS, set(names)))
    assert {decode_consent_request(value) for *_rest, value, _headers in requests} == set(consents)
    events = asyncio.run(records(settings.kafka, BANK_TRANSACTIONS, set(names)))
    occurred = [decode_event(0, value) for *_rest, value, _headers in events]
    first = min(event.occurred_at for event in occurred if isinstance(event, BankTransaction))
    assert max(timestamp for _partition, timestamp, *_rest in requests) <= first


@pytest.mark.broker
def test_an_event_is_not_sent_before_it_is_due(settings: Settings) -> None:
    [name] = subjects(1)
    source = Given([(due, BANK_TRANSACTIONS, payment(name, due)) for due in (0, 150, 400)])
    begun = time.time_ns() // 1_000_000
    asyncio.run(publish(settings, source))
    stamps = [
        timestamp
        for _partition, timestamp, *_rest in asyncio.run(records(settings.kafka, BANK_TRANSACTIONS, {name}))
    ]
    assert stamps[1] - begun >= 150
    assert stamps[2] - begun >= 400
    assert stamps[1] - stamps[0] >= 100


@pytest.mark.broker
def test_a_rate_spaces_the_items_and_progress_hears_of_each(settings: Settings) -> None:
    [name] = subjects(1)
    heard: list[int] = []
    source = Given([(None, BANK_TRANSACTIONS, payment(name, number)) for number in range(40)])
    report = asyncio.run(publish(settings, source, rate=100, progress=heard.append))
    assert heard == list(range(1, 41))
    assert report.seconds >= 0.35


@pytest.mark.broker
def test_a_publisher_sends_bytes_as_they_are(settings: Settings) -> None:
    [name] = subjects(1)

    async def send() -> None:
        async with Publisher(settings, [BANK_TRANSACTIONS]) as publisher:
            await publisher.send_bytes(BANK_TRANSACTIONS, name.encode(), b"\xffgarbage")
            await publisher.send_bytes(BANK_TRANSACTIONS, name.encode(), None)
            await publisher.flush()
            assert publisher.acknowledged == {BANK_TRANSACTIONS: 2}

    asyncio.run(send())
    found = asyncio.run(records(settings.kafka, BANK_TRANSACTIONS, {name}))
    assert [value for *_rest, value, _headers in found] == [b"\xffgarbage", None]


@pytest.mark.broker
def test_a_missing_topic_stops_before_anything_is_sent(settings: Settings) -> None:
    with pytest.raises(TopicError, match=r"not\.there"):
        asyncio.run(publish(settings, Given([], topics=("not.there",))))


@pytest.mark.broker
def test_rejected_lines_are_passed_on_to_the_report(settings: Settings) -> None:
    report: PublishReport = asyncio.run(publish(settings, Given([], rejected=[(3, "why")], rejected_count=1)))
    assert (report.published, report.rejected, report.rejected_count) == ({}, [(3, "why")], 1)


def test_without_a_broker_publishing_says_so(free_port: int) -> None:
    with pytest.raises(KafkaUnreachableError):
        asyncio.run(publish(Settings(kafka=f"127.0.0.1:{free_port}"), Given([])))


def test_what_kafka_refuses_is_told_at_the_next_send_and_at_the_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()

        async def refused(*_: object, **__: object) -> "asyncio.Future[Any]":
            future = loop.create_future()
            loop.call_later(0.05, future.set_exception, KafkaConnectionError("gone"))
            return future

        async with Publisher(settings, [BANK_TRANSACTIONS]) as publisher:
            monkeypatch.setattr(publisher._producer, "send", refused)
            for number in range(2):
                await publisher.send(BANK_TRANSACTIONS, payment("bank:refused", number))
            with pytest.raises(KafkaUnreachableError):
                await publisher.flush()
            with pytest.raises(KafkaUnreachableError):
                await publisher.send(BANK_TRANSACTIONS, payment("bank:refused", 2))
            assert not publisher.acknowledged

    with pytest.raises(KafkaUnreachableError):
        asyncio.run(story())


def test_an_error_of_ones_own_leaves_at_once(settings: Settings) -> None:
    async def story() -> None:
        async with Publisher(settings, [BANK_TRANSACTIONS]) as publisher:
            await publisher.send(BANK_TRANSACTIONS, payment("bank:left", 1))
            raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(story())
