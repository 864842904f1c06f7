"""The floors: what it costs to fetch the events and do nothing with them; only offsets are written.

Arguments: bootstrap, group, "raw" or "records". Raw: aiokafka's fetcher with its two record classes replaced,
so that a fetched batch is decompressed, but nobody looks inside.
"""

import asyncio
import signal
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import uvloop
from aiokafka import AIOKafkaConsumer, codec
from aiokafka.consumer import fetcher

BOOTSTRAP, GROUP, FORM = sys.argv[1:4]
COMMIT_EVERY_S = 0.05
HEADER = struct.Struct(">qiibIhiqqqhii")
SIZE = struct.Struct(">i")
CONTROL = 0x20
CODECS = {1: codec.gzip_decode, 2: codec.snappy_decode, 3: codec.lz4_decode, 4: codec.zstd_decode}


class RawBatch(NamedTuple):
    """The records of one batch, decompressed."""

    data: bytes
    records: int
    next_offset: int


class RawBytes:
    """Takes the place of aiokafka's `MemoryRecords`: the bytes of one fetch of one partition."""

    def __init__(self, data: bytes) -> None:
        self.data = bytes(data)
        self.at = 0

    def has_next(self) -> bool:
        """Whether a whole batch is left; the last one of a fetch may be cut."""
        rest = len(self.data) - self.at
        return rest >= HEADER.size and rest >= 12 + SIZE.unpack_from(self.data, self.at + 8)[0]

    def size_in_bytes(self) -> int:
        """How much was fetched."""
        return len(self.data)


class RawPartition(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped
    """Gives batches where aiokafka's own gives records."""

    def _unpack_records(self) -> Iterator[RawBatch]:
        raw: Any = self._records
        while raw.has_next():
            base, size, _, _, _, attributes, last, *_, count = HEADER.unpack_from(raw.data, raw.at)
            start, raw.at = raw.at + HEADER.size, raw.at + 12 + size
            self.next_fetch_offset = base + last + 1
            if not attributes & CONTROL:
                data = raw.data[start : raw.at]
                unpack = CODECS.get(attributes & 7)
                yield RawBatch(unpack(data) if unpack else data, count, self.next_fetch_offset)


async def main() -> None:
    consumer = AIOKafkaConsumer(
        "bank.transactions",
        bootstrap_servers=BOOTSTRAP,
        group_id=GROUP,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 << 20,
    )
    await consumer.start()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    committed_at, offsets = 0.0, {}
    while not stopping.is_set():
        for place, found in (await consumer.getmany(timeout_ms=50, max_records=MOST)).items():
            offsets[place] = found[-1].next_offset if FORM == "raw" else found[-1].offset + 1
        if offsets and time.monotonic() - committed_at > COMMIT_EVERY_S:
            await consumer.commit(offsets)
            committed_at, offsets = time.monotonic(), {}
    await consumer.stop()


MOST = 64 if FORM == "raw" else 10_000
if FORM == "raw":
    fetcher.MemoryRecords = RawBytes
    fetcher.PartitionRecords = RawPartition
uvloop.run(main())
