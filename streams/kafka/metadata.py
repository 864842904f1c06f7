"""What a cluster says about itself and its topics, with topic ids: Metadata version 12, spoken by hand.

aiokafka stops at version 5, which has no topic ids; without them a topic that was deleted and made again
looks like the old one. Source: Kafka protocol guide, Metadata Request and Response (Version: 12), KIP-516.
Read next: `admin.py`.
"""

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

UUID_BYTES = 16


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """One topic: `topic_id` as Kafka prints it (base64url, 22 characters), how many partitions it has,
    and how many of them have no leader at the moment.
    """

    topic_id: str
    partitions: int
    leaderless: int = 0


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """One cluster: its id and its topics by name."""

    cluster_id: str
    topics: dict[str, TopicInfo]


class _Uuid(AbstractType):  # type: ignore[misc]  # aiokafka ships no types
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(UUID_BYTES)


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc]  # aiokafka ships no types
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc]  # aiokafka ships no types
    """Ask for all topics, creating none. Needs Kafka 3.1; aiokafka raises NotImplementedError before."""

    API_KEY = 3

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> _MetadataRequestStruct:
        """Return the request of the version negotiated by aiokafka. Never raises."""
        return request_struct_class(None, False, False, {})


def cluster_info(response: Any) -> ClusterInfo:
    """Return what a Metadata response (version 12) says, topics in error left out. Never raises."""
    topics = {}
    for error_code, name, topic_id, _internal, partitions, _operations, _tags in response.topics:
        if error_code == 0 and name is not None:
            leaderless = sum(leader < 0 for _error, _partition, leader, *_rest in partitions)
            topics[name] = TopicInfo(_printed(topic_id), len(partitions), leaderless)
    return ClusterInfo(response.cluster_id or "", topics)


def _printed(topic_id: bytes) -> str:
    return base64.urlsafe_b64encode(topic_id).rstrip(b"=").decode("ascii")
