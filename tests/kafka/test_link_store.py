"""The links of a partition are what the log says, the last record of each channel."""

from collections.abc import Sequence

import pytest

from streams.core.codes import LinkStatus
from streams.core.links import LinkState
from streams.kafka.link_store import LinkStore
from streams.kafka.partition_store import MARKER_KEY
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import (
    PositionMarker,
    UndecodableError,
    encode_link_state,
    encode_position_marker,
)

MARKER = PositionMarker("cluster", 0, (), "", 1)
LATER = MARKER._replace(written_at=2)


def link(channel: str, *subjects: str) -> LinkState:
    return LinkState(channel, "anna", subjects, LinkStatus.LINKED, 5, 7)


def log(*records: tuple[bytes | None, bytes | None]) -> RecordBatch:
    count = len(records)
    columns: tuple[Sequence[bytes | None], Sequence[bytes | None]] = (
        [key for key, _ in records],
        [value for _, value in records],
    )
    return RecordBatch("link.state", 0, range(count), [0] * count, *columns, [()] * count, 0, count)


def test_the_last_record_of_a_channel_counts_and_a_tombstone_deletes() -> None:
    store, one, two = LinkStore(), link("psid:1", "a"), link("psid:1", "a", "b")
    values = encode_link_state(one), encode_link_state(two)
    marks = encode_position_marker(MARKER), encode_position_marker(LATER)
    store.load(log((b"psid:1", values[0]), (MARKER_KEY, marks[0]), (b"psid:2", values[0]), (None, b"x")))
    store.load(log((b"psid:1", values[1]), (b"psid:2", None), (MARKER_KEY, marks[1])))
    assert (store.link(b"psid:1"), store.link(b"psid:2"), len(store)) == (two, None, 1)
    assert store.marker == LATER


def test_what_was_committed_is_taken_in_without_reading_it() -> None:
    store, known = LinkStore(), link("psid:1", "a")
    store.merge({b"psid:1": encode_link_state(known), b"psid:2": None}, {b"digest": 4}, MARKER)
    assert (store.link(b"psid:1"), store.marker) == (known, MARKER)
    assert store.recent.knows(b"digest", 5)
    store.merge({b"psid:1": None}, {}, LATER)
    assert (store.link(b"psid:1"), store.marker, len(store)) == (None, LATER, 0)


def test_a_link_that_cannot_be_read_is_a_fault_of_the_world() -> None:
    store = LinkStore()
    store.load(log((b"psid:1", b"broken")))
    with pytest.raises(UndecodableError):
        store.link(b"psid:1")
