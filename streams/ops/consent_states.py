"""Reads consents as the workers have stored them, and says who stands behind the pseudonyms of decisions.

A name is found only while its consent is kept: whoever was erased has none any more. Imports `topic_reader`,
wire and core. Read next: `explain.py`.
"""

from collections.abc import Collection, Mapping

from streams.core.consent import ConsentState
from streams.core.pseudonyms import subject_pseudonym, user_pseudonym
from streams.kafka.admin import require_topics
from streams.ops.topic_reader import Progress, open_reader
from streams.settings import Settings
from streams.wire.codec import decode_consent_state
from streams.wire.partition import partition_of
from streams.wire.topics import CONSENT_STATE


async def consent_values(
    settings: Settings, subjects: Collection[str], progress: Progress | None = None
) -> dict[str, bytes]:
    """Return the stored consent states of `subjects` as bytes; those without any are absent.

    Raises:
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """
    info = await require_topics(settings, [CONSENT_STATE])
    keys = {subject.encode(): subject for subject in subjects}
    partitions = sorted({partition_of(key, info.topics[CONSENT_STATE].partitions) for key in keys})
    found: dict[str, bytes] = {}
    if not partitions:
        return found
    async with open_reader(settings, [CONSENT_STATE], partitions) as reader:
        async for record in reader.rest(progress):
            subject = keys.get(record.key or b"")
            if subject is None:
                continue
            if record.value is None:
                found.pop(subject, None)
            else:
                found[subject] = record.value
    return found


async def behind(
    settings: Settings, partition: int, pseudonyms: Collection[str], progress: Progress | None = None
) -> dict[str, bytes]:
    """Return, by subject, the stored consent states of the subjects that these pseudonyms stand for.

    Every state of the partition number is read.

    Raises:
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """
    found: dict[str, bytes] = {}
    async with open_reader(settings, [CONSENT_STATE], [partition]) as reader:
        async for record in reader.rest(progress):
            subject = (record.key or b"").decode("utf-8", "replace")
            found.pop(subject, None)
            state = None if record.value is None else decode_consent_state(record.value)
            if (
                state is not None
                and record.value is not None
                and subject_pseudonym(state.salt, subject) in pseudonyms
            ):
                found[subject] = record.value
    return found


def names_of(state: ConsentState) -> dict[str, str]:
    """Return subject and holders by their pseudonyms. Never raises."""
    users = {user_pseudonym(state.salt, one.user_id): one.user_id for one in state.holders}
    return {subject_pseudonym(state.salt, state.subject): state.subject, **users}


def all_names(values: Mapping[str, bytes]) -> dict[str, str]:
    """Return subjects and holders by their pseudonyms; a state that cannot be read names nobody."""
    names: dict[str, str] = {}
    for value in values.values():
        state = decode_consent_state(value)
        if state is not None:
            names |= names_of(state)
    return names
