"""Everything that is kept of one person and one subject, for the person: access and portability.

Consents, links, evidence, what was decided and what was sent; nothing of other holders. Imports
`consent_states`, `links`, `topic_reader`, `receipts`, wire and core. Read next: `streams/cli/consent.py`.
"""

from collections.abc import Callable
from typing import Any

from streams.core.codes import Fate, Kind, Reason
from streams.core.consent import ConsentState
from streams.core.pseudonyms import evidence_pseudonym, subject_pseudonym, user_pseudonym
from streams.kafka.admin import require_topics
from streams.ops.consent_states import consent_values
from streams.ops.explain import MEANINGS
from streams.ops.links import link_json, links_naming
from streams.ops.receipts import instant
from streams.ops.topic_reader import Progress, Record, open_reader
from streams.settings import Settings
from streams.wire.codec import (
    DecisionRow,
    Evidence,
    UndecodableError,
    decode_consent_state,
    decode_decision_batch,
    decode_evidence,
    decode_notification,
)
from streams.wire.partition import partition_of
from streams.wire.topics import CONSENT_EVIDENCE, DECISIONS, DELIVERY

Told = dict[str, Any]


async def export(
    settings: Settings,
    subject: str,
    user_id: str,
    consent_json: Callable[[ConsentState], dict[str, Any]],
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return what is kept of a person and a subject, as JSON values.

    What was decided before an erasure is not in it: nobody can tell any more whom it was about. What concerns
    the subject and nobody of its holders, as a value that nobody can read, is in it from the person's first
    consent that is kept on.

    Args:
        settings: where Kafka is.
        subject: the account or shop customer.
        user_id: the person.
        consent_json: makes JSON values of a state.
        progress: told how far the decisions are read.

    Raises:
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """
    value = (await consent_values(settings, [subject])).get(subject)
    state = decode_consent_state(value) if value is not None else None
    if state is not None:
        state = state._replace(holders=tuple(one for one in state.holders if one.user_id == user_id))
    salt = None if state is None else state.salt
    since = _since(state)
    rows = await _decided(settings, subject, user_id, salt, since, progress)
    told = {row.notification_id for _, row in rows if row.notification_id is not None}
    return {
        "subject": subject,
        "user_id": user_id,
        "consents": None if state is None else consent_json(state)["holders"],
        "links": [link_json(one, subject) for one in await links_naming(settings, subject, user_id)],
        "evidence": await _evidence(settings, subject, user_id, salt, since),
        "decisions": [_row_json(at, row) for at, row in rows],
        "sent": await _sent(settings, user_id, told),
    }


def _since(state: ConsentState | None) -> int | None:
    """Return from when on the holders that are left have a consent, None without any."""
    starts = [version.effective_at for one in state.holders for version in one.versions] if state else []
    return min(starts, default=None)


async def _decided(
    settings: Settings,
    subject: str,
    user_id: str,
    salt: bytes | None,
    since: int | None,
    progress: Progress | None,
) -> list[tuple[int, DecisionRow]]:
    own, person = subject_pseudonym(salt, subject), user_pseudonym(salt, user_id)
    found = []
    async with open_reader(settings, [DECISIONS], [await _home(settings, DECISIONS, subject)]) as reader:
        async for record in reader.rest(progress):
            batch = decode_decision_batch(record.value or b"")
            found += [
                (batch.decided_at, row)
                for row in batch.decisions
                if row.subject == own and _is_theirs(row.holder, person, batch.decided_at, since)
            ]
    return found


def _is_theirs(holder: str | None, person: str, at_ms: int, since: int | None) -> bool:
    return holder == person or (holder is None and since is not None and at_ms >= since)


async def _sent(settings: Settings, user_id: str, ids: set[str]) -> list[Told]:
    key = user_id.encode()
    found = []
    async with open_reader(settings, [DELIVERY], [await _home(settings, DELIVERY, user_id)]) as reader:
        async for record in reader.rest():
            told = _notification(record) if record.key == key else None
            if told is not None and told["notification_id"] in ids:
                found.append({**told, "appended_at": instant(record.timestamp_ms)})
    return found


async def _evidence(
    settings: Settings, subject: str, user_id: str, salt: bytes | None, since: int | None
) -> list[dict[str, Any]]:
    key = settings.evidence_key.encode() if settings.evidence_key is not None else salt or b""
    own, person = (evidence_pseudonym(key, letter, name) for letter, name in (("S", subject), ("U", user_id)))
    found: list[Evidence] = []
    async with open_reader(
        settings, [CONSENT_EVIDENCE], [await _home(settings, CONSENT_EVIDENCE, own)]
    ) as log:
        async for record in log.rest():
            if record.key == own.encode() and record.value is not None:
                one = decode_evidence(record.value)
                found += [one] if _is_theirs(one.user, person, one.happened_at, since) else []
    return [
        {
            name: text
            for name, text in one._asdict().items()
            if text is not None and name not in ("subject", "user")
        }
        for one in found
    ]


async def _home(settings: Settings, topic: str, key: str) -> int:
    info = await require_topics(settings, [topic])
    return partition_of(key.encode(), info.topics[topic].partitions)


def _notification(record: Record) -> Told | None:
    """Return a notification as JSON values, None for anything else."""
    try:
        told = decode_notification(record.value or b"")
    except UndecodableError:
        return None
    return {name: value for name, value in told._asdict().items() if value is not None}


def _row_json(decided_at: int, row: DecisionRow) -> dict[str, Any]:
    reason = None if row.reason is None else Reason(row.reason)
    return {
        "decided_at": instant(decided_at),
        "topic": row.topic,
        "offset": row.offset,
        "event_id": row.event_id,
        "outcome": Fate(row.outcome).name,
        "reason": None if reason is None else reason.name,
        "meaning": None if reason is None else MEANINGS.get(reason),
        "kind": None if row.kind is None else Kind(row.kind).name,
        "consent_version": row.consent_version,
        "notification_id": row.notification_id,
    }
