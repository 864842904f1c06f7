"""Finds records whose key belongs to another partition: producers that hash with CRC32 instead of murmur2.

A key with consent needs no check, consent keys are all verified. Of the others a bounded number of unverified
keys is checked per batch (at least one), and every one for a minute after a finding. Pure but for the `now`
that callers pass in. May import wire. Source: DESIGN section 2.
"""

from streams.wire.partition import partition_of

CHECKS_PER_BATCH = 256
VERIFIED_LIMIT = 65_536
ALERT_MS = 60_000


class MisrouteCheck:
    """The memory of verified keys of one partition number."""

    def __init__(self, partition: int, partitions: int) -> None:
        self._partition = partition
        self._partitions = partitions
        self._verified: set[bytes] = set()
        self._alert_until_ms = 0
        self._budget = CHECKS_PER_BATCH

    def begin(self, now_ms: int) -> None:
        """Start a batch: give it a budget of checks, none being the limit while a finding is fresh."""
        self._now_ms = now_ms
        self._budget = 1 << 62 if now_ms < self._alert_until_ms else CHECKS_PER_BATCH

    def is_misrouted(self, key: bytes) -> bool:
        """Tell whether a key without consent is known to belong elsewhere.

        False also when the budget is spent. Never raises.
        """
        if key in self._verified or self._budget <= 0:
            return False
        self._budget -= 1
        if partition_of(key, self._partitions) != self._partition:
            self._alert_until_ms = self._now_ms + ALERT_MS
            self._budget = 1 << 62
            return True
        if len(self._verified) >= VERIFIED_LIMIT:
            self._verified.clear()
        self._verified.add(key)
        return False
