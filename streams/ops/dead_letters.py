"""Dead letters for people: listed, opened with the operator's key, and sent once more.

A letter says where the refused record is and why it was refused; the record itself is read where it was
refused, as long as it is kept, and only after that from the letter. Sending again is no way around consent:
the record goes back to its own topic and is decided like any other. Imports `keys`, `topic_reader`, wire,
core. Read next: `streams/cli/dlq.py`.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from joserfc.jwk import OKPKey

from streams.core.codes import ConsentAction, LinkAction, Reason
from streams.core.pseudonyms import SALT_BYTES, evidence_pseudonym
from streams.errors import CheckFailedError
from streams.kafka.admin import require_topics
from streams.kafka.connection import client_options, our_errors
from streams.kafka.publish import Publisher, wall_ms
from streams.ops.consent_states import consent_values
from streams.ops.explain import Position, parse_position
from streams.ops.keys import unseal
from streams.ops.topic_reader import Progress, Record, TopicReader, open_reader
from streams.settings import Settings
from streams.wire.codec import (
    Evidence,
    EvidenceKind,
    decode_consent_request,
    decode_consent_state,
    decode_link_request,
    encode_evidence,
)
from streams.wire.partition import partition_of
from streams.wire.topics import CONSENT_EVIDENCE, CONSENT_REQUESTS, DEAD_LETTERS, EVENT_TOPICS, LINK_REQUESTS

REPLAYED_HEADER = "notifier.replayed"
"""On dead letters: a mark that the record it names was sent again."""
REPLAY_HEADER = "notifier.replay-of"
"""On a record that was sent again: where it was refused."""
MAX_RECORD_BYTES = 4 << 20
RECORDS_PER_TRANSACTION = 500

_SOURCES = (*EVENT_TOPICS, CONSENT_REQUESTS, LINK_REQUESTS)
_NEVER = {
    Reason.NO_KEY.name: "it has no key, so it is of no subject",
    Reason.TOMBSTONE.name: "it has no value",
    Reason.TOO_LARGE.name: "its value is over the limit",
}


class Letter(NamedTuple):
    """One dead letter: where it is, which record it speaks of, why, and since when (UTC ms)."""

    at: Position
    source: Position
    reason: str
    message: str
    appended_ms: int
    key: bytes | None
    has_value: bool
    is_replayed: bool

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, without key or value."""
        return {
            "letter": str(self.at),
            "source": str(self.source),
            "reason": self.reason,
            "message": self.message,
            "appended_at": self.appended_ms,
            "has_value": self.has_value,
            "replayed": self.is_replayed,
        }


class Choice(NamedTuple):
    """Which letters are meant: those at these positions, or about records there, and of these reasons.

    An empty one means all.
    """

    positions: frozenset[Position] = frozenset()
    reasons: frozenset[str] = frozenset()

    def takes(self, letter: Letter) -> bool:
        """Tell whether a letter is meant."""
        return (not self.positions or self.names(letter)) and (
            not self.reasons or letter.reason in self.reasons
        )

    def names(self, letter: Letter) -> bool:
        """Tell whether a letter is asked for by position."""
        return letter.at in self.positions or letter.source in self.positions


class Original(NamedTuple):
    """A refused record as it can be had: from its topic, or from the sealed letter (then without headers)."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class Plan(NamedTuple):
    """What sending a letter's record again would do.

    `refused` says why it is not done; None: `original` is sent.
    """

    letter: Letter
    original: Original | None
    refused: str | None


async def letters(settings: Settings, progress: Progress | None = None) -> list[Letter]:
    """Return every dead letter that is kept, oldest first.

    Raises:
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """
    found: list[tuple[Record, Position]] = []
    marks: set[Position] = set()
    async with open_reader(settings, [DEAD_LETTERS]) as reader:
        async for record in reader.rest(progress):
            headers = dict(record.headers)
            mark = parse_position(headers.get(REPLAYED_HEADER, b"").decode("utf-8", "replace"))
            source = _source(headers)
            if mark is not None:
                marks.add(mark)
            elif source is not None:
                found.append((record, source))
    return [_letter(record, source, source in marks) for record, source in found]


async def one_letter(settings: Settings, position: Position) -> Letter:
    """Return the letter at a position of the dead letters, or the one about a record at that position.

    Raises:
        CheckFailedError: there is none.
    """
    for letter in await letters(settings):
        if position in (letter.at, letter.source):
            return letter
    raise CheckFailedError(f"No dead letter is at {position}, or about it; `notifier dlq list` names them.")


async def opened(settings: Settings, letter: Letter, key: OKPKey, actor: str) -> bytes | None:
    """Return a letter's value, None if it has none, and leave evidence that somebody looked at it.

    The evidence is stored first: without it nothing is shown.

    Raises:
        CheckFailedError: the value was sealed for another key.
    """
    if not letter.has_value:
        return None
    async with open_reader(settings, [DEAD_LETTERS], [letter.at.partition]) as reader:
        record = await reader.record_at(*letter.at)
    if record is None or record.value is None:
        return None
    value = unseal(key, record.value)
    await _leave_evidence(settings, letter, actor)
    return value


async def plan(
    settings: Settings, choice: Choice, key: OKPKey | None, progress: Progress | None = None
) -> list[Plan]:
    """Return what sending the records of the chosen letters again would do, one plan for each record.

    Args:
        settings: where Kafka is.
        choice: which letters. What was sent again before, and refused again, is sent only if it is named.
        key: opens sealed values, for records that are not kept any more.
        progress: told how many of how many letters were looked at.
    """
    chosen = {one.source: one for one in await letters(settings) if choice.takes(one)}
    by_place: dict[tuple[str, int], list[Letter]] = {}
    for letter in chosen.values():
        by_place.setdefault((letter.source.topic, letter.source.partition), []).append(letter)
    plans: list[Plan] = []
    async with open_reader(settings, [DEAD_LETTERS]) as sealed:
        for (topic, partition), group in by_place.items():
            async with open_reader(settings, [topic], [partition]) as reader:
                for letter in group:
                    plans.append(await _plan_one(reader, sealed, letter, key, is_named=choice.names(letter)))
                    if progress is not None:
                        progress(len(plans), len(chosen))
    return await _of_consenting(settings, plans)


async def replay(
    settings: Settings, choice: Choice, key: OKPKey | None, progress: Progress | None = None
) -> list[Plan]:
    """Send the records of the chosen letters again, and return what was planned and done.

    Each goes with a mark that it was sent, in one transaction. Whoever did the same before us is fenced
    before we look at what is marked, so that no record is sent twice.
    """
    async with _sender(settings) as producer:
        plans = await plan(settings, choice, key, progress)
        due = [(one.letter, one.original) for one in plans if one.original is not None]
        info = await require_topics(settings, {*(one.source.topic for one, _ in due), DEAD_LETTERS})
        for start in range(0, len(due), RECORDS_PER_TRANSACTION):
            async with producer.transaction():
                sent = []
                for letter, original in due[start : start + RECORDS_PER_TRANSACTION]:
                    topic, mark = letter.source.topic, str(letter.source).encode()
                    for name, value, headers in (
                        (topic, original.value, [*original.headers, (REPLAY_HEADER, mark)]),
                        (DEAD_LETTERS, None, [(REPLAYED_HEADER, mark)]),
                    ):
                        partition = partition_of(original.key, info.topics[name].partitions)
                        sent.append(
                            await producer.send(name, value, original.key, partition, headers=headers)
                        )
                await asyncio.gather(*sent)
    return plans


@asynccontextmanager
async def _sender(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """Give a transactional producer that has fenced any other of its kind."""
    async with our_errors(settings):
        producer = AIOKafkaProducer(
            **client_options(settings),
            transactional_id=f"{settings.app_id}.dead-letters",
            transaction_timeout_ms=settings.transaction_timeout_ms,
            max_request_size=MAX_RECORD_BYTES,
        )
        try:
            await producer.start()
            yield producer
        finally:
            await producer.stop()


async def _of_consenting(settings: Settings, plans: list[Plan]) -> list[Plan]:
    """Refuse the events of subjects that nobody has a consent for: they would only be stored once more."""
    subjects = {
        one.original.key.decode("utf-8", "replace"): one
        for one in plans
        if one.original is not None and one.letter.source.topic in EVENT_TOPICS
    }
    known = {subject.encode() for subject in await consent_values(settings, subjects)}
    return [
        Plan(one.letter, None, "nobody has a consent for its subject")
        if one.original is not None
        and one.letter.source.topic in EVENT_TOPICS
        and one.original.key not in known
        else one
        for one in plans
    ]


async def _plan_one(
    reader: TopicReader, sealed: TopicReader, letter: Letter, key: OKPKey | None, *, is_named: bool
) -> Plan:
    if letter.is_replayed:
        return Plan(letter, None, "it was sent again already")
    if letter.reason in _NEVER:
        return Plan(letter, None, _NEVER[letter.reason])
    record = await reader.record_at(*letter.source)
    if record is not None and REPLAY_HEADER in dict(record.headers) and not is_named:
        return Plan(letter, None, "it was sent again before, and refused again: name it to send it once more")
    if record is not None and record.key and record.value is not None:
        original = Original(record.key, record.value, record.headers)
    elif record is not None:
        return Plan(letter, None, "it has no key or no value")
    elif letter.has_value and key is None:
        why = "the record is not kept any more; its letter has the value, sealed: give the key"
        return Plan(letter, None, why)
    else:
        found = await sealed.record_at(*letter.at) if letter.has_value else None
        if found is None or not found.key or found.value is None or key is None:
            return Plan(letter, None, "the record is not kept any more")
        original = Original(found.key, unseal(key, found.value), ())
    if letter.source.topic not in EVENT_TOPICS and not _only_takes_back(letter.source.topic, original.value):
        return Plan(letter, None, "a grant is not sent again by others: ask who made it to make it anew")
    return Plan(letter, original, None)


def _only_takes_back(topic: str, value: bytes) -> bool:
    if topic == LINK_REQUESTS:
        link = decode_link_request(value)
        return link is not None and link.action in (LinkAction.UNLINK, LinkAction.FORGET)
    request = decode_consent_request(value)
    return request is not None and request.action in (ConsentAction.REVOKE, ConsentAction.ERASE)


async def _leave_evidence(settings: Settings, letter: Letter, actor: str) -> None:
    subject = (letter.key or b"").decode("utf-8", "replace")
    value = (await consent_values(settings, [subject])).get(subject)
    state = decode_consent_state(value) if value is not None else None
    salt = state.salt if state is not None else None
    salt = salt or secrets.token_bytes(SALT_BYTES)  # of nobody: a pseudonym that leads nowhere
    key = settings.evidence_key.encode() if settings.evidence_key is not None else salt
    who = evidence_pseudonym(key, "S", subject)
    evidence = Evidence(EvidenceKind.ACCESS, wall_ms(), who, None, str(letter.source), actor=actor)
    async with Publisher(settings, [CONSENT_EVIDENCE]) as publisher:
        await publisher.send_bytes(CONSENT_EVIDENCE, who.encode(), encode_evidence(evidence))


def _source(headers: dict[str, bytes]) -> Position | None:
    parts = (headers.get(f"__streams.errors.{name}", b"") for name in ("topic", "partition", "offset"))
    found = parse_position(b"/".join(parts).decode("utf-8", "replace"))
    return found if found is not None and found.topic in _SOURCES else None


def _letter(record: Record, source: Position, is_replayed: bool) -> Letter:
    headers = dict(record.headers)
    return Letter(
        Position(*record[:3]),
        source,
        headers.get("notifier.error.code", b"").decode("utf-8", "replace"),
        headers.get("__streams.errors.message", b"").decode("utf-8", "replace"),
        record.timestamp_ms,
        record.key,
        record.value is not None,
        is_replayed,
    )
