"""What processing remembers: chunks of a subject's state, and the marker of how far a partition has come.

Imports `frame`. Read next: `topics.py`.
"""

from typing import NamedTuple

from streams.wire.frame import framed_readers, framed_writer, read_own
from streams.wire.schemas import our_schemas
from streams.wire.varint import write_bytes, write_long


class TopicPosition(NamedTuple):
    """Position in one topic; `topic_id` is another one after the topic was created anew."""

    topic: str
    topic_id: str
    next_offset: int


class PositionMarker(NamedTuple):
    """How far a partition number has come; times are UTC milliseconds.

    `reminded_until`: see `core/expiry.py`, None before the first look. Source: position_marker.avsc.
    """

    cluster_id: str
    partition: int
    positions: tuple[TopicPosition, ...]
    chain_head: str
    written_at: int
    reminded_until: int | None = None


_STATE_FRAME = our_schemas().current("subject_state").frame
_STATE_READERS = framed_readers(our_schemas(), "subject_state", {})
_MARKER_TYPES = {"PositionMarker": PositionMarker, "TopicPosition": TopicPosition}
_MARKER_READERS = framed_readers(our_schemas(), "position_marker", _MARKER_TYPES)
_write_marker = framed_writer(our_schemas(), "position_marker")


def encode_subject_state(first_entry: int, entries: bytes) -> bytes:
    """Write a chunk with its frame; `entries` is packed as the core packs it.

    Raises ValueError over 64 bits.
    """
    return _STATE_FRAME + write_long(first_entry) + write_bytes(entries)


def decode_subject_state(value: bytes) -> tuple[int, bytes]:
    """Read a chunk: (number of its first entry, packed entries). Raises UndecodableError."""
    result: tuple[int, bytes] = read_own(_STATE_READERS, value)
    return result


def encode_position_marker(marker: PositionMarker) -> bytes:
    """Write a marker with its frame. Raises ValueError for what its schema cannot hold."""
    return _write_marker(marker)


def decode_position_marker(value: bytes) -> PositionMarker:
    """Read a marker. Raises UndecodableError."""
    result: PositionMarker = read_own(_MARKER_READERS, value)
    return result
