"""What became of the events of a subject, or of all events of a span of time.

The same answers as of one event, for many: also of events that were never opened, which are found by the key
of their record. Imports `explain`, `topic_reader`, wire and core. Read next: `streams/cli/explain.py`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from streams.core.codes import Reason
from streams.kafka.admin import require_topics
from streams.ops.consent_states import all_names, consent_values
from streams.ops.explain import MEANINGS, Explanation, Position, in_batch, of_rows
from streams.ops.topic_reader import Progress, open_reader
from streams.settings import Settings
from streams.wire.codec import DecisionBatch, DecisionRow, decode_decision_batch
from streams.wire.partition import partition_of
from streams.wire.topics import DECISIONS, EVENT_TOPICS

UNDECIDED = "It is not decided yet; a running worker decides it within seconds"
FORGOTTEN = "It was decided longer ago than decisions are kept"


class Span(NamedTuple):
    """A span of time, UTC milliseconds, both ends included."""

    since_ms: int
    until_ms: int


async def of_subject(
    settings: Settings, subject: str, span: Span, limit: int, progress: Progress | None = None
) -> list[Explanation]:
    """Return what became of each of the last `limit` events of a subject that were appended in a span.

    Raises:
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """
    key = subject.encode()
    info = await require_topics(settings, [DECISIONS, *EVENT_TOPICS])
    partition = partition_of(key, info.topics[DECISIONS].partitions)
    asked: dict[Position, int] = {}
    async with open_reader(settings, EVENT_TOPICS, [partition]) as reader:
        await reader.to_time(span.since_ms)
        async for record in reader.rest(progress):
            if record.key == key and span.since_ms <= record.timestamp_ms <= span.until_ms:
                asked[Position(*record[:3])] = record.timestamp_ms
    newest = sorted(asked, key=lambda one: asked[one])[-limit:]
    found = await _decided(settings, partition, newest, progress)
    names = all_names(await consent_values(settings, [subject]))
    return [found[at]._replace(names=names) for at in newest]


async def of_span(
    settings: Settings, span: Span, limit: int, progress: Progress | None = None
) -> list[Explanation]:
    """Return what became of the last `limit` records that were decided in a span, oldest first.

    Records without consent are told run by run. Names are not looked up: ask for a subject to get them.

    Raises:
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """
    found: list[Explanation] = []
    async with open_reader(settings, [DECISIONS]) as reader:
        await reader.to_time(span.since_ms)
        async for record in reader.rest(progress):
            batch = decode_decision_batch(record.value or b"")
            if span.since_ms <= batch.decided_at <= span.until_ms:
                found += _of_batch(batch)
            if len(found) > 2 * limit:
                found = _last(found, limit)
    return _last(found, limit)


async def _decided(
    settings: Settings, partition: int, asked: list[Position], progress: Progress | None
) -> dict[Position, Explanation]:
    """Find the decision of every position; the log of decisions holds each once."""
    left = {(at.topic, at.offset): at for at in asked}
    found: dict[Position, Explanation] = {}
    reached = dict.fromkeys(EVENT_TOPICS, 0)
    async with open_reader(settings, [DECISIONS], [partition]) as reader:
        async for record in reader.rest(progress):
            batch = decode_decision_batch(record.value or b"")
            for read in batch.inputs:
                reached[read.topic] = max(reached.get(read.topic, 0), read.next_offset)
                within = [
                    place
                    for place in left
                    if place[0] == read.topic and read.first_offset <= place[1] < read.next_offset
                ]
                for place in within:
                    at = left.pop(place)
                    found[at] = in_batch(batch, at)
            if not left:
                break
    for at in left.values():
        is_past = at.offset < reached[at.topic]
        found[at] = (
            Explanation("unknown", at, FORGOTTEN) if is_past else Explanation("undecided", at, UNDECIDED)
        )
    return found


def _of_batch(batch: DecisionBatch) -> Iterator[Explanation]:
    by_place: dict[tuple[str, int], list[DecisionRow]] = {}
    for row in batch.decisions:
        by_place.setdefault((row.topic, row.offset), []).append(row)
    for (topic, offset), rows in by_place.items():
        yield of_rows(tuple(rows), Position(topic, batch.partition, offset), batch.decided_at)
    for run in batch.no_consent_runs:
        at = Position(run.topic, batch.partition, run.first_offset)
        many = f"{run.records} records up to offset {run.last_offset}" if run.records > 1 else "This record"
        sentence = f"Nobody was told. {many}: {MEANINGS[Reason.NO_CONSENT]}"
        yield Explanation("not_opened", at, sentence, None, batch.decided_at)


def _last(found: list[Explanation], limit: int) -> list[Explanation]:
    return sorted(found, key=lambda one: (one.decided_at or 0, str(one.position)))[-limit:]
