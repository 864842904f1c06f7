"""Packs records with lz4 at its fast level: those we encode, and those aiokafka encodes.

aiokafka calls lz4 with level 9, the slow high-compression mode, and has no setting for it: a fifth of a
worker's time went there for 14 % smaller batches (`python -m bench` before and after). Broker and other
clients read every level. `tests/kafka/test_compression.py` fails when aiokafka no longer looks its codec up
where this replaces it.
"""

from struct import Struct
from typing import NamedTuple

import aiokafka.record.default_records as python_records
import cramjam

from streams.kafka.batch_header import LZ4

UNPACKED = 0

BLOCK_BYTES = 64 << 10
BLOCK_OVERHEAD = 512  # of a block that lz4 makes larger: a 255th and 16 bytes, and its size
FRAME_HEAD = bytes.fromhex("04224d18604082")  # magic, independent blocks without checksums, 64 KiB, checksum
BLOCK_SIZE = Struct("<I")
STORED = 1 << 31
END_MARK = 0

try:
    import aiokafka.record._crecords.default_records as compiled_records
except ImportError:  # a pure Python build
    compiled_records = python_records


class Packed(NamedTuple):
    """The records section of a record batch, and the number of its codec."""

    data: bytes
    codec: int


def pack(records: memoryview) -> Packed:
    """Return records packed, or as they are where lz4 does not make them smaller; in any case a copy."""
    packed = lz4_frame(records)
    return Packed(packed, LZ4) if len(packed) < len(records) else Packed(bytes(records), UNPACKED)


def lz4_frame(data: bytes | bytearray | memoryview) -> bytes:
    """Return data packed at lz4's fast level, in independent blocks, the only ones that Kafka reads.

    Source: LZ4 frame format 1.6.
    """
    source = memoryview(data)
    room = bytearray(len(FRAME_HEAD) + len(source) + BLOCK_OVERHEAD * (len(source) // BLOCK_BYTES + 2))
    out = memoryview(room)
    out[: len(FRAME_HEAD)] = FRAME_HEAD
    at = len(FRAME_HEAD)
    for start in range(0, len(source), BLOCK_BYTES):
        block, body = source[start : start + BLOCK_BYTES], at + BLOCK_SIZE.size
        size = cramjam.lz4.compress_block_into(block, out[body:], store_size=False)
        is_smaller = size < len(block)
        if not is_smaller:
            size = len(block)
            out[body : body + size] = block
        BLOCK_SIZE.pack_into(out, at, size if is_smaller else size | STORED)
        at = body + size
    BLOCK_SIZE.pack_into(out, at, END_MARK)
    return bytes(out[: at + BLOCK_SIZE.size])


def install() -> None:
    """Compress lz4 at the fast level in this process. Idempotent; never raises."""
    for module in (python_records, compiled_records):
        module.lz4_encode = lz4_frame
