"""Where to go on: the group's committed offsets, compared with the position marker and the logs.

The greater of committed offset and marker wins: group offsets that were deleted or reset do not repeat what
is done. A log that ends below a position, another cluster, or a topic created anew means that positions mean
nothing any more: the worker refuses, and says what to do. Records that retention deleted unread are lost, and
counted. Source: DESIGN section 5. Read next: `partition_owner.py`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType

from streams.errors import StandstillError, TopicError
from streams.kafka.connection import client_options
from streams.kafka.metadata import ClusterInfo
from streams.kafka.offset_fetch import OffsetFetchRequest7, committed_offsets
from streams.kernel.record_batch import RecordBatch
from streams.settings import Settings
from streams.wire.codec import PositionMarker
from streams.wire.topics import LINK_STATE, NOTIFIER_STATE

_ANEW = (
    "run `notifier topics apply` and start with another NOTIFIER_APP_ID: everything still in the topics is "
    "then decided again"
)
_CURES = {
    NOTIFIER_STATE: f"if that is intended, delete the topics notifier.state and consent.state, {_ANEW}",
    LINK_STATE: f"if that is intended, delete the topic link.state, {_ANEW}, and older links are forgotten",
}
"""What to do if positions in a state topic mean nothing any more, by that topic."""


class StartPositions(NamedTuple):
    """Where to read each topic on, and how many offsets were deleted unread, where any were."""

    positions: dict[str, int]
    lost: dict[str, int]


class GroupOffsets:
    """Reads a group's committed offsets, and log ranges, over connections of its own."""

    def __init__(self, settings: Settings, group_id: str) -> None:
        self.group_id = group_id
        self._client = AIOKafkaClient(**client_options(settings))
        self._consumer = AIOKafkaConsumer(
            **client_options(settings), enable_auto_commit=False, isolation_level="read_uncommitted"
        )

    async def start(self) -> None:
        """Connect."""
        await self._client.bootstrap()
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._client.close()
        await self._consumer.stop()

    async def committed(self, topics: Sequence[str], partition: int) -> dict[str, int] | None:
        """Return the group's committed next offsets; topics without one are absent.

        None: some belong to a transaction that has no end marker.

        Raises:
            aiokafka.errors.KafkaError: the coordinator did not answer.
        """
        node = await self._client.coordinator_lookup(CoordinationType.GROUP, self.group_id)
        request = OffsetFetchRequest7(self.group_id, {topic: [partition] for topic in topics})
        answer = await self._client.send(node, request, group=ConnectionGroup.COORDINATION)
        found = committed_offsets(answer)
        return None if found is None else {topic: offset for (topic, _), offset in found.items()}

    async def ranges(self, topics: Sequence[str], partition: int) -> dict[str, tuple[int, int]]:
        """Return each log's first offset and end."""
        tps = [TopicPartition(topic, partition) for topic in topics]
        firsts = await self._consumer.beginning_offsets(tps)
        ends = await self._consumer.end_offsets(tps)
        return {tp.topic: (firsts[tp], ends[tp]) for tp in tps}


def marked_positions(marker: PositionMarker | None) -> dict[str, int]:
    """Return the next offset of every topic in a position marker."""
    return {} if marker is None else {place.topic: place.next_offset for place in marker.positions}


def goes_beyond(positions: Mapping[str, int], others: Mapping[str, int], topics: Sequence[str]) -> bool:
    """Tell whether one of these topics is further in `positions`; a topic that is absent is at 0."""
    return any(positions.get(topic, 0) > others.get(topic, 0) for topic in topics)


def start_positions(
    committed: Mapping[str, int],
    marker: PositionMarker | None,
    ranges: Mapping[str, tuple[int, int]],
    cluster: ClusterInfo,
    partition: int,
    state_topic: str = NOTIFIER_STATE,
) -> StartPositions:
    """Return where to read each topic on, raised to the log's start where retention removed unread records.

    A topic without any position is read from its log's start, and nothing counts as lost. `state_topic`
    holds the marker.

    Raises:
        TopicError: another cluster, a topic created anew, or a log that ends below its position.
    """
    marked, cure = marked_positions(marker), _CURES[state_topic]
    if marker is not None:
        if marker.cluster_id != cluster.cluster_id:
            raise TopicError(
                f"{state_topic}-{partition} was written for cluster {marker.cluster_id}, "
                f"this is {cluster.cluster_id}; {cure}"
            )
        for place in marker.positions:
            known = cluster.topics.get(place.topic)
            if known is not None and known.topic_id != place.topic_id:
                raise TopicError(
                    f"topic {place.topic} was deleted and created anew since partition {partition} "
                    f"was last processed; {cure}"
                )
    positions: dict[str, int] = {}
    lost: dict[str, int] = {}
    for topic, (first, end) in ranges.items():
        is_known = topic in committed or topic in marked
        position = max(committed.get(topic, 0), marked.get(topic, 0))
        if position > end:
            raise TopicError(
                f"{topic}-{partition} ends at offset {end}, but offset {position} was processed: "
                f"records were lost; {cure}"
            )
        positions[topic] = max(position, first)
        if is_known and first > position:
            lost[topic] = first - position
    return StartPositions(positions, lost)


def not_done(batches: Sequence[RecordBatch], positions: Mapping[str, int]) -> list[RecordBatch]:
    """Return what of `batches` lies at or after the next offsets of their topics.

    Raises:
        StandstillError: records between the position and a batch were never seen.
    """
    rest = []
    reached = dict(positions)
    for batch in batches:
        position = reached[batch.topic]
        if batch.next_offset <= position:
            continue
        if batch.position > position:
            where = f"{batch.topic}-{batch.partition}"
            raise StandstillError(
                f"{where}: records from offset {position} to {batch.position} were skipped; "
                "this worker starts anew, and reads them if they are still there"
            )
        rest.append(batch.since(position))
        reached[batch.topic] = batch.next_offset
    return rest
