"""The live part of the demo: send what the generator makes, watch what becomes of it, time it.

Imports formats, kafka and ops. Read next: `demo.py`.
"""

import asyncio
import time
from collections import Counter
from typing import NamedTuple

from streams.cli.demo_view import View
from streams.core.codes import Fate
from streams.errors import CheckFailedError
from streams.formats.demo import demo_beats
from streams.formats.demo_world import demo_grants
from streams.kafka.publish import Publisher, wall_ms
from streams.ops.topic_reader import Record, TopicReader, open_reader
from streams.settings import Settings
from streams.wire.codec import decode_decision_batch, decode_notification
from streams.wire.topics import CONSENT_REQUESTS, DECISIONS, DELIVERY, EVENT_TOPICS, LINK_REQUESTS

DECIDE_TIMEOUT_S = 30.0
VIEW_S = 0.1
_FATES = {Fate.NOTIFY: "told", Fate.SUPPRESS: "silent", Fate.DUPLICATE: "duplicates", Fate.REJECT: "refused"}


class Latency(NamedTuple):
    """Milliseconds from sending an event to the append of its notification; None without a notification."""

    p50: float | None
    p99: float | None


def latency_of(samples: list[int]) -> Latency:
    """Return the percentiles of samples by nearest rank. Never raises."""
    ranked = sorted(samples)
    if not ranked:
        return Latency(None, None)
    p50, p99 = (ranked[max(0, -(-len(ranked) * percent // 100) - 1)] for percent in (50, 99))
    return Latency(p50, p99)


class Story:
    """One run: made-up people, `rate` records a second on average for `seconds`, until all are decided."""

    def __init__(self, settings: Settings, view: View, *, rate: float, seconds: float, seed: int) -> None:
        self.latencies: list[int] = []
        self.counts: Counter[str] = Counter({"sent": 0} | dict.fromkeys(_FATES.values(), 0))
        self._settings = settings
        self._view = view
        self._rate, self._seconds, self._seed = rate, seconds, seed
        self._sent_at: dict[str, int] = {}
        self._decided: dict[tuple[str, int], int] = {}
        self._announced = self._shown = 0
        self._wanted: dict[tuple[str, int], int] | None = None
        self._all_decided = asyncio.Event()
        self._ends_at = 0.0

    async def run(self) -> None:
        """Tell the whole story.

        Raises:
            CheckFailedError: not all that was sent was decided within 30 s.
            NotifierError: Kafka is away or refuses us.
        """
        async with open_reader(self._settings, [DELIVERY, DECISIONS]) as reader:
            await reader.to_end()
            await reader.next(0)
            before = await self._ends()
            watching = asyncio.create_task(self._watch(reader))
            try:
                await self._send()
                ends = await self._ends()
                sent = {place: end for place, end in ends.items() if end > before[place]}
                await self._until_decided(sent, watching)
            finally:
                watching.cancel()
                await asyncio.wait([watching])

    async def _ends(self) -> dict[tuple[str, int], int]:
        async with open_reader(self._settings, EVENT_TOPICS) as reader:
            return await reader.ends()

    async def _send(self) -> None:
        async with Publisher(self._settings, (*EVENT_TOPICS, CONSENT_REQUESTS, LINK_REQUESTS)) as publisher:
            await publisher.send_linked(demo_grants(self._seed, wall_ms()))
            due = time.monotonic()
            self._ends_at = due + self._seconds
            for beat in demo_beats(self._seed, self._rate, wall_ms):
                due += beat.delay_s
                if due > self._ends_at:
                    return
                await asyncio.sleep(due - time.monotonic())
                if isinstance(beat.value, bytes):
                    await publisher.send_bytes(beat.topic, beat.key, beat.value)
                else:
                    # The first sending counts: a repeat is not told, so no notification is measured from it.
                    self._sent_at.setdefault(beat.value.event_id, wall_ms())
                    await publisher.send(beat.topic, beat.value)
                self.counts["sent"] += 1

    async def _watch(self, reader: TopicReader) -> None:
        while True:
            for record in await reader.next(round(VIEW_S * 1000)):
                if record.topic == DELIVERY:
                    self._see_notification(record)
                else:
                    self._see_decisions(record)
            self._view.counted(self.counts, max(0.0, self._ends_at - time.monotonic()))
            # The notifications of a decision are committed with it, but come by another partition.
            if self._is_all_decided() and self._shown >= self._announced:
                self._all_decided.set()

    def _is_all_decided(self) -> bool:
        return self._wanted is not None and not self._undecided(self._wanted)

    def _undecided(self, wanted: dict[tuple[str, int], int]) -> list[str]:
        return [
            f"{place[0]}/{place[1]}" for place, end in wanted.items() if self._decided.get(place, 0) < end
        ]

    def _see_notification(self, record: Record) -> None:
        notification = decode_notification(record.value or b"")
        sent_at = self._sent_at.get(notification.source_event_id)
        if sent_at is not None:
            self.latencies.append(record.timestamp_ms - sent_at)
        self._shown += 1
        self._view.told(record, notification)

    def _see_decisions(self, record: Record) -> None:
        batch = decode_decision_batch(record.value or b"")
        for read in batch.inputs:
            self._decided[read.topic, batch.partition] = read.next_offset
        for fate, _reason, _kind, records in batch.counts:
            self.counts[_FATES.get(Fate(fate), "other")] += records
        self._announced += sum(row.outcome == Fate.NOTIFY for row in batch.decisions)

    async def _until_decided(
        self, wanted: dict[tuple[str, int], int], watching: "asyncio.Task[None]"
    ) -> None:
        self._wanted = wanted
        waiting = asyncio.create_task(self._all_decided.wait())
        both = {watching, waiting}
        done, _ = await asyncio.wait(both, timeout=DECIDE_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if watching in done:
            await watching
        if not done:
            missing = ", ".join(self._undecided(wanted)) or "none, but not all that was decided was told"
            raise CheckFailedError(
                f"Not decided {DECIDE_TIMEOUT_S:.0f} s after the last event: {missing}. "
                "Is another worker stuck? `notifier doctor` checks the cluster."
            )
