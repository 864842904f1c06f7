"""Asks the cluster what a run left behind: a group's offsets, and where committed reading ends.

Imports confluent-kafka and `topics`. Read next: `__main__.py`.
"""

from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from verifier.invariants import Standing

TIMEOUT_S = 30.0


def standing(
    bootstrap: str,
    group: str,
    inputs: Iterable[str],
    outputs: Iterable[str],
    options: dict[str, Any] | None = None,
) -> Standing:
    """Return what the cluster says of a group's inputs, and where all of these topics end.

    `options` are librdkafka's. Raises KafkaException.
    """
    plain = {**(options or {}), "bootstrap.servers": bootstrap}
    admin = AdminClient(plain)
    read = _places(admin, inputs)
    return Standing(_committed(plain, group, read), _ends(admin, [*read, *_places(admin, outputs)]))


def _places(admin: AdminClient, topics: Iterable[str]) -> list[TopicPartition]:
    found = admin.list_topics(timeout=TIMEOUT_S).topics
    return [TopicPartition(topic, number) for topic in topics for number in found[topic].partitions]


def _committed(plain: dict[str, Any], group: str, places: list[TopicPartition]) -> dict[tuple[str, int], int]:
    """Ask as a consumer that never joins; an open transaction must not keep it waiting."""
    consumer = Consumer({**plain, "group.id": group, "isolation.level": "read_uncommitted"})
    try:
        found = consumer.committed(places, timeout=TIMEOUT_S)
    finally:
        consumer.close()
    return {(one.topic, one.partition): one.offset for one in found if one.offset >= 0}


def _ends(admin: AdminClient, places: list[TopicPartition]) -> dict[tuple[str, int], tuple[int, int]]:
    asked = {place: OffsetSpec.latest() for place in places}
    stable, high = (
        {
            (place.topic, place.partition): future.result(TIMEOUT_S).offset
            for place, future in admin.list_offsets(asked, isolation_level=level).items()
        }
        for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
    )
    return {place: (stable[place], end) for place, end in high.items()}
