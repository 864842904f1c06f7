"""Whether a contender's output is right, from the topics: each expected notification once, and no other."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from bench.workload import Workload


class Judge:
    """Knows every notification that the workload must cause."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        ids = ((workload.notification_id(number), number) for number in range(workload.events))
        self._number_of = {notification: number for notification, number in ids if notification is not None}

    def faults(self, found: Iterable[str], committed: Sequence[int], *, is_exact: bool) -> list[str]:
        """Return one line per kind of fault, empty if all is right; arguments as of `tally`. Never raises."""
        told = {
            "strangers": "that no event causes",
            "twice": "twice",
            "missing": "missing",
            "early": "beyond the committed offsets",
        }
        counts = self.tally(found, committed, is_exact=is_exact)
        return [f"{count} notifications {told[kind]}" for kind, count in counts.items() if count]

    def tally(self, found: Iterable[str], committed: Sequence[int], *, is_exact: bool) -> dict[str, int]:
        """Compare the ids found with those of all events below the committed offsets.

        Args:
            found: Ids on the output topic.
            committed: Next offset of each partition that the contender committed.
            is_exact: Whether outputs of events beyond `committed` are a fault too.

        Returns:
            How many are `missing`, there `twice`, `strangers` that no event causes, or `early`.
        """
        work = self._workload
        seen = bytearray(work.events)
        strangers = repeated = lost = early = 0
        for text in found:
            number = self._number_of.get(UUID(text).bytes)
            if number is None:
                strangers += 1
            elif seen[number]:
                repeated += 1
            else:
                seen[number] = 1
        for number in self._number_of.values():
            is_done = work.offsets[number] < committed[work.partition_of_account[work.accounts[number]]]
            lost += is_done and not seen[number]
            early += is_exact and not is_done and seen[number]
        return {"strangers": strangers, "twice": repeated, "missing": lost, "early": early}
