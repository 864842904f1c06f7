"""Makes the notifications of a span of time again, byte for byte, into a topic of their own.

Imports `rerun`, kafka and wire. Read next: `streams/cli/replay.py`.
"""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from streams.errors import CheckFailedError
from streams.kafka.admin import create_topic, describe
from streams.kafka.policy_settings import policy_of
from streams.kafka.publish import Publisher
from streams.kernel.batch_result import Output
from streams.ops.consent_states import consent_values
from streams.ops.explain import ID_HEADER, parse_position
from streams.ops.history import Span
from streams.ops.rerun import Rerun, notice_rows, partitions_of, rerun
from streams.ops.snapshots import newest_before
from streams.ops.topic_reader import open_reader
from streams.settings import Settings
from streams.wire.codec import decode_consent_state
from streams.wire.topics import CONSENT_REQUESTS, DELIVERY, TOPIC_BY_NAME

SIDE_TOPIC = "notifier.replay"
SOURCE_HEADER = "notifier.source"


class Replayed(NamedTuple):
    """What a replay made.

    `notifications` were written, or would be; `left_out` were not, as the person's consent is not kept any
    more: what was erased is not made again. `digest` is that of all of both, whatever their order over
    partitions; `delivered` that of the notifications of the same events, and of the same notices, that are on
    messenger-delivery, None if none is. `missing` and `other` count what is on one side only; where retention
    has deleted from messenger-delivery, `missing` is of those events only of which something is still there,
    and `other` of people whose consent is still kept.
    """

    notifications: int
    left_out: int
    digest: str
    delivered: str | None
    missing: int
    other: int


class _Made(NamedTuple):
    """A notification that was made again, of which subject."""

    subject: str
    output: Output


class _Range(NamedTuple):
    """Offsets of one topic and partition that a batch decided."""

    topic: str
    partition: int
    first: int
    end: int


async def replay(
    settings: Settings, span: Span, into: str | None, progress: Callable[[int, int], None] | None = None
) -> Replayed:
    """Make again what was decided in a span, and compare it with what is still on messenger-delivery.

    Args:
        settings: where Kafka is, and the policy.
        span: of decision times.
        into: the topic to write to, created if it is not there; None: nothing is written.
        progress: told how many partition numbers of how many are done.

    Raises:
        CheckFailedError: a topic is too short, another policy decided, or `into` is one of our own topics.
    """
    if into in TOPIC_BY_NAME:
        raise CheckFailedError(f"{into} is one of the notifier's own topics; name another.")
    policy = policy_of(settings)
    partitions = await partitions_of(settings)
    start = await newest_before(settings, span.since_ms)
    made: list[_Made] = []
    ranges: list[_Range] = []
    notices: set[bytes] = set()
    for partition in range(partitions):
        async for one in rerun(settings, partition, partitions, [policy], start):
            if one.batch.policy_version != policy.version:
                raise CheckFailedError(
                    f"Partition {partition} was decided by policy {one.batch.policy_version}, these settings "
                    f"are {policy.version}: use those of then. What was decided before the span counts too: "
                    "what is remembered comes from it."
                )
            if span.since_ms <= one.batch.decided_at <= span.until_ms:
                made += _made(one)
                ranges += (
                    _Range(read.topic, partition, read.first_offset, read.next_offset)
                    for read in one.batch.inputs
                )
                notices |= {(row.notification_id or "").encode() for row in notice_rows(one.batch)}
        if progress is not None:
            progress(partition + 1, partitions)
    kept = await _kept(settings, made)
    if into is not None:
        await _write(settings, into, kept)
    return await _compared(settings, [one.output for one in made], len(kept), sorted(ranges), notices)


def _made(one: Rerun) -> Iterator[_Made]:
    outputs = one.results[0].outputs
    if outputs:
        keys = {
            f"{batch.topic}/{batch.partition}/{batch.offset(index)}".encode(): key or b""
            for batch in one.events
            for index, key in enumerate(batch.keys)
        }
        for offset, key in one.requests.items():
            keys[f"{CONSENT_REQUESTS}/{one.batch.partition}/{offset}".encode()] = key
        for output in outputs:
            yield _Made(keys[_source(output)].decode("utf-8", "replace"), output)


def _source(output: Output) -> bytes:
    return dict(output.headers)[SOURCE_HEADER] or b""


async def _kept(settings: Settings, made: list[_Made]) -> list[Output]:
    """Return the notifications of people whose consent is still kept, in force or not."""
    people = await _people(settings, {one.subject for one in made})
    return [one.output for one in made if (one.subject, one.output.key) in people]


async def _people(settings: Settings, subjects: Collection[str]) -> set[tuple[str, bytes]]:
    """Return who has a consent for which of these subjects that is still kept: subject, user id."""
    values = await consent_values(settings, subjects)
    states = {subject: decode_consent_state(value) for subject, value in values.items()}
    return {
        (subject, holder.user_id.encode())
        for subject, state in states.items()
        if state is not None
        for holder in state.holders
    }


async def _write(settings: Settings, into: str, made: Iterable[Output]) -> None:
    deliveries = (await describe(settings)).topics[DELIVERY].partitions
    await create_topic(settings, into, deliveries, TOPIC_BY_NAME[DELIVERY].config)
    async with Publisher(settings, [into]) as publisher:
        for output in made:
            await publisher.send_bytes(into, output.key, output.value, tuple(output.headers))


async def _compared(
    settings: Settings, made: list[Output], kept: int, ranges: list[_Range], notices: set[bytes]
) -> Replayed:
    ours = {_digest(one.key, one.value, one.headers): _cause(dict(one.headers), notices) for one in made}
    theirs: dict[bytes, bytes] = {}
    told: dict[bytes, tuple[bytes, bytes]] = {}
    async with open_reader(settings, [DELIVERY]) as reader:
        is_whole = not any((await reader.starts()).values())
        async for record in reader.rest():
            cause = _cause(dict(record.headers), notices)
            if cause in notices or _is_within(cause, ranges):
                digest = _digest(record.key or b"", record.value or b"", record.headers)
                theirs[digest] = cause
                told[digest] = dict(record.headers).get(SOURCE_HEADER) or b"", record.key or b""
    there = set(theirs.values())
    due = {digest for digest, cause in ours.items() if is_whole or cause in there}
    return Replayed(
        kept,
        len(made) - kept,
        _total(ours),
        _total(theirs) if theirs else None,
        len(due - theirs.keys()),
        await _count_kept(settings, [told[one] for one in theirs.keys() - ours.keys()]),
    )


async def _count_kept(settings: Settings, told: list[tuple[bytes, bytes]]) -> int:
    """Count whose consent is still kept among sources and recipients: a snapshot forgets who was erased."""
    subjects: dict[bytes, str] = {}
    for source, _ in told:
        at = parse_position(source.decode("utf-8", "replace"))
        assert at is not None
        async with open_reader(settings, [at.topic], [at.partition]) as reader:
            record = await reader.record_at(*at)
        if record is not None:
            subjects[source] = (record.key or b"").decode("utf-8", "replace")
    people = await _people(settings, set(subjects.values()))
    return sum((subjects.get(source, ""), recipient) in people for source, recipient in told)


def _cause(headers: Mapping[str, bytes | None], notices: Collection[bytes]) -> bytes:
    """Return where the event of a notification stands; of one of the notices, which have none, its id."""
    own_id = headers.get(ID_HEADER) or b""
    return own_id if own_id in notices else headers.get(SOURCE_HEADER) or b""


def _is_within(source: bytes, ranges: list[_Range]) -> bool:
    at = parse_position(source.decode("utf-8", "replace"))
    if at is None:
        return False
    index = bisect_right(ranges, (at.topic, at.partition, at.offset, math.inf)) - 1
    if index < 0:
        return False
    found = ranges[index]
    return found[:2] == at[:2] and at.offset < found.end


def _digest(key: bytes, value: bytes, headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    parts = [key, value]
    for name, content in sorted(headers, key=lambda header: header[0]):
        parts += name.encode(), content or b""
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def _total(digests: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()
