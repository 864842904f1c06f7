"""Requests of KIP-890's second part, which aiokafka does not encode: transactions without adding to them.

From `transaction.version` 2 on, Produce 12 and TxnOffsetCommit 5 make partitions and groups part of the
transaction, and EndTxn 5 gives the producer epoch of the next one: two questions less a transaction, and a
request of an ended transaction that comes late cannot join the next. Field for field as in Kafka's message
definitions. Imports the Kafka client only. Read next: `transaction_requests.py`. Source: KIP-890; Kafka 4.3
protocol, decision record 0008.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import (
    Boolean,
    CompactBytes,
    Int16,
    Int32,
    Int64,
    Schema,
)

from streams.kafka.compact_types import NO_TAGS, TAGS, TEXT, by_topic, each

FEATURE = "transaction.version"
_FINALIZED_FEATURES = 2  # the tag
_NO_GENERATION = -1  # the fence is the transactional id's, not the group's
_FEATURES = each(("name", TEXT), ("max_version", Int16), ("min_version", Int16))


class FeaturesResponse(Response):
    """The tags hold the finalized features; see `finalized`."""

    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "api_versions",
            each(("api_key", Int16), ("min_version", Int16), ("max_version", Int16)),
        ),
        ("throttle_time_ms", Int32),
        TAGS,
    )


class FeaturesStruct(RequestStruct):
    """ApiVersions 3: its answer has a header without tags, whatever the version."""

    FLEXIBLE_VERSION = True
    API_KEY = 18
    API_VERSION = 3
    RESPONSE_TYPE = FeaturesResponse
    SCHEMA = Schema(("name", TEXT), ("version", TEXT), TAGS)

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> ResponseHeader_v0:
        """Read the header of the first version."""
        return ResponseHeader_v0.decode(read_buffer)


class FeaturesRequest(Request[FeaturesStruct]):
    """Asks a broker for the features of its cluster."""

    API_KEY = 18

    def build(self, request_struct_class: type[FeaturesStruct]) -> FeaturesStruct:
        """Return the request."""
        return request_struct_class("notifier", "1", NO_TAGS)


def finalized(answer: Any) -> dict[str, int]:
    """Return the level of each finalized feature of a FeaturesResponse."""
    packed = answer.tags.get(_FINALIZED_FEATURES)
    if packed is None:
        return {}
    return {name: level for name, level, *_ in _FEATURES.decode(BytesIO(packed)) or ()}


class ProduceResponse12(Response):
    """As Produce 9 and later have it."""

    API_KEY = 0
    API_VERSION = 12
    SCHEMA = Schema(
        by_topic(
            each(
                ("partition", Int32),
                ("error_code", Int16),
                ("offset", Int64),
                ("timestamp", Int64),
                ("log_start_offset", Int64),
                (
                    "record_errors",
                    each(("index", Int32), ("message", TEXT)),
                ),
                ("error_message", TEXT),
            )
        ),
        ("throttle_time_ms", Int32),
        TAGS,
    )


class ProduceStruct12(RequestStruct):
    """Produce 12."""

    FLEXIBLE_VERSION = True
    API_KEY = 0
    API_VERSION = 12
    RESPONSE_TYPE = ProduceResponse12
    SCHEMA = Schema(
        ("transactional_id", TEXT),
        ("required_acks", Int16),
        ("timeout", Int32),
        by_topic(each(("partition", Int32), ("records", CompactBytes))),
        TAGS,
    )


class ProduceRequest12(Request[ProduceStruct12]):
    """Writes batches, and makes their partitions part of the transaction."""

    API_KEY = 0

    def __init__(
        self,
        transactional_id: str,
        required_acks: int,
        timeout_ms: int,
        topics: Mapping[str, Sequence[tuple[int, bytearray]]],
    ) -> None:
        self._head = (transactional_id, required_acks, timeout_ms)
        self._topics = [
            (topic, [(partition, records, NO_TAGS) for partition, records in partitions], NO_TAGS)
            for topic, partitions in topics.items()
        ]

    def build(self, request_struct_class: type[ProduceStruct12]) -> ProduceStruct12:
        """Return the request."""
        return request_struct_class(*self._head, self._topics, NO_TAGS)


class TxnOffsetCommitResponse5(Response):
    """As TxnOffsetCommit 3 and later have it."""

    API_KEY = 28
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        by_topic(each(("partition", Int32), ("error_code", Int16)), "errors"),
        TAGS,
    )


class TxnOffsetCommitStruct5(RequestStruct):
    """TxnOffsetCommit 5."""

    FLEXIBLE_VERSION = True
    API_KEY = 28
    API_VERSION = 5
    RESPONSE_TYPE = TxnOffsetCommitResponse5
    SCHEMA = Schema(
        ("transactional_id", TEXT),
        ("group_id", TEXT),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation_id", Int32),
        ("member_id", TEXT),
        ("group_instance_id", TEXT),
        by_topic(
            each(
                ("partition", Int32),
                ("offset", Int64),
                ("leader_epoch", Int32),
                ("metadata", TEXT),
            )
        ),
        TAGS,
    )


class TxnOffsetCommitRequest5(Request[TxnOffsetCommitStruct5]):
    """Sets offsets of a group, and makes it part of the transaction."""

    API_KEY = 28

    def __init__(
        self,
        transactional_id: str,
        group_id: str,
        producer: tuple[int, int],
        offsets: Mapping[str, Sequence[tuple[int, int]]],
    ) -> None:
        self._head = (transactional_id, group_id, *producer, _NO_GENERATION, "", None)
        self._topics = [
            (topic, [(partition, offset, -1, "", NO_TAGS) for partition, offset in partitions], NO_TAGS)
            for topic, partitions in offsets.items()
        ]

    def build(self, request_struct_class: type[TxnOffsetCommitStruct5]) -> TxnOffsetCommitStruct5:
        """Return the request."""
        return request_struct_class(*self._head, self._topics, NO_TAGS)


class EndTxnResponse5(Response):
    """Has the producer id and epoch of the next transaction."""

    API_KEY = 26
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        TAGS,
    )


class EndTxnStruct5(RequestStruct):
    """EndTxn 5."""

    FLEXIBLE_VERSION = True
    API_KEY = 26
    API_VERSION = 5
    RESPONSE_TYPE = EndTxnResponse5
    SCHEMA = Schema(
        ("transactional_id", TEXT),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("committed", Boolean),
        TAGS,
    )


class EndTxnRequest5(Request[EndTxnStruct5]):
    """Commits a transaction."""

    API_KEY = 26

    def __init__(self, transactional_id: str, producer: tuple[int, int]) -> None:
        self._values = (transactional_id, *producer, True)

    def build(self, request_struct_class: type[EndTxnStruct5]) -> EndTxnStruct5:
        """Return the request."""
        return request_struct_class(*self._values, NO_TAGS)
