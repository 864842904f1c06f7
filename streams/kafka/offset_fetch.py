"""OffsetFetch as aiokafka does not encode it: with offsets of unfinished transactions told as such.

Without `require_stable` (KIP-447) Kafka answers with the offset before a transaction whose end marker is
missing, as if there were none. Field for field as in Kafka's message definitions. Imports the Kafka client
only. Read next: `positions.py`. Source: KIP-447; Kafka 4.3 protocol (key 9, version 7).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    Int16,
    Int32,
    Int64,
    Schema,
)

from streams.kafka.compact_types import NO_TAGS, NUMBERS, TAGS, TEXT, by_topic, each

UNSTABLE_OFFSET_COMMIT = 88  # which aiokafka does not know by number


class OffsetFetchResponse7(Response):
    """See `committed_offsets`."""

    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        by_topic(
            each(
                ("partition", Int32),
                ("offset", Int64),
                ("leader_epoch", Int32),
                ("metadata", TEXT),
                ("error_code", Int16),
            )
        ),
        ("error_code", Int16),
        TAGS,
    )


class OffsetFetchStruct7(RequestStruct):
    """OffsetFetch 7."""

    FLEXIBLE_VERSION = True
    API_KEY = 9
    API_VERSION = 7
    RESPONSE_TYPE = OffsetFetchResponse7
    SCHEMA = Schema(
        ("group_id", TEXT),
        by_topic(NUMBERS),
        ("require_stable", Boolean),
        TAGS,
    )


class OffsetFetchRequest7(Request[OffsetFetchStruct7]):
    """Asks a group's coordinator for offsets of partitions, by topic."""

    API_KEY = 9

    def __init__(self, group_id: str, topics: Mapping[str, Sequence[int]]) -> None:
        self._group_id = group_id
        self._topics = [(topic, list(partitions), NO_TAGS) for topic, partitions in topics.items()]

    def build(self, request_struct_class: type[OffsetFetchStruct7]) -> OffsetFetchStruct7:
        """Return the request."""
        return request_struct_class(self._group_id, self._topics, True, NO_TAGS)


def committed_offsets(answer: Any) -> dict[tuple[str, int], int] | None:
    """Return the next offsets of an OffsetFetchResponse7 by topic and partition, where there are any.

    None: at least one belongs to a transaction that has no end marker yet.

    Raises:
        aiokafka.errors.KafkaError: the coordinator refused.
    """
    found: dict[tuple[str, int], int] = {}
    codes = {answer.error_code}
    for topic, partitions, *_ in answer.topics:
        for partition, offset, _epoch, _metadata, code, *_more in partitions:
            codes.add(code)
            if offset >= 0:
                found[topic, partition] = offset
    if UNSTABLE_OFFSET_COMMIT in codes:
        return None
    for code in codes - {0}:
        raise for_code(code)
    return found
