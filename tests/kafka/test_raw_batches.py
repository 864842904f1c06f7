"""A fetch of raw batches gives the records that aiokafka finds in it, and moves where aiokafka moves."""

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, MemoryRecords, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.structs import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import OversizedBatchError
from streams.kafka.batch_header import (
    CHECKED_FROM,
    CONTROL_MASK,
    CRC,
    CRC_AT,
    SIZE,
    SIZE_AT,
    TRANSACTIONAL_MASK,
)
from streams.kafka.checksum import checksum
from streams.kafka.raw_batches import RawMemoryRecords, warm_up
from streams.kafka.record_batches import RawPartitionRecords
from streams.kafka.unpack import unpack
from streams.kernel.compiled.raw_batch import RawRecordBatch

TP = TopicPartition("topic", 3)
ABORT, COMMIT = struct.pack(">hh", 0, 0), struct.pack(">hh", 0, 1)
Aborted = Sequence[tuple[int, int]]


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> None:
    """Keep compiling out of the time that Hypothesis gives an example."""
    warm_up()


def sealed(batch: bytearray) -> bytes:
    """Return a batch with its size and checksum corrected."""
    SIZE.pack_into(batch, SIZE_AT, len(batch) - 12)
    CRC.pack_into(batch, CRC_AT, checksum(batch[CHECKED_FROM:]))
    return bytes(batch)


def batch(
    base: int,
    deltas: Sequence[int],
    last_delta: int | None = None,
    producer: int = -1,
    flags: int = 0,
    codec: int = 0,
    key: bytes = b"key",
) -> bytes:
    """Return a batch with records at `base` + `deltas`; compaction may have left holes, or nothing."""
    builder = DefaultRecordBatchBuilder(
        2,
        codec,
        is_transactional=0,
        producer_id=producer,
        producer_epoch=0,
        base_sequence=0,
        batch_size=1 << 24,
    )
    for delta in deltas:
        builder.append(delta, 7 + base + delta, key, b"%d" % (base + delta), [("h", b"x")])
    made = bytearray(builder.build())
    struct.pack_into(">q", made, 0, base)
    made[22] |= flags
    struct.pack_into(">i", made, 23, last_delta if last_delta is not None else max(deltas, default=0))
    return sealed(made)


def legacy(base: int, magic: int) -> bytes:
    builder = LegacyRecordBatchBuilder(magic, 0, 1 << 20)
    for offset in range(3):
        builder.append(base + offset, timestamp=base, key=b"old", value=b"%d" % (base + offset))
    return bytes(builder.build())


def read(
    classes: tuple[Any, Any], fetched: bytes, position: int, aborted: Aborted, isolation: int
) -> tuple[list[Any], int]:
    """Return what a fetch gave and where the position stands afterwards."""
    memory, records = classes
    unpacked = records(TP, memory(fetched), list(aborted), position, None, None, True, isolation)
    return list(unpacked), unpacked.next_fetch_offset


def ours(
    fetched: bytes,
    position: int = 0,
    aborted: Aborted = (),
    isolation: int = READ_COMMITTED,
) -> tuple[list[Any], int]:
    batches, end = read((RawMemoryRecords, RawPartitionRecords), fetched, position, aborted, isolation)
    starts = [position, *(one.next_offset for one in batches)]
    assert [one.position for one in batches] == starts[: len(batches)]
    assert {(one.topic, one.partition) for one in batches} <= {TP}
    assert not batches or batches[-1].next_offset == end
    columns = [
        (one.offsets, one.timestamps_ms, one.keys, one.values, map(tuple, one.headers)) for one in batches
    ]
    return [row for one in columns for row in zip(*one, strict=True)], end


def theirs(
    fetched: bytes,
    position: int = 0,
    aborted: Aborted = (),
    isolation: int = READ_COMMITTED,
) -> tuple[list[Any], int]:
    records, end = read((MemoryRecords, PartitionRecords), fetched, position, aborted, isolation)
    return [(one.offset, one.timestamp, one.key, one.value, one.headers) for one in records], end


@st.composite
def logs(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]], int]:
    """A run of batches of several producers, the aborted transactions in it, and its end."""
    fetched, aborted, at = b"", [], 10
    is_old = draw(st.integers(0, 9)) == 0  # aiokafka cannot read old and new batches out of one fetch
    magic = draw(st.integers(0, 1))
    open_since: dict[int, int] = {}
    for _ in range(draw(st.integers(1, 8))):
        at += draw(st.integers(0, 2))
        producer = draw(st.sampled_from([-1, 5, 6]))
        kind = "old" if is_old else draw(st.sampled_from(["plain", "transaction", "abort", "commit"]))
        codec = draw(st.integers(0, 4))
        if kind == "old":
            fetched += legacy(at, magic)
            at += 3
        elif kind in ("abort", "commit"):
            since = open_since.pop(producer, None)
            if kind == "abort" and since is not None:
                aborted.append((producer, since))
            flags, key = CONTROL_MASK | TRANSACTIONAL_MASK, ABORT if kind == "abort" else COMMIT
            fetched += batch(at, [0], producer=producer, flags=flags, key=key)
            at += 1
        else:
            deltas = sorted(draw(st.sets(st.integers(0, 9), max_size=6)))
            last = max(deltas, default=0) + draw(st.integers(0, 2))
            flags = TRANSACTIONAL_MASK if kind == "transaction" and producer >= 0 else 0
            if flags:
                open_since.setdefault(producer, at)
            fetched += batch(at, deltas, last, producer, flags, codec if deltas else 0)
            at += last + 1
    aborted += [(producer, since) for producer, since in open_since.items() if draw(st.booleans())]
    return fetched, aborted, at


@settings(deadline=None)
@given(logs(), st.integers(0, 4), st.sampled_from([READ_COMMITTED, READ_UNCOMMITTED]), st.integers(0, 50))
def test_a_fetch_reads_as_aiokafka_reads_it(
    log: tuple[bytes, list[tuple[int, int]], int], skipped: int, isolation: int, missing: int
) -> None:
    fetched, aborted, _ = log
    fetched = fetched[: len(fetched) - missing]
    position = 10 + skipped
    if not MemoryRecords(fetched).has_next():
        assert not RawMemoryRecords(fetched).has_next()
        return
    assert ours(fetched, position, aborted, isolation) == theirs(fetched, position, aborted, isolation)


def test_a_transaction_that_was_aborted_is_skipped_and_the_next_of_its_producer_is_not() -> None:
    marker = {"producer": 5, "flags": CONTROL_MASK | TRANSACTIONAL_MASK, "key": ABORT}
    fetched = (
        batch(0, [0, 1], producer=5, flags=TRANSACTIONAL_MASK)
        + batch(2, [0], **marker)  # type: ignore[arg-type]  # of mixed types
        + batch(3, [0], producer=5, flags=TRANSACTIONAL_MASK)
    )
    rows, end = ours(fetched, 0, [(5, 0)])
    assert [row[3] for row in rows] == [b"3"]
    assert end == 4


def test_a_marker_without_a_record_does_not_stop_the_reader() -> None:
    fetched = batch(0, [], producer=5, flags=CONTROL_MASK | TRANSACTIONAL_MASK) + batch(1, [0])
    assert [row[0] for row in ours(fetched)[0]] == [1]


def test_batches_of_old_and_new_formats_are_read_out_of_one_fetch() -> None:
    fetched = legacy(0, 0) + batch(3, [0]) + legacy(4, 1) + batch(7, [0])
    rows, end = ours(fetched)
    assert [row[3] for row in rows] == [b"%d" % offset for offset in range(8)]
    assert end == 8


def test_a_seek_into_a_batch_gives_the_rest_of_it() -> None:
    assert [row[0] for row in ours(batch(0, range(10)), 4)[0]] == [4, 5, 6, 7, 8, 9]


def test_a_fetch_of_nothing_but_holes_still_moves_on() -> None:
    batches, end = read((RawMemoryRecords, RawPartitionRecords), batch(0, [], 7), 0, [], READ_COMMITTED)
    assert [(len(one), one.position, one.next_offset) for one in batches] == [(0, 0, 8)]
    assert end == 8


def test_a_batch_that_was_cut_off_is_left_to_the_next_fetch() -> None:
    first, second = batch(0, [0, 1]), batch(2, [0])
    for missing in range(1, len(second) + 1):
        rows, end = ours((first + second)[:-missing])
        assert ([row[0] for row in rows], end) == ([0, 1], 2)


@pytest.mark.parametrize("fetched", [None, b"", b"12345678901", batch(0, [0])[:-1]])
def test_a_fetch_without_a_whole_batch_has_none(fetched: bytes | None) -> None:
    records = RawMemoryRecords(fetched)
    assert not records.has_next()
    assert records.size_in_bytes() == len(fetched or b"")


def test_a_changed_byte_is_found_and_what_came_before_it_is_kept() -> None:
    first, second = batch(0, [0, 1]), bytearray(batch(2, [0]))
    second[-1] ^= 1
    unpacked = RawPartitionRecords(
        TP, RawMemoryRecords(first + second), [], 0, None, None, True, READ_COMMITTED
    )
    assert isinstance(next(unpacked), RawRecordBatch)
    with pytest.raises(CorruptRecordException, match="CRC"):
        next(unpacked)
    assert unpacked.next_fetch_offset == 2


@pytest.mark.parametrize("codec", range(5))
def test_malformed_records_under_a_right_checksum_are_corrupt(codec: int) -> None:
    broken = bytearray(batch(0, range(50), codec=codec))
    broken[61:] = b"\xff" * (len(broken) - 61)
    with pytest.raises(CorruptRecordException, match="topic-3, batch at offset 0"):
        ours(sealed(broken))


@pytest.mark.parametrize("size", [-12, -1, 0, 4, 5, 48])
@pytest.mark.parametrize("magic", [0, 1, 2, 3])
def test_a_batch_that_is_too_small_to_be_one_is_corrupt(size: int, magic: int) -> None:
    made = bytearray(batch(0, [0]))
    made[16] = magic
    SIZE.pack_into(made, SIZE_AT, size)
    with pytest.raises(CorruptRecordException):
        ours(bytes(made))


def test_records_that_unpack_to_too_much_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "__defaults__", (1000,))
    with pytest.raises(OversizedBatchError, match=r"topic-3, batch at offset 8: .* before offset 208"):
        ours(batch(8, range(200), codec=3))
