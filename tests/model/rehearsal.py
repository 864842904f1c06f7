"""A run without a broker: the same sends and requests on a simulated clock, cut into batches as a worker
might cut them.

What comes out is the input half of a `Recording`: somebody must decide it before it can be compared.
"""

from typing import Any

from tests.model.desk import CUTS, Ask, encoded
from tests.model.driver import made
from tests.model.sources import Source
from verifier.evidence import EVENT_TOPICS
from verifier.model.partitions import partition_of
from verifier.model.rules import Record
from verifier.recording import Recording, Request

START_MS = 1_764_000_000_000
BATCH_RECORDS = 500
SPAN_MS = 180_000


class Rehearsal:
    """Time goes on evenly with every event, `SPAN_MS` in all; decisions are made `offset_ms` off that
    clock.
    """

    def __init__(self, partitions: int = 4, offset_ms: int = 0) -> None:
        self._offset_ms = offset_ms
        self._tick_ms = 1
        self._found = Recording(partitions)
        self._partitions = partitions
        self._now = START_MS
        self._times: dict[str, int] = {}
        self._done: dict[tuple[str, int], int] = {}
        for partition in range(partitions):
            self._found.requests[partition] = []
            self._found.batches[partition] = []
            self._found.events |= {(topic, partition): [] for topic in EVENT_TOPICS}

    def run(self, source: Source, asks: list[list[Ask]]) -> Recording:
        """The whole run: per phase its requests, then its share of the events."""
        start, self._tick_ms = 0, max(1, SPAN_MS // max(1, len(source.sends)))
        for phase, cut in zip(asks, CUTS, strict=True):
            end = int(len(source.sends) * cut)
            for ask in phase:
                self._ask(ask)
            for number, send in enumerate(source.sends[start:end], 1):
                self._send(send)
                if number % BATCH_RECORDS == 0:
                    self._cut()
            self._cut()
            start = end
        return self._found

    def _ask(self, ask: Ask) -> None:
        key = ask.subject.encode()
        log = self._found.requests[partition_of(key, self._partitions)]
        log.append(Request(len(log), key, encoded(ask, self._now), self._now))
        self._now += 1

    def _send(self, send: Any) -> None:
        at = self._times.get(send.same_time_as or "", self._now + send.shift_ms)
        self._times[send.fields["event_id"]] = at
        key, value, home = made(send, at, self._partitions)
        partition = partition_of(key or b"", self._partitions) if home is None else home
        log = self._found.events[send.topic, partition]
        log.append(Record(send.topic, partition, len(log), key, value))
        self._now += self._tick_ms

    def _cut(self) -> None:
        """One batch for every partition that has new records."""
        for partition in range(self._partitions):
            spans = []
            for topic in EVENT_TOPICS:
                first, after = (
                    self._done.get((topic, partition), 0),
                    len(self._found.events[topic, partition]),
                )
                if after > first:
                    ends = {"first_offset": first, "last_offset": after - 1, "next_offset": after}
                    spans.append({"topic": topic, **ends, "records": after - first})
                    self._done[topic, partition] = after
            if spans:
                folded = len(self._found.requests[partition])
                batch = {
                    "inputs": spans,
                    "consent_next_offset": folded,
                    "decided_at": self._now + self._offset_ms,
                }
                self._found.batches[partition].append({"partition": partition, **batch, "decisions": []})
