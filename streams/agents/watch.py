"""Looks at the cluster while a worker runs: topics that changed end it, a standstill starts it anew, and a
Kafka that does not answer is a reason not to be ready.

Every look has connections of its own: one that is silently dead must not be the judge of the others. Read
next: `worker.py`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from time import monotonic
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.agents.progress import StandstillWatch
from streams.errors import NotifierError, StandstillError, TopicError
from streams.kafka.admin import describe
from streams.kafka.carrier import Carrier
from streams.kafka.connection import client_options
from streams.kafka.link_owner import INPUTS as LINK_INPUTS
from streams.kafka.link_stage import LinkStage
from streams.kafka.metadata import ClusterInfo
from streams.kafka.partition_owner import INPUTS
from streams.kafka.partition_task import Standing
from streams.ops.metrics import Metrics
from streams.settings import Settings
from streams.wire.topics import TOPICS

LOOK_S = 5.0
LONGEST_ANSWER_S = 20.0
RETRYING_FACTOR = 5  # of the stall timeout, where the task knows and tells what is wrong


class _Watched(NamedTuple):
    """The owned partitions of one key space: their name for a person, what they read, where they stand."""

    name: str
    inputs: tuple[str, ...]
    standings: Callable[[], Mapping[int, Standing]]
    progress: StandstillWatch


class Watch:
    """What a worker learns of the cluster beside its work.

    Args:
        expected: topics as they were at the start.
        on_failure: called once with why the worker cannot go on like this.
    """

    def __init__(
        self,
        settings: Settings,
        expected: ClusterInfo,
        carrier: Carrier,
        links: LinkStage,
        metrics: Metrics,
        on_failure: Callable[[NotifierError], None],
    ) -> None:
        self._settings = settings
        self._expected = expected
        self._watched = (
            _Watched("partition number", INPUTS, carrier.standings, StandstillWatch(2 * LOOK_S)),
            _Watched("link partition number", LINK_INPUTS, links.standings, StandstillWatch(2 * LOOK_S)),
        )
        self._metrics = metrics
        self._on_failure = on_failure
        self._still: dict[tuple[str, int], float] = {}
        self._is_away = False

    def reasons(self) -> list[str]:
        """Return why the worker is not ready, as far as this watch knows."""
        told = [
            f"{name} {number}: has stood still for {seconds:.0f} s with records before it"
            for (name, number), seconds in self._slow().items()
        ]
        return [*told, "Kafka does not answer"] if self._is_away else told

    async def run(self) -> None:
        """Look again and again, until something is found that ends the worker."""
        last = monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            fault: NotifierError | None = await self._changed_topic()
            now = monotonic()
            if fault is None and await self._has_looked(now - last):
                fault = self._standstill()
            last = now
            if fault is not None:
                self._on_failure(fault)
                return

    async def _has_looked(self, elapsed_s: float) -> bool:
        """Look at the progress of what is owned; False, and nothing is known, where the ends are not."""
        ends = None
        if not self._is_away:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(LONGEST_ANSWER_S):
                    ends = await self._ends()
        self._still = {}
        for one in self._watched:
            if ends is None:
                one.progress.forget()
                continue
            still = one.progress.look(elapsed_s, one.standings(), ends)
            self._still |= {(one.name, number): seconds for number, seconds in still.items()}
        self._metrics.stalled(len(self._slow()))
        return ends is not None

    def _slow(self) -> dict[tuple[str, int], float]:
        """Return what has stood still for half of what is allowed."""
        limit_s = self._settings.stall_timeout_s / 2
        return {place: seconds for place, seconds in self._still.items() if seconds >= limit_s}

    def _standstill(self) -> StandstillError | None:
        limit_s = self._settings.stall_timeout_s
        standings = {
            (one.name, number): standing
            for one in self._watched
            for number, standing in one.standings().items()
        }
        over = sorted(
            place
            for place, seconds in self._still.items()
            if place in standings
            and seconds >= limit_s * (RETRYING_FACTOR if standings[place].is_retrying else 1)
        )
        if not over:
            return None
        told = ", ".join(f"{name} {number}" for name, number in over)
        return StandstillError(
            f"{told} have stood still for {limit_s} s and more with records before them; "
            "this worker starts anew"
        )

    async def _changed_topic(self) -> TopicError | None:
        """Return why nothing more may be decided: keys have moved, or positions mean nothing any more."""
        try:
            async with asyncio.timeout(LONGEST_ANSWER_S):
                present = await describe(self._settings)
        except (NotifierError, KafkaError, OSError, TimeoutError):
            self._is_away = True  # the clients reconnect by themselves
            return None
        self._is_away = False
        for topic in TOPICS:
            before, now = self._expected.topics[topic.name], present.topics.get(topic.name)
            if now is None or (now.topic_id, now.partitions) != (before.topic_id, before.partitions):
                return TopicError(
                    f"topic {topic.name} was deleted, created anew or given other partitions while this "
                    "worker ran; nothing more is decided. Check it with `notifier doctor`."
                )
        return None

    async def _ends(self) -> dict[tuple[str, int], int]:
        """Return the last stable offset of every input that this worker owns."""
        places = [
            TopicPartition(topic, number)
            for one in self._watched
            for number in one.standings()
            for topic in one.inputs
        ]
        if not places:
            return {}
        consumer = AIOKafkaConsumer(
            **client_options(self._settings), enable_auto_commit=False, isolation_level="read_committed"
        )
        try:
            await consumer.start()
            found = await consumer.end_offsets(places)
        finally:
            await consumer.stop()
        return {(tp.topic, tp.partition): end for tp, end in found.items()}
