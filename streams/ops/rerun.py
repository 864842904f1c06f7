"""Decides again what was decided: the same records, in the same batches, at the same times.

From the topics alone, or from a snapshot on: consent requests are folded up to where each batch had folded
them, events are decided by the interpreted kernel at the batch's own time, notices of a consent's end are
made anew of the consents that the batch names. What comes out is what went out, to the byte, if the policy
is the same. Nothing is written. Imports `snapshots`, `topic_reader`, kernel, kafka, wire and core. Read next:
`replay.py`, `policy_diff.py`.
"""

import heapq
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple, Self

from streams.core.consent import ConsentState
from streams.core.expiry import RULE, owed
from streams.core.policy import Policy
from streams.core.pseudonyms import SALT_BYTES
from streams.errors import CheckFailedError
from streams.kafka.admin import require_topics
from streams.kafka.partition_store import PartitionStore
from streams.kafka.positions import marked_positions
from streams.kernel.batch_result import BatchResult
from streams.kernel.fold_batch import Secrets, fold_batches
from streams.kernel.interpret import Interpreter
from streams.kernel.notices import write_notice
from streams.kernel.record_batch import RecordBatch
from streams.kernel.subjects import PlainSubjects
from streams.ops.snapshots import Snapshot
from streams.ops.topic_reader import Record, TopicReader, open_reader
from streams.settings import Settings
from streams.wire.codec import (
    DecisionBatch,
    DecisionRow,
    PositionMarker,
    decode_consent_result,
    decode_decision_batch,
    encode_consent_state,
)
from streams.wire.headers import NotificationHeaders
from streams.wire.topics import CONSENT_REQUESTS, CONSENT_RESULTS, DECISIONS, EVENT_TOPICS

_MARKER = PositionMarker("", 0, (), "", 0)


class Rerun(NamedTuple):
    """A batch as it was decided, its events, and what each policy makes of it now, in their order.

    `requests`: the subjects of the consent requests that notices of the batch go back to, by offset.
    """

    batch: DecisionBatch
    events: tuple[RecordBatch, ...]
    results: tuple[BatchResult, ...]
    requests: Mapping[int, bytes]


async def partitions_of(settings: Settings) -> int:
    """Return how many partition numbers there are.

    Raises:
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """
    info = await require_topics(settings, [DECISIONS, CONSENT_REQUESTS, *EVENT_TOPICS])
    return info.topics[DECISIONS].partitions


async def rerun(
    settings: Settings,
    partition: int,
    partitions: int,
    policies: Sequence[Policy],
    start: Snapshot | None = None,
) -> AsyncIterator[Rerun]:
    """Decide every batch of a partition number again, from its first or after `start`, with each policy.

    Each policy has consents and memory of its own: what one tells changes what it tells later.

    Raises:
        CheckFailedError: something that was decided cannot be decided again; the text names the topic.
    """
    sides = [_Side(settings, partition, partitions, policy, start) for policy in policies]
    marker = sides[0].marker
    reached = dict.fromkeys((CONSENT_REQUESTS, *EVENT_TOPICS), 0) | marked_positions(marker)
    if marker is not None:
        answers = await _answers(settings, partition, reached[CONSENT_REQUESTS])
        for side in sides:
            side.remember(answers)
    async with AsyncExitStack() as stack:
        logs = {
            topic: await _Log.of(
                await stack.enter_async_context(open_reader(settings, [topic], [partition])),
                topic,
                partition,
                reached.get(topic, 0),
            )
            for topic in (DECISIONS, CONSENT_REQUESTS, *EVENT_TOPICS)
        }
        if logs[CONSENT_REQUESTS].first > reached[CONSENT_REQUESTS]:
            raise _short(CONSENT_REQUESTS, partition, logs[CONSENT_REQUESTS].first)
        joins = logs[DECISIONS].first == 0
        while (found := await logs[DECISIONS].next()) is not None:
            batch = decode_decision_batch(found.value or b"")
            if marker is not None and _is_before(batch, marker):
                joins = True
                continue
            if not joins:
                raise _short(DECISIONS, partition, logs[DECISIONS].first)
            requests = await logs[CONSENT_REQUESTS].up_to(batch.consent_next_offset)
            events = []
            for read in batch.inputs:
                log = logs[read.topic]
                if read.records and read.first_offset < log.first:
                    raise _short(read.topic, partition, log.first)
                if read.first_offset < reached[read.topic]:
                    raise CheckFailedError(
                        f"{read.topic}/{partition}: batches overlap at offset {read.first_offset}: they were "
                        "decided at least once, and cannot be told apart."
                    )
                reached[read.topic] = read.next_offset
                events.append(_batch(read.topic, partition, await log.up_to(read.next_offset)))
            results = tuple(side.decide(requests, events, batch) for side in sides)
            yield Rerun(batch, tuple(events), results, sides[0].requests_of(batch))


def notice_rows(batch: DecisionBatch) -> list[DecisionRow]:
    """Return the decisions of a batch that tell of a consent's end. Never raises."""
    return [row for row in batch.decisions if row.rule == RULE]


class _Side:
    """One policy's consents and memory."""

    def __init__(
        self, settings: Settings, partition: int, partitions: int, policy: Policy, start: Snapshot | None
    ) -> None:
        self._store = PartitionStore(PlainSubjects())
        if start is not None:
            start.fill(self._store, partition)
        self.marker = self._store.marker
        self._policy = policy
        self._partition, self._partitions = partition, partitions
        self._app_id = settings.app_id
        self._subject_at = {state.request_offset: key for key, state in _all_states(self._store)}
        self._kernel = Interpreter(
            settings.app_id,
            partition,
            partitions,
            policy,
            replay=False,
            max_value_bytes=settings.max_value_bytes,
        )

    def remember(self, answers: RecordBatch) -> None:
        """Take in which requests were answered before the first batch."""
        self._store.recent.load(answers)

    def decide(
        self, requests: Sequence[Record], events: Sequence[RecordBatch], batch: DecisionBatch
    ) -> BatchResult:
        if requests:
            asked = _batch(CONSENT_REQUESTS, self._partition, requests)
            secrets = Secrets(lambda: bytes(SALT_BYTES))  # no name of anybody comes out of here
            folded = fold_batches([asked], self._store, self._partitions, self._policy, secrets)
            self._store.merge_consents(
                {
                    key: None if state is None else encode_consent_state(state)
                    for key, state in folded.changes.items()
                },
                folded.forgotten,
                0,
            )
            self._store.merge_answers(folded.seen, 0)
            for key, state in folded.changes.items():
                if state is not None:
                    self._subject_at[state.request_offset] = key
        result = self._kernel.decide(events, self._store, batch.consent_next_offset, batch.decided_at)
        self._store.merge_states(result.states, _MARKER, 0)
        self._write_notices(batch, result)
        return result

    def requests_of(self, batch: DecisionBatch) -> dict[int, bytes]:
        """Return the subjects of the requests that notices of a batch go back to, by offset."""
        offsets = {row.offset for row in notice_rows(batch)}
        return {offset: self._subject_at[offset] for offset in offsets & self._subject_at.keys()}

    def _write_notices(self, batch: DecisionBatch, result: BatchResult) -> None:
        """Make the notices of a batch again, of the consents as they are at this point of the log."""
        named = {(row.offset, row.event_id) for row in notice_rows(batch)}
        headers = NotificationHeaders(
            self._app_id, self._partition, batch.consent_next_offset, self._policy.version, batch.decided_at
        )
        for offset, key in self.requests_of(batch).items():
            state = self._store.consent_state(key)
            if state is not None and state.request_offset == offset:
                for notice in owed(state, 0, batch.decided_at):
                    if (offset, notice.event_id) in named:
                        write_notice(result, headers, state, notice)


def _all_states(store: PartitionStore) -> Iterator[tuple[bytes, ConsentState]]:
    for keys in store.subjects.slices(()):
        for key in keys:
            state = store.consent_state(key)
            if state is not None:
                yield key, state


class _Log:
    """One partition of one topic, read once from an offset to the end that it has now."""

    def __init__(self, reader: TopicReader, first: int) -> None:
        self.first = first
        self._records = reader.rest()
        self._waiting: list[tuple[int, Record]] = []

    @classmethod
    async def of(cls, reader: TopicReader, topic: str, partition: int, start: int) -> Self:
        """Return the log that a reader of one partition gives, from `start` on."""
        first, _ = await reader.bounds(topic, partition)
        reader.to_offset(topic, partition, max(first, start))
        return cls(reader, first)

    async def next(self) -> Record | None:
        """Return the next record, None at the end."""
        if self._waiting:
            return heapq.heappop(self._waiting)[1]
        return await anext(self._records, None)

    async def up_to(self, offset: int) -> list[Record]:
        """Return the records below `offset` that were not returned yet."""
        found = []
        while (record := await self.next()) is not None:
            if record.offset >= offset:
                heapq.heappush(self._waiting, (record.offset, record))
                break
            found.append(record)
        return found


def _is_before(batch: DecisionBatch, marker: PositionMarker) -> bool:
    """Tell whether a batch was decided before a position marker was written."""
    if not batch.inputs:
        return batch.decided_at <= marker.written_at
    marked = marked_positions(marker)
    return all(read.next_offset <= marked.get(read.topic, 0) for read in batch.inputs)


async def _answers(settings: Settings, partition: int, before: int) -> RecordBatch:
    """Return the answers to the requests below an offset that are still kept."""
    async with open_reader(settings, [CONSENT_RESULTS], [partition]) as reader:
        found = [record async for record in reader.rest() if record.value is not None]
    told = [one for one in found if decode_consent_result(one.value or b"").request_offset < before]
    return _batch(CONSENT_RESULTS, partition, told)


def _batch(topic: str, partition: int, records: Sequence[Record]) -> RecordBatch:
    offsets = [one.offset for one in records]
    return RecordBatch(
        topic,
        partition,
        offsets,
        [one.timestamp_ms for one in records],
        [one.key for one in records],
        [one.value for one in records],
        [one.headers for one in records],
        offsets[0] if offsets else 0,
        offsets[-1] + 1 if offsets else 0,
    )


def _short(topic: str, partition: int, first: int) -> CheckFailedError:
    return CheckFailedError(
        f"{topic} is too short: partition {partition} begins at offset {first}, what was before is deleted, "
        "and without it nothing can be decided as it was. `notifier snapshot`, once a day, lets replays "
        "begin where it was taken."
    )
