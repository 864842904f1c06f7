"""What the two changelogs of a partition number hold together: consents and memory, of one moment.

A transaction shows in one topic a little before it shows in the other, so both are read until nothing was
written to the consents meanwhile. Imports `topic_reader`, kafka and wire. Read next: `snapshots.py`.
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from streams.errors import CheckFailedError
from streams.kafka.positions import GroupOffsets
from streams.ops.topic_reader import TopicReader, open_reader
from streams.settings import Settings
from streams.wire.topics import CONSENT_STATE, NOTIFIER_STATE

TRIES, WAIT_S = 100, 0.2


class Held(NamedTuple):
    """The last value of each key; the position marker is one of the `states`."""

    consents: Mapping[bytes, bytes]
    states: Mapping[bytes, bytes]


async def held_together(settings: Settings, offsets: GroupOffsets, partition: int) -> Held:
    """Read both changelogs of a partition number up to one and the same transaction.

    Args:
        settings: where Kafka is.
        offsets: gives the ends of logs, also of what is not committed yet; started.
        partition: the partition number.

    Raises:
        CheckFailedError: consents are written faster than they can be read.
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """
    consents: dict[bytes, bytes] = {}
    states: dict[bytes, bytes] = {}
    async with (
        open_reader(settings, [CONSENT_STATE], [partition]) as of_consents,
        open_reader(settings, [NOTIFIER_STATE], [partition]) as of_states,
    ):
        for _ in range(TRIES):
            end = await _end(offsets, partition)
            _, committed = await of_consents.bounds(CONSENT_STATE, partition)
            await _take(of_consents, consents)
            if committed == end:
                await _take(of_states, states)
                if await _end(offsets, partition) == end:
                    return Held(consents, states)
            await asyncio.sleep(WAIT_S)
    raise CheckFailedError(
        f"{CONSENT_STATE}/{partition} did not stand still while {NOTIFIER_STATE} was read: try again later."
    )


async def _end(offsets: GroupOffsets, partition: int) -> int:
    """Return where the consents end with what is not committed yet."""
    return (await offsets.ranges((CONSENT_STATE,), partition))[CONSENT_STATE][1]


async def _take(reader: TopicReader, into: dict[bytes, bytes]) -> None:
    async for record in reader.rest():
        if record.value is None:
            into.pop(record.key or b"", None)
        elif record.key is not None:
            into[record.key] = record.value
