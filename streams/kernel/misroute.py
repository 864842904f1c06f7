"""Finds records whose key belongs to another partition: producers that hash with CRC32 instead of murmur2.

A key with consent needs no check, consent keys are all verified; every other key is checked. Keys that were
found right are remembered, within a bound. May import wire. Source: DESIGN section 2.
"""

from streams.wire.partition import partition_of

VERIFIED_LIMIT = 262_144


class MisrouteCheck:
    """The memory of verified keys of one partition number."""

    def __init__(self, partition: int, partitions: int) -> None:
        self._partition = partition
        self._partitions = partitions
        self._verified: set[bytes] = set()

    def is_misrouted(self, key: bytes) -> bool:
        """Tell whether a key belongs elsewhere. Never raises."""
        if key in self._verified:
            return False
        if partition_of(key, self._partitions) != self._partition:
            return True
        if len(self._verified) >= VERIFIED_LIMIT:
            self._verified.clear()
        self._verified.add(key)
        return False
