"""What became of the events of a subject, or of all events of a span of time.

The same answers as of one event, for many: also of events that were never opened, which are found by the key
of their record, and of notices that a consent is about to end, which have no event. Imports `explain`,
`topic_reader`, wire and core. Read next: `streams/cli/explain.py`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from streams.core.codes import Reason
from streams.core.pseudonyms import subject_pseudonym
from streams.kafka.admin import require_topics
from streams.ops.consent_states import all_names, consent_values
from streams.ops.explain import MEANINGS, Explanation, Position, in_batch, is_notice, of_rows
from streams.ops.topic_reader import Progress, open_reader
from streams.settings import Settings
from streams.wire.codec import DecisionBatch, DecisionRow, decode_consent_state, decode_decision_batch
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
    """Return what became of each of the last `limit` events of a subject that were appended in a span, and
    the notices of its consents' end that were decided in it.

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
    values = await consent_values(settings, [subject])
    found, notices = await _decided(settings, partition, newest, _pseudonym(values.get(subject)), progress)
    names = all_names(values)
    dated = [(asked[at], found[at]) for at in newest]
    dated += [(at, one) for one in notices if span.since_ms <= (at := one.decided_at or 0) <= span.until_ms]
    return [one._replace(names=names) for _, one in sorted(dated, key=lambda each: each[0])][-limit:]


def _pseudonym(value: bytes | None) -> str | None:
    """Return what a subject is called in decisions, None where its consents are not kept any more."""
    state = None if value is None else decode_consent_state(value)
    return None if state is None else subject_pseudonym(state.salt, state.subject)


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
    settings: Settings,
    partition: int,
    asked: list[Position],
    pseudonym: str | None,
    progress: Progress | None,
) -> tuple[dict[Position, Explanation], list[Explanation]]:
    """Find the decision of every position, and the notices of a subject; the log holds each once."""
    notices: list[Explanation] = []
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
            if pseudonym is not None:
                notices += filter(is_notice, _of_rows(batch, pseudonym))
    for at in left.values():
        is_past = at.offset < reached[at.topic]
        found[at] = (
            Explanation("unknown", at, FORGOTTEN) if is_past else Explanation("undecided", at, UNDECIDED)
        )
    return found, notices


def _of_rows(batch: DecisionBatch, pseudonym: str | None = None) -> Iterator[Explanation]:
    """Return what became of each record that has decisions, those of one subject only if it is given."""
    by_place: dict[tuple[str, int], list[DecisionRow]] = {}
    for row in batch.decisions:
        if pseudonym is None or row.subject == pseudonym:
            by_place.setdefault((row.topic, row.offset), []).append(row)
    for (topic, offset), rows in by_place.items():
        yield of_rows(tuple(rows), Position(topic, batch.partition, offset), batch.decided_at)


def _of_batch(batch: DecisionBatch) -> Iterator[Explanation]:
    yield from _of_rows(batch)
    for run in batch.no_consent_runs:
        at = Position(run.topic, batch.partition, run.first_offset)
        many = f"{run.records} records up to offset {run.last_offset}" if run.records > 1 else "This record"
        sentence = f"Nobody was told. {many}: {MEANINGS[Reason.NO_CONSENT]}"
        yield Explanation("not_opened", at, sentence, None, batch.decided_at)


def _last(found: list[Explanation], limit: int) -> list[Explanation]:
    return sorted(found, key=lambda one: (one.decided_at or 0, str(one.position)))[-limit:]
