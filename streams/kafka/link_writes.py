"""Turns folded link requests into the records that make them durable: topic, partition, key.

May import kernel, wire and core. Read next: `link_owner.py`.
"""

from collections.abc import Mapping

from streams.kafka.metadata import ClusterInfo
from streams.kafka.partition_store import MARKER_KEY
from streams.kafka.write_set import WriteSet
from streams.kernel.fold_links import FoldedLinks
from streams.wire.codec import (
    PositionMarker,
    TopicPosition,
    encode_consent_request,
    encode_link_result,
    encode_link_state,
    encode_position_marker,
)
from streams.wire.partition import partition_of
from streams.wire.topics import CONSENT_REQUESTS, DEAD_LETTERS, LINK_REQUESTS, LINK_RESULTS, LINK_STATE


class LinkWriter:
    """Knows the partitions of the cluster's topics and writes results of one partition of links."""

    def __init__(self, cluster: ClusterInfo, partition: int) -> None:
        self._cluster = cluster
        self._partition = partition
        self.slots = [(LINK_STATE, partition), (LINK_RESULTS, partition)]
        """Every partition that it may write to: of other topics it does not choose the keys."""
        for topic in (CONSENT_REQUESTS, DEAD_LETTERS):
            self.slots += [(topic, number) for number in range(cluster.topics[topic].partitions)]

    def encoded(self, result: FoldedLinks) -> dict[bytes, bytes | None]:
        """Return the links that changed, by channel; None where one ended."""
        return {
            key: None if state is None else encode_link_state(state) for key, state in result.changes.items()
        }

    def folds(
        self, result: FoldedLinks, changes: Mapping[bytes, bytes | None], marker: PositionMarker
    ) -> WriteSet:
        """Return everything that a result writes, the marker last."""
        writes = WriteSet()
        for request in result.revocations:
            key = request.subject.encode()
            writes.add(
                CONSENT_REQUESTS, self._home(CONSENT_REQUESTS, key), key, encode_consent_request(request)
            )
        for channel, value in changes.items():
            writes.add(LINK_STATE, self._partition, channel, value)
        for channel, answer in result.answers:
            writes.add(LINK_RESULTS, self._partition, channel, encode_link_result(answer))
        for letter in result.dead_letters:
            home = self._home(DEAD_LETTERS, letter.key) if letter.key else self._any_home(DEAD_LETTERS)
            writes.add(DEAD_LETTERS, home, letter.key, None, letter.headers)
        writes.add(LINK_STATE, self._partition, MARKER_KEY, encode_position_marker(marker))
        return writes

    def tick(self, marker: PositionMarker) -> WriteSet:
        """Return the marker alone: the log goes on, and what is old is compacted."""
        writes = WriteSet()
        writes.add(LINK_STATE, self._partition, MARKER_KEY, encode_position_marker(marker))
        return writes

    def marker(self, next_offset: int, now_ms: int) -> PositionMarker:
        """Return the marker for this next offset."""
        place = TopicPosition(LINK_REQUESTS, self._cluster.topics[LINK_REQUESTS].topic_id, next_offset)
        return PositionMarker(self._cluster.cluster_id, self._partition, (place,), "", now_ms)

    def _home(self, topic: str, key: bytes) -> int:
        return partition_of(key, self._cluster.topics[topic].partitions)

    def _any_home(self, topic: str) -> int:
        return self._partition % self._cluster.topics[topic].partitions
