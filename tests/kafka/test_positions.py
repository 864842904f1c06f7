"""Where a partition goes on: the greater of offset and marker, and refusals with their cure."""

import pytest

from streams.errors import TopicError
from streams.kafka.metadata import ClusterInfo, TopicInfo
from streams.kafka.positions import start_positions
from streams.wire.codec import PositionMarker, TopicPosition

CLUSTER = ClusterInfo("C", {"t": TopicInfo("id-1", 4)})


def marker(offset: int, topic_id: str = "id-1", cluster: str = "C") -> PositionMarker:
    return PositionMarker(cluster, 0, (TopicPosition("t", topic_id, offset),), "", 0)


@pytest.mark.parametrize(
    ("committed", "marked", "expected", "lost"),
    [
        ({"t": 7}, marker(7), 7, {}),  # the usual case
        ({}, marker(7), 7, {}),  # group offsets were deleted
        ({"t": 2}, marker(7), 7, {}),  # group offsets were reset
        ({"t": 9}, marker(7), 9, {}),  # an operator skipped records
        ({}, None, 3, {}),  # the first start begins at the log's start
        ({"t": 0}, None, 3, {"t": 3}),  # retention removed what was not read
        ({}, marker(1), 3, {"t": 2}),
    ],
)
def test_the_greater_of_offset_and_marker_wins(
    committed: dict[str, int], marked: PositionMarker | None, expected: int, lost: dict[str, int]
) -> None:
    assert start_positions(committed, marked, {"t": (3, 20)}, CLUSTER, 0) == ({"t": expected}, lost)


@pytest.mark.parametrize(
    ("marked", "ends", "words"),
    [
        (marker(7, cluster="D"), 20, "cluster D"),
        (marker(7, topic_id="id-0"), 20, "created anew"),
        (marker(7), 3, "ends at offset 3"),
    ],
)
def test_a_position_that_means_nothing_is_refused_with_the_cure(
    marked: PositionMarker, ends: int, words: str
) -> None:
    with pytest.raises(TopicError, match=words) as refusal:
        start_positions({}, marked, {"t": (0, ends)}, CLUSTER, 0)
    assert "NOTIFIER_APP_ID" in refusal.value.message
