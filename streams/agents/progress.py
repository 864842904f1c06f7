"""Whether partition numbers get on: one that stands still while readable records lie before it is told.

Judged by progress, not by the process: a loop that turns, a heartbeat that is sent and a task that is there
say nothing of a reader that gets no records any more. Time is counted in looks, so that a process that was
paused is not taken for one that stood still. No I/O. Read next: `watch.py`.
"""

from collections.abc import Mapping
from typing import NamedTuple

from streams.kafka.partition_task import Standing


class _Seen(NamedTuple):
    standing: Standing
    still_s: float


class StandstillWatch:
    """Counts for how long each partition number has stood still with work before it.

    Args:
        longest_look_s: the most that one look adds, in seconds.
    """

    def __init__(self, longest_look_s: float) -> None:
        self._longest_look_s = longest_look_s
        self._seen: dict[int, _Seen] = {}

    def forget(self) -> None:
        """Begin anew: what happened meanwhile is not known."""
        self._seen = {}

    def look(
        self, elapsed_s: float, standings: Mapping[int, Standing], ends: Mapping[tuple[str, int], int]
    ) -> dict[int, float]:
        """Return the seconds for which each partition number has stood still; those that get on are absent.

        Args:
            elapsed_s: since the last look.
            standings: by partition number, all that are owned.
            ends: last stable offset by topic and partition.
        """
        before, self._seen = self._seen, {}
        step = min(elapsed_s, self._longest_look_s)
        for number, standing in standings.items():
            known = before.get(number)
            is_still = known is not None and known.standing.has_not_moved(standing)
            still_s = (
                known.still_s + step if known and is_still and _has_work(number, standing, ends) else 0.0
            )
            self._seen[number] = _Seen(standing, still_s)
        return {number: seen.still_s for number, seen in self._seen.items() if seen.still_s > 0}


def _has_work(number: int, standing: Standing, ends: Mapping[tuple[str, int], int]) -> bool:
    if not standing.is_restored:
        return True
    return any(
        ends.get((topic, number), 0) > offset
        for topic, offset in standing.reached.items()
        if topic in standing.readable
    )
