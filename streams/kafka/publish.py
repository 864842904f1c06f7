"""Publishing: events, consent requests and links to their topics, acknowledged by all replicas, each key in
its partition.

Knows no file and no format: a `Source` says what to send and when (`formats/production.py` is one).
Imports `wire`, `admin` and `connection`. Read next: `streams/formats/production.py`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Protocol, Self

from aiokafka import AIOKafkaProducer

from streams.core.consent import ConsentRequest
from streams.core.events import Event
from streams.core.links import link_before
from streams.kafka.admin import require_topics
from streams.kafka.connection import client_options, our_error, our_errors
from streams.settings import Settings
from streams.wire.codec import encode_consent_request, encode_event, encode_link_request
from streams.wire.partition import partition_of
from streams.wire.topics import CONSENT_REQUESTS, LINK_REQUESTS

Headers = Sequence[tuple[str, bytes]]
Clock = Callable[[], int]

EVENT_ID_HEADER = "ce_id"  # lets `notifier explain` find an event that was never opened
_LINGER_MS = 5
_MAX_BATCH_BYTES = 256 * 1024
_MAX_REQUEST_BYTES = 2 * 1024 * 1024  # what an event topic takes: a value too large for us is refused by us
_YIELD_EVERY = 256  # the sender shares our loop and needs its turn
_LEAST_SLEEP_S = 0.002
_LINKED_AT_ONCE = 5_000


class Source(Protocol):
    """What to publish. `topics` are those of its items, `rejected` the first lines that gave none."""

    @property
    def topics(self) -> Sequence[str]:
        """Topics of the items."""
        ...

    @property
    def rejected(self) -> Sequence[tuple[int, str]]:
        """The first rejected lines, with their reasons."""
        ...

    @property
    def rejected_count(self) -> int:
        """How many lines are rejected."""
        ...

    def grants(self, now: int) -> Iterable[ConsentRequest]:
        """Consents to be acknowledged before the first item."""
        ...

    def items(self, start: int) -> Iterable[tuple[int | None, str, Event | ConsentRequest]]:
        """(due, topic, value); due is the UTC millisecond before which it must not be sent, None for at
        once.
        """
        ...

    def stamp(self, value: Event | ConsentRequest, now: int) -> Event | ConsentRequest:
        """The value as it is sent at `now`."""
        ...


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What was published: acknowledged records by topic, grants among them, and the lines that were not."""

    published: Mapping[str, int]
    grants: int
    rejected: Sequence[tuple[int, str]]
    rejected_count: int
    seconds: float


class Publisher:
    """A producer for our topics, to be used as an asynchronous context manager; leaving it flushes.

    Raises:
        TopicError: one of `topics` is missing. KafkaUnreachableError, CredentialsError: on entering, sending
        or flushing, when Kafka is away or refuses us.
    """

    def __init__(self, settings: Settings, topics: Iterable[str]) -> None:
        self.acknowledged: Counter[str] = Counter()
        self._settings = settings
        self._topics = tuple(topics)
        self._partitions: dict[str, int] = {}
        self._pending: set[asyncio.Future[Any]] = set()
        self._failure: BaseException | None = None
        self._sent = 0
        self._producer: Any = None

    async def __aenter__(self) -> Self:
        info = await require_topics(self._settings, self._topics)
        self._partitions = {name: info.topics[name].partitions for name in self._topics}
        async with our_errors(self._settings):
            self._producer = AIOKafkaProducer(
                **client_options(self._settings),
                acks="all",
                enable_idempotence=True,
                compression_type="lz4",
                linger_ms=_LINGER_MS,
                max_batch_size=_MAX_BATCH_BYTES,
                max_request_size=_MAX_REQUEST_BYTES,
            )
            try:
                await self._producer.start()
            except BaseException:
                await self._producer.stop()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.flush()
        finally:
            await self._producer.stop()

    async def send(self, topic: str, value: Event | ConsentRequest) -> None:
        """Hand a value to the producer, keyed by its subject; it is acknowledged only after `flush`."""
        if isinstance(value, ConsentRequest):
            await self.send_bytes(topic, value.subject.encode(), encode_consent_request(value))
        else:
            headers = ((EVENT_ID_HEADER, value.event_id.encode()),)
            await self.send_bytes(topic, value.subject.encode(), encode_event(value), headers)

    async def send_linked(self, grants: Iterable[ConsentRequest]) -> int:
        """Send grants, each after the link that it needs is acknowledged; return how many, acknowledged."""
        sent, left = 0, iter(grants)
        while some := list(islice(left, _LINKED_AT_ONCE)):
            for grant in some:
                if (link := link_before(grant)) is not None:
                    await self.send_bytes(LINK_REQUESTS, link.channel_ref.encode(), encode_link_request(link))
            await self.flush()
            for grant in some:
                await self.send(CONSENT_REQUESTS, grant)
            sent += len(some)
        await self.flush()
        return sent

    async def send_bytes(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> None:
        """Hand raw bytes to the producer; `topic` is one of those it was made for, a null key goes to
        partition 0.
        """
        if self._failure is not None:
            self._raise(self._failure)
        partition = partition_of(key, self._partitions[topic]) if key is not None else 0
        async with our_errors(self._settings):
            future = await self._producer.send(
                topic, value=value, key=key, partition=partition, headers=list(headers)
            )
        self._pending.add(future)
        future.add_done_callback(lambda done: self._settle(topic, done))
        self._sent += 1
        if self._sent % _YIELD_EVERY == 0:
            await asyncio.sleep(0)

    async def flush(self) -> None:
        """Wait until everything handed over is acknowledged."""
        async with our_errors(self._settings):
            await self._producer.flush()
        while self._pending:
            await asyncio.wait(tuple(self._pending))
            await asyncio.sleep(0)
        if self._failure is not None:
            self._raise(self._failure)

    def _settle(self, topic: str, future: "asyncio.Future[Any]") -> None:
        self._pending.discard(future)
        failure = asyncio.CancelledError() if future.cancelled() else future.exception()
        if failure is None:
            self.acknowledged[topic] += 1
        elif self._failure is None:
            self._failure = failure

    def _raise(self, failure: BaseException) -> None:
        raise our_error(self._settings, failure) or failure from failure


async def publish(
    settings: Settings,
    source: Source,
    *,
    rate: float | None = None,
    progress: Callable[[int], None] | None = None,
    clock: Clock | None = None,
) -> PublishReport:
    """Publish a source: its grants first, linked and acknowledged, then its items, each when it is due.

    Args:
        settings: where Kafka is.
        source: what to publish.
        rate: at most so many items per second; None is as fast as it goes.
        progress: told the number of items sent so far, after each.
        clock: UTC milliseconds; None is the system's.

    Raises:
        TopicError, KafkaUnreachableError, CredentialsError: see `Publisher`.
    """
    now = clock or wall_ms
    begun = time.monotonic()
    async with Publisher(settings, {*source.topics, CONSENT_REQUESTS, LINK_REQUESTS}) as publisher:
        granted = await publisher.send_linked(source.grants(now()))
        pace = _Pace(rate)
        for sent, (due, topic, value) in enumerate(source.items(now()), start=1):
            await pace.wait()
            if due is not None and (early_ms := due - now()) > 0:
                await asyncio.sleep(early_ms / 1000)
            await publisher.send(topic, source.stamp(value, now()))
            if progress is not None:
                progress(sent)
        await publisher.flush()
        seconds = time.monotonic() - begun
    return PublishReport(
        dict(publisher.acknowledged), granted, source.rejected, source.rejected_count, seconds
    )


def wall_ms() -> int:
    """Return the system's clock, UTC milliseconds. Never raises."""
    return time.time_ns() // 1_000_000


class _Pace:
    """Spaces items evenly at `rate` per second; a delay elsewhere is not caught up by a burst."""

    def __init__(self, rate: float | None) -> None:
        self._gap_s = 1 / rate if rate else 0.0
        self._next_at = time.monotonic()

    async def wait(self) -> None:
        if not self._gap_s:
            return
        ahead = self._next_at - time.monotonic()
        if ahead > _LEAST_SLEEP_S:
            await asyncio.sleep(ahead)
        self._next_at = max(self._next_at, time.monotonic() - self._gap_s) + self._gap_s
