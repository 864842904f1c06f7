"""Reads topics for people who look: from start to end, or as they grow; committed records only, no group.

Imports `kafka.admin` and `kafka.connection`. Read next: `explain.py`, `doctor.py`.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.kafka.admin import require_topics
from streams.kafka.connection import client_options, our_errors
from streams.settings import Settings

FETCH_WAIT_MS = 200

Progress = Callable[[int, int], None]
"""Told how many offsets of how many were read."""


class Record(NamedTuple):
    """One record. `timestamp_ms` is the broker's append time where the topic says LogAppendTime."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class TopicReader:
    """Partitions of topics, read from where it was told to start. Made by `open_reader`."""

    def __init__(self, consumer: Any, places: Sequence[Any]) -> None:
        self._consumer = consumer
        self._places = places

    async def to_start(self) -> None:
        """Go on from the oldest record."""
        await self._consumer.seek_to_beginning(*self._places)

    async def to_end(self) -> None:
        """Go on after the newest record of now."""
        await self._consumer.seek_to_end(*self._places)

    def to_offset(self, topic: str, partition: int, offset: int) -> None:
        """Go on with the record at an offset of a partition, or the next one there is."""
        self._consumer.seek(TopicPartition(topic, partition), offset)

    async def starts(self) -> dict[int, int]:
        """Return the offset of the oldest record kept, by partition; for a reader of one topic."""
        first: Mapping[Any, int] = await self._consumer.beginning_offsets(self._places)
        return {place.partition: offset for place, offset in first.items()}

    async def to_time(self, at_ms: int) -> None:
        """Go on with the first record of each partition whose time is `at_ms` (UTC) or later."""
        found = await self._consumer.offsets_for_times(dict.fromkeys(self._places, at_ms))
        ends = await self._consumer.end_offsets(self._places)
        for place in self._places:
            later = found.get(place)
            self._consumer.seek(place, ends[place] if later is None else later.offset)

    async def back_from_end(self, records: int) -> None:
        """Go on with the last `records` offsets of each partition."""
        first = await self._consumer.beginning_offsets(self._places)
        last = await self._consumer.end_offsets(self._places)
        for place in self._places:
            self._consumer.seek(place, max(first[place], last[place] - records))

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the offset of the oldest record kept and the one that the next committed record can have."""
        place = TopicPartition(topic, partition)
        first = await self._consumer.beginning_offsets([place])
        last = await self._consumer.end_offsets([place])
        return first[place], last[place]

    async def ends(self) -> dict[tuple[str, int], int]:
        """Return the end of now of each topic and partition."""
        last: Mapping[Any, int] = await self._consumer.end_offsets(self._places)
        return {(place.topic, place.partition): last[place] for place in self._places}

    async def record_at(self, topic: str, partition: int, offset: int) -> Record | None:
        """Return the committed record at a position, None where there is none; reading goes on after it."""
        first, last = await self.bounds(topic, partition)
        place = TopicPartition(topic, partition)
        if not first <= offset < last:
            return None
        self._consumer.seek(place, offset)
        while await self._consumer.position(place) <= offset:
            for record in await self.next():
                if record[:3] == (topic, partition, offset):
                    return record
        return None

    async def next(self, wait_ms: int = FETCH_WAIT_MS) -> list[Record]:
        """Return what has come, in the order of time, then position; empty after `wait_ms` without any."""
        return sorted(await self._fetched(wait_ms), key=lambda record: (record.timestamp_ms, *record[:3]))

    async def _fetched(self, wait_ms: int = FETCH_WAIT_MS) -> list[Record]:
        """Return what has come, each partition in the order of offsets."""
        fetched: Mapping[Any, Iterable[Any]] = await self._consumer.getmany(timeout_ms=wait_ms)
        return [
            Record(
                one.topic, one.partition, one.offset, one.timestamp, one.key, one.value, tuple(one.headers)
            )
            for part in fetched.values()
            for one in part
        ]

    async def rest(self, progress: Progress | None = None) -> AsyncIterator[Record]:
        """Yield what there is from here to the end of now; records that come meanwhile are left out.

        Each partition comes in the order of its offsets, whatever its records say of their time.
        """
        last: Mapping[Any, int] = await self._consumer.end_offsets(self._places)
        start = {place: await self._consumer.position(place) for place in self._places}
        total = sum(max(0, last[place] - start[place]) for place in self._places)
        done = 0
        while done < total:
            for record in await self._fetched():
                if record.offset < last[TopicPartition(record.topic, record.partition)]:
                    yield record
            # The position also passes what has no record: transaction marks, aborted records, compacted ones.
            reached = {place: await self._consumer.position(place) for place in self._places}
            done = sum(max(0, min(reached[place], last[place]) - start[place]) for place in self._places)
            if progress is not None:
                progress(done, total)


@asynccontextmanager
async def open_reader(
    settings: Settings, topics: Sequence[str], partitions: Sequence[int] | None = None
) -> AsyncIterator[TopicReader]:
    """Open a reader of `topics`, of all their partitions or of those numbers, placed at the oldest records.

    Raises:
        TopicError: a topic is missing.
        KafkaUnreachableError, CredentialsError: see `connection.check_connection`.
    """
    info = await require_topics(settings, topics)
    numbers = {topic: partitions or range(info.topics[topic].partitions) for topic in topics}
    places = [TopicPartition(topic, number) for topic in topics for number in numbers[topic]]
    async with our_errors(settings):
        consumer = AIOKafkaConsumer(
            **client_options(settings),
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        try:
            await consumer.start()
            consumer.assign(places)
            reader = TopicReader(consumer, places)
            await reader.to_start()
            yield reader
        finally:
            await consumer.stop()
