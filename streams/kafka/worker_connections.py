"""What the partitions of one worker share: connections, settings, and what everything is decided with.

Read next: `partition_owner.py`.
"""

import asyncio
from collections.abc import Callable

from streams.core.policy import Policy
from streams.kafka.barrier import HighWatermarks
from streams.kafka.breaker import DeadLetterBreaker
from streams.kafka.consent_reader import ConsentReader
from streams.kafka.metadata import ClusterInfo
from streams.kafka.observer import Observer
from streams.kafka.positions import GroupOffsets
from streams.kafka.result_writes import Seal
from streams.kernel.fold_batch import Secrets
from streams.kernel.path import Path
from streams.settings import Settings
from streams.wire.topics import CONSENT_REQUESTS

Clock = Callable[[], int]
"""Returns the present as UTC milliseconds."""


class Connections:
    """What the partitions of one worker share.

    Args:
        secrets: see `Secrets`.
        seal: encrypts values of dead letters; None: they are left out.
    """

    def __init__(
        self,
        settings: Settings,
        cluster: ClusterInfo,
        policy: Policy,
        clock: Clock,
        observer: Observer,
        path: Path,
        secrets: Secrets,
        seal: Seal | None,
    ) -> None:
        self.settings = settings
        self.cluster = cluster
        self.policy = policy
        self.clock = clock
        self.observer = observer
        self.path = path
        self.secrets = secrets
        self.seal = seal
        self.partitions = cluster.topics[CONSENT_REQUESTS].partitions
        self.watermarks = HighWatermarks(settings)
        self.requests = ConsentReader(settings)
        self.offsets = GroupOffsets(settings, settings.app_id)
        self.turn = asyncio.Lock()
        self.breaker = DeadLetterBreaker(settings.dead_letter_percent, settings.dead_letter_window_records)

    async def start(self) -> None:
        """Connect all of them."""
        await self.watermarks.start()
        await self.requests.start()
        await self.offsets.start()

    async def stop(self) -> None:
        """Disconnect all of them."""
        await self.requests.stop()
        await self.watermarks.stop()
        await self.offsets.stop()
