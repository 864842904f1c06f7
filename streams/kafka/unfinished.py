"""Ends what a partition's transactional id left without end markers, before anything is read back.

Kafka 4 can lose them; the next transaction would end such a one with its own outcome. Read next:
`partition_owner.py`, `link_owner.py`. Source: decision record 0012.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from streams.errors import OutcomeUnknownError, TornTransactionError
from streams.kafka.positions import GroupOffsets, goes_beyond
from streams.kafka.transactions import TransactionalProducer
from streams.kafka.write_set import Slot

LOOKS, LOOK_S = 4, 0.1
"""So often and at this distance before what seems unfinished is taken for it."""


class Unfinished:
    """What one transactional id may have left open.

    Args:
        offsets: of the group whose offsets its transactions commit.
        inputs: the topics of these offsets.
        together: those of them that are committed with the position marker.
    """

    def __init__(
        self,
        producer: TransactionalProducer,
        offsets: GroupOffsets,
        inputs: Sequence[str],
        together: Sequence[str],
        partition: int,
    ) -> None:
        self._producer = producer
        self._offsets = offsets
        self._inputs = inputs
        self._together = together
        self._partition = partition

    async def end(self, marked: Callable[[], Awaitable[Mapping[str, int]]]) -> dict[str, int]:
        """End a transaction whose end markers Kafka lost, as it had ended; call after the producer is opened.

        Return the group's committed offsets if there is none: nothing of ours can begin meanwhile.

        If nobody knows how, and nobody has seen anything of it, it is aborted. `marked` reads the positions
        of the marker.

        Raises:
            OutcomeUnknownError: ended; or it cannot be, and the message says why.
        """
        left, committed = await self._look()
        for _ in range(LOOKS):  # markers may be on their way to readers still
            if not left and committed is not None:
                return committed
            await asyncio.sleep(LOOK_S)
            left, committed = await self._look()
        places = ", ".join(f"{topic}-{number} from {at}" for (topic, number), at in sorted(left.items()))
        was_committed = self._producer.was_committed
        if was_committed is None:
            known = await marked()
            if left and committed is not None and goes_beyond(committed, known, self._together):
                raise TornTransactionError(
                    f"Kafka lost end markers of a transaction ({places}), yet its offsets are committed: "
                    "nothing is decided here until somebody ends it, see docs/operations.md (End markers "
                    "that Kafka lost)"
                )
        await self._producer.finish(left, self._offsets.group_id)
        raise OutcomeUnknownError(
            f"Kafka lost end markers of a transaction ({places or 'its offsets'}); "
            f"it is {'committed' if was_committed else 'aborted'} now, reading back"
        )

    async def _look(self) -> tuple[dict[Slot, int], dict[str, int] | None]:
        """Return what is open where, and the group's offsets, None if a transaction holds some."""
        left = await self._producer.unfinished()
        return left, await self._offsets.committed(self._inputs, self._partition)
