"""Which partition a key belongs to: Kafka's murmur2, as the Java client computes it. Imports nothing. Read
next: `headers.py`.

Source: org.apache.kafka.common.utils.Utils.murmur2 and BuiltInPartitioner.partitionForKey.
"""

from struct import unpack_from

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the 32-bit hash of a key, as an unsigned number. Never raises."""
    size = len(data)
    h = _SEED ^ size
    words = size >> 2
    for word in unpack_from(f"<{words}I", data):
        k = word * _M & _MASK
        h = h * _M & _MASK ^ (k ^ k >> 24) * _M & _MASK
    if size & 3:
        h = (h ^ int.from_bytes(data[words << 2 :], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among `partitions` (at least 1). Never raises for a positive count."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
