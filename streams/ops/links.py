"""Reads links as the workers have stored them: of a channel, or those that name a subject.

Imports `topic_reader`, wire and core. Read next: `export.py`.
"""

from collections.abc import Sequence
from typing import Any

from streams.core.codes import LinkStatus
from streams.core.links import LinkState
from streams.kafka.admin import require_topics
from streams.kafka.partition_store import MARKER_KEY
from streams.ops.receipts import instant
from streams.ops.topic_reader import open_reader
from streams.settings import Settings
from streams.wire.codec import decode_link_state
from streams.wire.partition import partition_of
from streams.wire.topics import LINK_STATE


async def link_of(settings: Settings, channel: str) -> LinkState | None:
    """Return the link of a channel, None without one.

    Raises:
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """
    info = await require_topics(settings, [LINK_STATE])
    key = channel.encode()
    home = partition_of(key, info.topics[LINK_STATE].partitions)
    return (await _links(settings, [home])).get(key)


async def links_naming(settings: Settings, subject: str, user: str | None) -> list[LinkState]:
    """Return every link that has a subject, of one person or (None) of anybody; reads all links.

    Raises:
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """
    links = (await _links(settings, None)).values()
    return [link for link in links if subject in link.subjects and user in (None, link.user_id)]


def link_json(link: LinkState, subject: str) -> dict[str, Any]:
    """Return what a link says of its person and one subject, as JSON values."""
    return {"channel_ref": link.channel_ref, "subject": subject, "linked_at": instant(link.linked_at)}


async def _links(settings: Settings, partitions: Sequence[int] | None) -> dict[bytes, LinkState]:
    values: dict[bytes, bytes | None] = {}
    async with open_reader(settings, [LINK_STATE], partitions) as reader:
        async for record in reader.rest():
            values[record.key or b""] = record.value
    values.pop(MARKER_KEY, None)
    links = {key: decode_link_state(value) for key, value in values.items() if value is not None}
    return {key: link for key, link in links.items() if link.status == LinkStatus.LINKED}
