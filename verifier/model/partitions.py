"""The partitioner: murmur2 as Kafka's clients in Java compute it (seed 0x9747b28c), the sign bit cleared,
modulo the partitions.
"""


def murmur2(data: bytes) -> int:
    """The 32-bit hash of `data`."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    mixed = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        mixed = mixed * multiplier & mask ^ word
    if whole < len(data):
        mixed = (mixed ^ int.from_bytes(data[whole:], "little")) * multiplier & mask
    mixed = (mixed ^ mixed >> 13) * multiplier & mask
    return mixed ^ mixed >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key among `partitions`."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def is_of_partition(key: bytes, partition: int, partitions: int) -> bool:
    """Whether a key belongs into a partition."""
    return partition_of(key, partitions) == partition
