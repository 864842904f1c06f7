"""Why was somebody told, or not: the decisions of one event, found in the decision log and put into words.

Decisions name subjects and holders by pseudonyms; the names behind them are those of the consents that are
still kept. Imports `consent_states`, `topic_reader`, wire and core. The decision log holds no payload:
neither do these answers.
Read next: `streams/cli/explain.py`.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from streams.core.codes import Fate, Kind, Reason
from streams.core.expiry import RULE, days_of
from streams.errors import ConfigurationError
from streams.kafka.admin import describe
from streams.ops.consent_states import all_names, behind, consent_values
from streams.ops.decision_index import DecisionIndex
from streams.ops.receipts import instant
from streams.ops.topic_reader import Progress, open_reader
from streams.settings import Settings
from streams.wire.codec import DecisionBatch, DecisionRow, decode_decision_batch
from streams.wire.topics import CONSENT_REQUESTS, CONSENT_STATE, DECISIONS, EVENT_TOPICS

ID_HEADER = "ce_id"

MEANINGS: Mapping[Reason, str] = MappingProxyType({
    Reason.NO_CONSENT: "nobody has consented to be told about this subject, so the event was never opened",
    Reason.CONSENT_UNREADABLE: "its last consent request could not be read; nobody is told until the next",
    Reason.NOT_EFFECTIVE: "the consent was not in effect yet when the event happened",
    Reason.REVOKED: "the consent was revoked",
    Reason.EXPIRED: "the consent has expired",
    Reason.PURPOSE: "the consent does not cover this purpose",
    Reason.DIRECTION: "the consent does not cover this direction of money",
    Reason.BELOW_MINIMUM: "the amount is below the person's minimum, or the balance is not low enough",
    Reason.CURRENCY_NO_RULE: "the person's threshold is in another currency, so it cannot be compared",
    Reason.STALE: "the event was too old to be told when it was decided",
    Reason.UNCHANGED: "the person had already been told as much, or more",
    Reason.REMOVED: "the bank removed the transaction",
    Reason.LISTED_OUT: "the person's list leaves it out",
    Reason.QUIET: "it fell into the person's quiet hours",
    Reason.THROTTLED: "the person had got too many messages",
    Reason.STATE_LIMIT: "what must be remembered of the subject does not fit, so it could be a double",
    Reason.CAPACITY: "there was no capacity left for this message",
    Reason.NO_KEY: "the record has no key, so it belongs to no subject",
    Reason.MISROUTED: "the key belongs to another partition: the producer must use the murmur2 partitioner",
    Reason.SUBJECT_MISMATCH: "the subject in the value is not the key of the record",
    Reason.UNDECODABLE: "the value cannot be decoded",
    Reason.UNKNOWN_SCHEMA: "the value names a schema that this topic does not have",
    Reason.TOO_LARGE: "the value is larger than allowed",
    Reason.INVALID: "a field of the value breaks its limits",
    Reason.FUTURE: "the event claims to happen more than five minutes in the future",
    Reason.TOMBSTONE: "the record has no value",
})  # fmt: skip
"""What each reason means, for a person; a clause without a full stop."""


class Position(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class Explanation(NamedTuple):
    """What became of one record.

    `outcome` is notified, suppressed, duplicate, rejected, not_opened, undecided, absent or unknown;
    `position` is None only with unknown. `rows` hold what each holder met, `names` the subject and users that
    are known by their pseudonyms.
    """

    outcome: str
    position: Position | None
    sentence: str
    event_id: str | None = None
    decided_at: int | None = None
    rows: tuple[DecisionRow, ...] = ()
    names: Mapping[str, str] = MappingProxyType({})


_OUTCOMES: Mapping[int, tuple[str, str]] = {
    Fate.NOTIFY: ("notified", "Somebody was told"),
    Fate.SUPPRESS: ("suppressed", "Nobody was told"),
    Fate.DUPLICATE: ("duplicate", "Nobody was told again: this was told before"),
    Fate.REJECT: ("rejected", "The record was refused and went to the dead letters"),
}


def parse_position(text: str) -> Position | None:
    """Return the position that TOPIC/PARTITION/OFFSET names, None for any other text. Never raises."""
    found = re.fullmatch(r"([A-Za-z0-9._-]+)/([0-9]{1,9})/([0-9]{1,18})", text)
    return Position(found[1], int(found[2]), int(found[3])) if found else None


async def explain(
    settings: Settings, asked: str, progress: Progress | None = None, index: DecisionIndex | None = None
) -> list[Explanation]:
    """Return what became of each record with that event id, or of the record at TOPIC/PARTITION/OFFSET.

    Of a consent request: the notices that the consent which it made is about to end, each by itself.
    Reads the decision log from its start, or where `index`, which has caught up, says; for an id that it does
    not name, the events' `ce_id` headers too.

    Raises:
        ConfigurationError: the position names a partition that does not exist.
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """
    position = parse_position(asked)
    if position is not None and position.topic == CONSENT_REQUESTS:
        return await _named(settings, await _notices(settings, position, progress), index)
    if position is not None:
        return await _named(settings, [await _explain_position(settings, position, progress, index)], index)
    found = await _rows_of(settings, asked, progress, index)
    if not found:
        positions = await _positions_with_id(settings, asked, progress)
        found = [await _explain_position(settings, one, progress, index) for one in positions]
    return await _named(settings, found or [_unknown(asked)], index)


def in_words(explanation: Explanation) -> str:
    """Return the explanation as lines for a person. Never raises."""
    head = str(explanation.position) if explanation.position else "unknown"
    at = f"; decided at {instant(explanation.decided_at)}" if explanation.decided_at is not None else ""
    about = f" (event {explanation.event_id})" if explanation.event_id else ""
    lines = [f"{head}{about}: {explanation.sentence}{at}."]
    lines += [f"  {_row_words(row, explanation.names)}" for row in explanation.rows]
    return "\n".join(lines)


def as_json(explanation: Explanation) -> dict[str, Any]:
    """Return the explanation as JSON values, codes by name. Never raises."""
    return {
        "outcome": explanation.outcome,
        "position": str(explanation.position) if explanation.position else None,
        "event_id": explanation.event_id,
        "decided_at": explanation.decided_at,
        "explanation": explanation.sentence,
        "subject": next((explanation.names.get(row.subject or "") for row in explanation.rows), None),
        "holders": [_row_json(row, explanation.names) for row in explanation.rows],
    }


async def _named(
    settings: Settings, found: list[Explanation], index: DecisionIndex | None
) -> list[Explanation]:
    """Add the names behind the pseudonyms, as far as events and consents are still kept."""
    notices = [one for one in found if is_notice(one)]
    if notices:
        return [await _with_names_behind(settings, one) if one in notices else one for one in found]
    places = [one.position for one in found if one.rows and one.position is not None]
    subjects = set()
    for topic, partition in sorted({place[:2] for place in places}):
        async with open_reader(settings, [topic], [partition]) as reader:
            for place in places:
                if place[:2] == (topic, partition):
                    record = await reader.record_at(*place)
                    subjects.add("" if record is None else (record.key or b"").decode("utf-8", "replace"))
    if not subjects - {""}:
        return found
    names = all_names(await _consents(settings, subjects - {""}, index))
    return [one._replace(names=names) for one in found]


async def _with_names_behind(settings: Settings, notice: Explanation) -> Explanation:
    """Add names to a notice: the request behind it may be long deleted, and no event is."""
    at, pseudonyms = notice.position, {row.subject for row in notice.rows if row.subject is not None}
    assert at is not None
    return notice._replace(names=all_names(await behind(settings, at.partition, pseudonyms)))


async def _consents(settings: Settings, subjects: set[str], index: DecisionIndex | None) -> dict[str, bytes]:
    if index is None:
        return await consent_values(settings, subjects)
    found = {}
    for subject in subjects:
        place = index.consent(subject)
        if place is not None:
            async with open_reader(settings, [CONSENT_STATE], [place[0]]) as reader:
                record = await reader.record_at(CONSENT_STATE, *place)
            if record is not None and record.value is not None:
                found[subject] = record.value
    return found


async def _explain_position(
    settings: Settings, at: Position, progress: Progress | None, index: DecisionIndex | None
) -> Explanation:
    decided_before = 0
    async with open_reader(settings, [DECISIONS], [await _checked(settings, at)]) as reader:
        if index is not None:
            place = index.span(*at)
            decided_before = index.decided_before(at.topic, at.partition)
            if place is None:
                await reader.to_end()
            else:
                reader.to_offset(DECISIONS, at.partition, place)
        async for record in reader.rest(progress):
            batch = decode_decision_batch(record.value or b"")
            for read in batch.inputs:
                if read.topic == at.topic and read.first_offset <= at.offset < read.next_offset:
                    return in_batch(batch, at)
                if read.topic == at.topic:
                    decided_before = max(decided_before, read.next_offset)
    return await _undecided(settings, at, decided_before)


async def _notices(settings: Settings, at: Position, progress: Progress | None) -> list[Explanation]:
    found = []
    async with open_reader(settings, [DECISIONS], [await _checked(settings, at)]) as reader:
        async for record in reader.rest(progress):
            batch = decode_decision_batch(record.value or b"")
            rows = tuple(row for row in batch.decisions if (row.topic, row.offset) == (at.topic, at.offset))
            if rows:
                found.append(of_rows(rows, at, batch.decided_at))
    sentence = (
        "Nobody was told that the consent of this request is about to end: the time for that (30, 7 and 1 "
        "days before) has not come or is over, or another request changed the consent before"
    )
    return found or [Explanation("unknown", at, sentence)]


async def _checked(settings: Settings, at: Position) -> int:
    info = await describe(settings)
    topic = info.topics.get(at.topic)
    if topic is not None and at.partition >= topic.partitions:
        last = topic.partitions - 1
        raise ConfigurationError(
            f"{at.topic} has no partition {at.partition}; its partitions are 0 to {last}."
        )
    return at.partition


def in_batch(batch: DecisionBatch, at: Position) -> Explanation:
    """Return what became of a record that lies in the ranges of a batch. Never raises."""
    rows = tuple(row for row in batch.decisions if (row.topic, row.offset) == (at.topic, at.offset))
    if rows:
        return of_rows(rows, at, batch.decided_at)
    runs = (run for run in batch.no_consent_runs if run.topic == at.topic)
    if any(run.first_offset <= at.offset <= run.last_offset for run in runs):
        return Explanation(
            "not_opened",
            at,
            f"Nobody was told: {MEANINGS[Reason.NO_CONSENT]}",
            None,
            batch.decided_at,
        )
    what = "There is no record at this position: it is a transaction mark, or the producer aborted it"
    return Explanation("absent", at, what)


def of_rows(rows: tuple[DecisionRow, ...], at: Position, decided_at: int) -> Explanation:
    """Return the explanation that the rows of one record, at least one, give. Never raises."""
    fate = min(row.outcome for row in rows)
    outcome, sentence = _OUTCOMES.get(fate, ("unknown", "It was decided by a newer version of the notifier"))
    if all(row.rule == RULE for row in rows):
        sentence = "Somebody was told that a consent is about to end"
    event_id = next((row.event_id for row in rows if row.event_id), None)
    return Explanation(outcome, at, sentence, event_id, decided_at, rows)


def is_notice(explanation: Explanation) -> bool:
    """Tell whether this is about a notice that a consent is about to end. Never raises."""
    return any(row.rule == RULE for row in explanation.rows)


async def _undecided(settings: Settings, at: Position, decided_before: int) -> Explanation:
    async with open_reader(settings, [at.topic], [at.partition]) as reader:
        first, end = await reader.bounds(at.topic, at.partition)
    if at.offset >= end:
        return Explanation(
            "absent", at, f"There is no record at this position yet; the next one will be {end}"
        )
    if at.offset < max(first, decided_before):
        return Explanation("unknown", at, "It was decided longer ago than decisions are kept")
    return Explanation("undecided", at, "It is not decided yet; a running worker decides it within seconds")


async def _rows_of(
    settings: Settings, event_id: str, progress: Progress | None, index: DecisionIndex | None
) -> list[Explanation]:
    found: dict[Position, Explanation] = {}
    if index is not None:
        for partition, offset in index.events(event_id):
            async with open_reader(settings, [DECISIONS], [partition]) as reader:
                record = await reader.record_at(DECISIONS, partition, offset)
            if record is not None:
                _add_rows(found, event_id, decode_decision_batch(record.value or b""))
        return list(found.values())
    async with open_reader(settings, [DECISIONS]) as reader:
        async for record in reader.rest(progress):
            _add_rows(found, event_id, decode_decision_batch(record.value or b""))
    return list(found.values())


def _add_rows(found: dict[Position, Explanation], event_id: str, batch: DecisionBatch) -> None:
    hits: dict[Position, list[DecisionRow]] = {}
    for row in batch.decisions:
        if row.event_id == event_id:
            hits.setdefault(Position(row.topic, batch.partition, row.offset), []).append(row)
    for at, rows in hits.items():
        found.setdefault(at, of_rows(tuple(rows), at, batch.decided_at))


async def _positions_with_id(settings: Settings, event_id: str, progress: Progress | None) -> list[Position]:
    wanted = (ID_HEADER, event_id.encode())
    async with open_reader(settings, EVENT_TOPICS) as reader:
        return [Position(*one[:3]) async for one in reader.rest(progress) if wanted in one.headers]


def _unknown(event_id: str) -> Explanation:
    sentence = (
        "No decision names this event. Either nobody has consented (such events are never opened, so ask by "
        "TOPIC/PARTITION/OFFSET), or it is not decided yet, or it was decided more than 30 days ago"
    )
    return Explanation("unknown", None, sentence, event_id)


def _row_words(row: DecisionRow, names: Mapping[str, str]) -> str:
    who = names.get(row.holder, f"holder {row.holder}") if row.holder else "for everybody"
    kind = f" {_name(Kind, row.kind)}" if row.kind is not None else ""
    match row.outcome:
        case Fate.NOTIFY:
            when = _before_the_end(row)
            what = f"told{kind}{when and f' {when}'}, notification {row.notification_id}"
        case Fate.DUPLICATE:
            what = f"not told{kind} again: the same was told before"
        case _:
            reason = _reason(row)
            meaning = MEANINGS.get(reason, "for a reason that this version does not know") if reason else ""
            what = f"not told{kind}: {meaning} ({_name(Reason, row.reason)})"
    consent = f", consent {row.consent_id} version {row.consent_version}" if row.consent_id else ""
    return f"{who}: {what}{consent} [rule {row.rule}]"


def _row_json(row: DecisionRow, names: Mapping[str, str]) -> dict[str, Any]:
    reason = _reason(row)
    return {
        "holder": names.get(row.holder or ""),
        "pseudonym": row.holder,
        "outcome": _name(Fate, row.outcome),
        "reason": _name(Reason, row.reason),
        "meaning": MEANINGS.get(reason) if reason else _before_the_end(row) or None,
        "rule": row.rule,
        "kind": _name(Kind, row.kind),
        "consent_id": row.consent_id,
        "consent_version": row.consent_version,
        "notification_id": row.notification_id,
    }


def _before_the_end(row: DecisionRow) -> str:
    """Return for a notice how long before the end of the consent it came due, empty for other decisions."""
    days = days_of(row.event_id) if row.rule == RULE and row.event_id is not None else None
    return f"{days} day{'s' if days > 1 else ''} before the consent ends" if days else ""


def _reason(row: DecisionRow) -> Reason | None:
    return None if row.reason is None or row.reason not in MEANINGS else Reason(row.reason)


def _name(codes: type[Fate | Kind | Reason], value: int | None) -> str | None:
    return None if value is None else codes(value).name
