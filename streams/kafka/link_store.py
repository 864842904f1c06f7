"""The links of one partition of the channel space in memory: what `link.state` holds, as committed.

Links stay encoded, as the log has them, and are decoded when a request asks for one. May import kernel, wire
and core. Read next: `link_owner.py`.
"""

from collections.abc import Mapping

from streams.core.links import LinkState
from streams.kafka.partition_store import MARKER_KEY
from streams.kernel.recent_requests import RecentRequests
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import PositionMarker, decode_link_state, decode_position_marker


class LinkStore:
    """Links by the raw bytes of their channel, which requests were answered, and the position marker."""

    def __init__(self) -> None:
        self.marker: PositionMarker | None = None
        self.recent = RecentRequests()
        self._links: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        """Return the number of links."""
        return len(self._links)

    def link(self, key: bytes) -> LinkState | None:
        """Return a channel's link, None without one. Raises UndecodableError for a broken log."""
        value = self._links.get(key)
        return None if value is None else decode_link_state(value)

    def load(self, batch: RecordBatch) -> None:
        """Take in a run of `link.state` records in log order; null values delete."""
        for key, value in zip(batch.keys, batch.values, strict=True):
            if key == MARKER_KEY:
                self.marker = None if value is None else decode_position_marker(value)
            elif key is not None:
                self._put(key, value)

    def merge(
        self, changes: Mapping[bytes, bytes | None], answered: Mapping[bytes, int], marker: PositionMarker
    ) -> None:
        """Take in what was committed: encoded links by channel, and offsets of requests by digest."""
        for key, value in changes.items():
            self._put(key, value)
        for request, offset in answered.items():
            self.recent.note(request, offset)
        self.marker = marker

    def _put(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self._links.pop(key, None)
        else:
            self._links[key] = value
