"""What the carrier tells of itself, as a contract that `streams/ops/metrics.py` fulfils.

Names are those of the closed lists in `streams/core/codes.py`. Read next: `partition_owner.py`.
"""

from collections.abc import Collection, Mapping
from typing import Literal, Protocol


class Observer(Protocol):
    """Takes numbers once per merged batch; must not block or raise."""

    def merged(
        self,
        topic: str,
        partition: int,
        fates: Mapping[tuple[str, str | None], int],
        decisions: Mapping[tuple[str, str | None], int],
        notified_kinds: Mapping[str, int],
        append_latencies_s: Mapping[float, int],
        lag_records: int,
        lag_seconds: float,
        transaction_seconds: float,
    ) -> None:
        """One topic of a committed batch."""

    def barrier_wait(self, partition: int, seconds: float) -> None:
        """A batch waited for consent."""

    def restore_progress(self, partition: int, topic: str, done: int, total: int) -> None:
        """A changelog is being read back."""

    def transaction(self, outcome: Literal["committed", "aborted", "unknown"], seconds: float) -> None:
        """A transaction ended."""

    def fold(self, outcome: str, reason: str | None, count: int) -> None:
        """Consent requests were folded."""

    def link(self, action: str, outcome: str, count: int) -> None:
        """Link requests were folded."""

    def link_revocations(self, n: int) -> None:
        """Unlinks wrote this many revocations."""

    def misrouted(self, n: int) -> None:
        """Records of other partitions were found."""

    def dead_letter(self, reason: str, n: int) -> None:
        """Dead letters were written."""

    def masked(self, field: str, n: int) -> None:
        """Numbers were masked in this field of so many notifications."""

    def notices(self, n: int) -> None:
        """So many people were told that a consent is about to end."""

    def dead_letter_ratio(self, ratio: float) -> None:
        """This share of the breaker's window went to dead letters, 0 to 1."""

    def lost(self, topic: str, n: int) -> None:
        """Retention deleted this many offsets before they were read."""

    def rebalance(self) -> None:
        """The group's assignment changed."""

    def assigned(self, partitions: Collection[int]) -> None:
        """These partition numbers are ours now."""
