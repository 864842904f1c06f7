"""CRC-32C of record batches: by the processor's instruction with the extra `fast`, else by aiokafka."""

try:
    from crc32c import crc32c
except ImportError:  # the extra `fast` is not installed
    from aiokafka.record.util import calc_crc32c

    def checksum(data: bytes | bytearray | memoryview) -> int:
        """Return the CRC-32C of `data`. Never raises."""
        found: int = calc_crc32c(bytes(data))
        return found
else:

    def checksum(data: bytes | bytearray | memoryview) -> int:
        """Return the CRC-32C of `data`. Never raises."""
        return crc32c(data)
