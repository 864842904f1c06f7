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
        """Compare the ids found with those of all events below the committed offsets.

        Args:
            found: Ids on the output topic.
            committed: Next offset of each partition that the contender committed.
            is_exact: Whether outputs of events beyond `committed` are a fault too.

        Returns:
            One line per kind of fault, empty if all is right. Never raises.
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
        told = {
            "that no event causes": strangers,
            "twice": repeated,
            "missing": lost,
            "beyond the committed offsets": early,
        }
        return [f"{count} notifications {what}" for what, count in told.items() if count]
