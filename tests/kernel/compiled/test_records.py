"""What a record batch says is what aiokafka's own reader says; bad bytes are refused and never over-read."""

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.kafka.raw_batches import RawBatch, warm_up
from streams.kernel.compiled.jit import BOUNDS_CHECK_VARIABLE
from streams.kernel.compiled.raw_batch import RawRecordBatch, read_columns
from streams.kernel.compiled.records import NARROW_ROWS, WIDE_ROWS, index_records
from streams.wire.varint import write_long

BASE = 1000
HEADER_BYTES = 61
NO_CODEC, APPEND_TIME = 0, 8
Row = tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]

some_bytes = st.none() | st.binary(max_size=70)
headers = st.lists(st.tuples(st.text(max_size=5), some_bytes), max_size=3)
rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-(1 << 40), 1 << 40), some_bytes, some_bytes, headers),
    min_size=1,
    max_size=12,
)


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> None:
    """Keep compiling out of the time that Hypothesis gives an example."""
    warm_up()


def build(records: list[Any], codec: int = NO_CODEC, *, is_append_time: bool = False) -> bytes:
    """Return a batch at offset BASE; a row's first number is the hole before it."""
    builder = DefaultRecordBatchBuilder(
        2, codec, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=0, batch_size=1 << 24
    )
    offset = -1
    for hole, time_ms, key, value, named in records:
        offset += hole + 1
        builder.append(offset, time_ms + (1 << 40), key, value, named)
    batch = bytearray(builder.build())
    struct.pack_into(">q", batch, 0, BASE)
    batch[22] |= APPEND_TIME if is_append_time else 0
    return bytes(batch)


def theirs(batch: bytes) -> list[Row]:
    return [
        (record.offset, record.timestamp, record.key, record.value, list(record.headers))
        for record in DefaultRecordBatch(batch)
    ]


def by_columns(batch: RawRecordBatch) -> list[Row]:
    named = [list(one) for one in batch.headers]
    return list(zip(batch.offsets, batch.timestamps_ms, batch.keys, batch.values, named, strict=True))


def one_by_one(batch: RawRecordBatch) -> list[Row]:
    return [
        (
            batch.offset(index),
            batch.timestamp_ms(index),
            batch.key(index),
            batch.value(index),
            [(name, batch.header(index, name)) for name, _ in batch.headers[index]],
        )
        for index in range(len(batch))
    ]


def ours(batch: bytes, first_offset: int = BASE) -> RawRecordBatch:
    return RawBatch(memoryview(batch)).columns("t", 0, first_offset, first_offset)


@settings(deadline=None)
@given(rows, st.integers(0, 4), st.booleans())
def test_a_batch_reads_as_aiokafka_reads_it(records: list[Any], codec: int, is_append_time: bool) -> None:
    batch = build(records, codec, is_append_time=is_append_time)
    expected = theirs(batch)
    read = ours(batch)
    assert by_columns(read) == expected
    last_of_name = [(*row[:4], [(name, dict(row[4])[name]) for name, _ in row[4]]) for row in expected]
    assert one_by_one(read) == last_of_name
    assert [read.has_headers(index) for index in range(len(read))] == [bool(row[4]) for row in expected]
    assert read.next_offset == expected[-1][0] + 1


@settings(deadline=None)
@given(rows, st.integers(-3, 60))
def test_records_before_the_first_offset_are_left_out(records: list[Any], skipped: int) -> None:
    batch = build(records)
    first = BASE + skipped
    assert by_columns(ours(batch, first)) == [row for row in theirs(batch) if row[0] >= first]


def test_columns_have_the_promised_types_and_share_the_bytes() -> None:
    read = ours(build([(0, 0, b"k", b"v", [])] * 4))
    head, rest = read.split(1)
    assert rest is not None
    assert [column.dtype.name for column in read.columns] == ["int64"] * 2 + ["int32"] * 6
    assert all(column.flags.c_contiguous for column in (*read.columns, *rest.columns))
    assert head.buffer is rest.buffer is read.buffer
    assert not read.buffer.flags.writeable


def test_a_number_of_ten_bytes_has_64_bits() -> None:
    for number in (0, 1, -1, 63, -64, 64, 1 << 31, (1 << 62), -(1 << 62)):
        read = ours(build([(0, 0, b"k", b"v", []), (0, number, b"k", b"v", [])]))
        assert read.timestamps_ms == [1 << 40, (1 << 40) + number]


@pytest.mark.parametrize("size", [-1, -2, -1 << 32, -1 << 63])
def test_every_negative_size_is_null(size: int) -> None:
    body = b"\0\0\0" + write_long(size) * 2 + b"\x02\x02h" + write_long(size)
    batch = build([(0, 0, b"k", b"v", [])])[:HEADER_BYTES] + write_long(len(body)) + body
    read = ours(batch)
    assert (read.columns.key_sizes.tolist(), read.columns.value_sizes.tolist()) == ([-1], [-1])
    assert [row[2:] for row in by_columns(read)] == [row[2:] for row in theirs(batch)]
    assert (read.key(0), read.value(0), read.header(0, "h")) == (None, None, None)


@pytest.mark.parametrize(
    "body",
    [
        b"\x80\0\0\x02k\x02v\0",  # aiokafka takes attributes for a number, Java for a byte
        b"\0\0\0\x02k\x02v\x02\x01\x02x",  # a header whose name has the size -1
        b"\0\0\0\x02k\x02v\x01",  # -1 headers
        b"\0\0\0\x02k\x02v\0\0",  # a byte too many
    ],
)
def test_what_readers_would_not_agree_on_is_refused(body: bytes) -> None:
    with pytest.raises(CorruptRecordException):
        ours(build([(0, 0, b"k", b"v", [])])[:HEADER_BYTES] + write_long(len(body)) + body)


def test_a_record_that_ends_before_its_size_is_refused() -> None:
    batch = bytearray(build([(0, 0, b"k", b"v", [])] * 2))
    batch[HEADER_BYTES] += 2  # one byte of the next record
    with pytest.raises(CorruptRecordException):
        ours(bytes(batch))


def test_an_overlong_number_in_a_header_reads_as_aiokafka_reads_it() -> None:
    one = b"\x82" + b"\x80" * 8 + b"\x02"  # the last byte's bit is the 65th: it does not count
    record = b"\x00\x00\x00\x02k\x02v\x02" + one + b"h" + b"\xff\x80\x00"
    batch = build([(0, 0, b"k", b"v", [])])[:HEADER_BYTES] + bytes([len(record) * 2]) + record
    read = ours(batch)
    assert read.headers == [[("h", None)]] == [theirs(batch)[0][4]]


def test_a_header_name_that_is_no_text_does_not_stop_the_reader() -> None:
    batch = build([(0, 0, b"k", b"v", [("name", b"x"), ("other", b"y")])]).replace(b"name", b"na\xffe")
    read = ours(batch)
    assert read.headers == [[("na\ufffde", b"x"), ("other", b"y")]]
    assert read.header(0, "other") == b"y"


@pytest.mark.parametrize("count", [-1, 0, 1, 3, 1 << 30])
def test_a_count_that_the_bytes_do_not_hold_is_refused(count: int) -> None:
    batch = bytearray(build([(0, 0, b"k", b"v", [])] * 2))
    struct.pack_into(">i", batch, 57, count)
    with pytest.raises(CorruptRecordException):
        ours(bytes(batch))


def test_a_batch_that_compaction_emptied_has_no_records() -> None:
    batch = bytearray(build([(0, 0, b"k", b"v", [])] * 2)[:HEADER_BYTES])
    struct.pack_into(">i", batch, 57, 0)
    read = ours(bytes(batch))
    assert (len(read), read.keys, read.headers, read.offsets) == (0, [], [], [])
    assert read.next_offset == BASE + 2


@pytest.mark.parametrize("deltas", [(1, 0), (0, 0), (0, 5), (-1, 0)])
def test_offsets_that_do_not_rise_inside_their_batch_are_refused(deltas: tuple[int, int]) -> None:
    records = b"".join(b"\x0c\0\0" + write_long(delta) + b"\x01\x01\0" for delta in deltas)
    batch = build([(0, 0, None, None, [])] * 2)[:HEADER_BYTES] + records
    with pytest.raises(CorruptRecordException):
        ours(batch)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A batch whose records section was changed, cut or extended."""
    batch = bytearray(build(draw(rows)))
    for _ in range(draw(st.integers(1, 3))):
        if len(batch) <= HEADER_BYTES:
            break
        at = draw(st.integers(HEADER_BYTES, len(batch) - 1))
        how = draw(st.sampled_from(["set", "insert", "cut", "end"]))
        if how == "set":
            batch[at] = draw(st.integers(0, 255))
        elif how == "insert":
            batch[at:at] = draw(
                st.binary(min_size=1, max_size=12)
                | st.sampled_from([b"\xff" * 10, write_long((1 << 63) - 1), write_long(-1 << 63)])
            )
        elif how == "cut":
            del batch[at : at + draw(st.integers(1, 9))]
        else:
            del batch[at:]
    return bytes(batch)


def check_as_aiokafka_or_refused(batch: bytes) -> None:
    try:
        read = ours(batch)
    except CorruptRecordException:
        return
    found = by_columns(read)
    try:
        expected = theirs(batch)
    except UnicodeDecodeError:  # a header's name; ours reads on
        return
    assert found == expected


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_changed_bytes_are_refused_or_read_as_aiokafka_reads_them(batch: bytes) -> None:
    check_as_aiokafka_or_refused(batch)


@pytest.mark.parametrize("huge", [1 << 31, (1 << 31) + 3, 1 << 62, (1 << 63) - 1, (1 << 63) - 8, -1 << 63])
@pytest.mark.parametrize("place", range(6))
def test_sizes_that_overflow_are_refused_or_read_as_aiokafka_reads_them(huge: int, place: int) -> None:
    sizes = [write_long(size) for size in (14, 1, 1, 1, 1, 1)]
    sizes[place] = write_long(huge)
    size, key, value, count, name, named = sizes
    body = b"\0\0\0" + key + b"k" + value + b"v" + count + name + b"h" + named + b"x"
    for length in (size, write_long(len(body))):
        check_as_aiokafka_or_refused(build([(0, 0, b"k", b"v", [])])[:HEADER_BYTES] + length + body)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 10))
def test_any_bytes_are_refused_or_read_inside_the_buffer(section: bytes, count: int) -> None:
    padded = np.frombuffer(b"\x02" * 40 + section + b"\x02" * 40, np.uint8)
    alone = np.frombuffer(section, np.uint8)
    inside = padded[40 : 40 + len(section)]
    answers = []
    for buffer in (alone, inside):
        wide, narrow = np.zeros((WIDE_ROWS, count), np.int64), np.zeros((NARROW_ROWS, count), np.int32)
        found = index_records(buffer, count, BASE, 1 << 30, BASE, 0, True, wide, narrow)
        answers.append((found, wide[:, : max(found, 0)].tolist(), narrow[:, : max(found, 0)].tolist()))
    assert answers[0] == answers[1]  # what lies around the bytes makes no difference
    places = np.array(answers[0][2])
    if answers[0][0] > 0:
        for place, size in ((places[0], places[1]), (places[2], places[3])):
            assert (place >= 0).all()
            assert (place + np.maximum(size, 0) <= len(section)).all()
            assert (size >= -1).all()


def test_columns_that_are_too_short_are_refused() -> None:
    section = np.frombuffer(build([(0, 0, b"k", b"v", [])] * 2)[HEADER_BYTES:], np.uint8)
    wide, narrow = np.zeros((WIDE_ROWS, 1), np.int64), np.zeros((NARROW_ROWS, 1), np.int32)
    assert index_records(section, 2, 0, 1, 0, 0, True, wide, narrow) == -1
    assert read_columns(section, 2, 0, 1, 0, 0, has_deltas=True) is not None


def test_with_every_index_checked_nothing_is_read_outside() -> None:
    others = ["-k", "not every_index"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, *others],
        cwd=Path(__file__).parents[3],
        env=os.environ | {BOUNDS_CHECK_VARIABLE: "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert run.returncode == 0, run.stdout
