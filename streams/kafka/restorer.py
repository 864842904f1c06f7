"""Reads a partition number's store back: consents, states, and which consent requests were answered.

Goes on where the store stands; whether everything was there to be read is checked apart, when nothing of the
partition number can be open any more. May import kernel. Read next: `partition_owner.py`.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from streams.errors import OutcomeUnknownError
from streams.failpoints import reach
from streams.kafka.partition_store import ChangelogPositions, PartitionStore
from streams.kafka.positions import marked_positions
from streams.kafka.restore import read_to_end
from streams.kafka.worker_connections import Connections
from streams.kernel.recent_requests import WINDOW, RecentRequests
from streams.kernel.record_batch import RecordBatch
from streams.settings import Settings
from streams.wire.topics import CONSENT_REQUESTS, CONSENT_RESULTS, CONSENT_STATE, NOTIFIER_STATE

MOST_LOOK = 64 * WINDOW
"""Offsets of a topic of answers that are read at most."""


class PartitionReader:
    """Reads topics of one partition number to their ends; `restored` counts the offsets that were read.

    Args:
        tell: called with topic, offsets read and offsets to read after each fetch.
    """

    def __init__(
        self, settings: Settings, partition: int, tell: Callable[[str, int, int], None] | None = None
    ) -> None:
        self._settings = settings
        self._partition = partition
        self._tell = tell
        self.restored = 0

    async def read(self, topic: str, start: int, take: Callable[[RecordBatch], None]) -> tuple[int, int]:
        """Read from `start` on, see `read_to_end`; return where it ended and how many offsets there were."""
        await reach("restore")
        before = offsets = 0

        def progress(done: int, total: int) -> None:
            nonlocal before, offsets
            self.restored += done - before
            before, offsets = done, total
            if self._tell is not None:
                self._tell(topic, done, total)

        end = await read_to_end(self._settings, topic, self._partition, start, take, progress)
        return end, offsets


class Restorer:
    """Reads for one partition number."""

    def __init__(self, shared: Connections, partition: int) -> None:
        self._shared = shared
        self._partition = partition
        self._reader = PartitionReader(
            shared.settings, partition, partial(shared.observer.restore_progress, partition)
        )
        self._read = self._reader.read

    @property
    def restored(self) -> int:
        """Return how many offsets were read so far."""
        return self._reader.restored

    async def restore(self, store: PartitionStore) -> None:
        """Read changelogs and answers from where the store stands to their ends.

        Raises:
            aiokafka.errors.KafkaError: the broker is away.
        """
        known = store.positions
        consents, _ = await self._read(CONSENT_STATE, known.consents, store.load_consents)
        states, _ = await self._read(NOTIFIER_STATE, known.states, store.load_states)
        store.positions = ChangelogPositions(consents, states, await self._read_answers(store))
        store.marker_at = None

    async def is_in_log(self, store: PartitionStore) -> bool:
        """Tell whether the last that a store took in without reading it, which was committed, can be read.

        Another worker may have ended it as aborted: how a transaction ended whose end markers Kafka lost is
        forgotten when the transactional id is initialised.

        Raises:
            aiokafka.errors.KafkaError: the broker is away.
        """
        if store.marker_at is None:
            return True
        offsets: list[int] = []
        await self._read(NOTIFIER_STATE, store.marker_at, lambda batch: offsets.extend(batch.offsets))
        return store.marker_at in offsets

    async def check_ends(self, store: PartitionStore) -> None:
        """Check that everything was read back: nobody else writes these logs, and nothing of ours is open.

        Raises:
            OutcomeUnknownError: a transaction of a producer id that this partition number has no more.
        """
        known = store.positions
        read = {CONSENT_STATE: known.consents, NOTIFIER_STATE: known.states}
        read[CONSENT_RESULTS] = known.answers or 0
        ranges = await self._shared.offsets.ranges(tuple(read), self._partition)
        check_read(read, ranges, self._partition)

    async def _read_answers(self, store: PartitionStore) -> int:
        """Read which requests were answered, from where the store stands or as far back as it matters."""
        known, take = store.positions.answers, store.recent.load
        if known is not None:
            return (await self._read(CONSENT_RESULTS, known, take))[0]
        needed = marked_positions(store.marker).get(CONSENT_REQUESTS, 0) - WINDOW
        return await read_answers(
            lambda start: self._read(CONSENT_RESULTS, start, take), store.recent, needed
        )


async def read_answers(
    read: Callable[[int], Awaitable[tuple[int, int]]], recent: RecentRequests, needed: int
) -> int:
    """Read which requests were answered, as far back as it matters; return where reading ended.

    Args:
        read: reads so many offsets before the end (a negative number) into `recent`; returns where it ended
            and how many offsets there were.
        recent: what is known of the answers.
        needed: offset of the first request whose answer matters.
    """
    look = WINDOW
    while True:  # answers stand between the marks of transactions, and what was aborted
        position, count = await read(-look)
        first = recent.first_offset
        if count < look or look >= MOST_LOOK or (first is not None and first <= needed):
            return position
        look *= 8


def check_read(read: Mapping[str, int], ranges: Mapping[str, tuple[int, int]], partition: int) -> None:
    """Check that each topic was read to its end, which nobody but the owner moves on.

    Raises:
        OutcomeUnknownError: a transaction of a producer id that this partition number has no more.
    """
    for topic, position in read.items():
        if position < ranges[topic][1]:
            raise OutcomeUnknownError(
                f"{topic}-{partition} can be read to offset {position} of {ranges[topic][1]}: "
                "a transaction there has no end, see docs/operations.md (End markers that Kafka lost)"
            )
