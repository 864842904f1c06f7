"""Columns are cut without losing a record or a position, whichever class holds them."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.kernel.compiled.raw_batch import RawRecordBatch, read_columns
from streams.kernel.record_batch import RecordBatch
from streams.wire.varint import write_bytes, write_long


def raw_batch(offsets: list[int], position: int, next_offset: int) -> RecordBatch:
    section = b""
    for offset in offsets:
        key = write_bytes(str(offset).encode())
        section += write_bytes(b"\0" + write_long(offset) + write_long(offset) + key + key + b"\0")
    buffer = np.frombuffer(section, np.uint8)
    columns = read_columns(buffer, len(offsets), 0, next_offset, 0, 0, has_deltas=True)
    assert columns is not None
    return RawRecordBatch("t", 0, buffer, columns, position, next_offset)


def batch(offsets: list[int], position: int, next_offset: int) -> RecordBatch:
    keys = [str(offset).encode() for offset in offsets]
    return RecordBatch("t", 0, offsets, offsets, keys, keys, [()] * len(offsets), position, next_offset)


@st.composite
def batches(draw: st.DrawFn) -> RecordBatch:
    offsets = sorted(draw(st.sets(st.integers(5, 60), max_size=20)))
    end = (offsets[-1] + 1 if offsets else 5) + draw(st.integers(0, 3))
    return draw(st.sampled_from([batch, raw_batch]))(offsets, 5, end)


@settings(deadline=None)  # the first example may compile
@given(batches(), st.integers(1, 25))
def test_a_split_keeps_every_record_and_joins_at_its_positions(whole: RecordBatch, count: int) -> None:
    head, rest = whole.split(count)
    assert head.position == whole.position
    if rest is None:
        assert head is whole
        return
    assert [*head.offsets, *rest.offsets] == list(whole.offsets)
    assert (head.next_offset, rest.next_offset) == (rest.position, whole.next_offset)
    assert len(head) == count
    assert type(head) is type(rest) is type(whole)


@settings(deadline=None)  # the first example may compile
@given(batches(), st.integers(0, 70))
def test_since_keeps_what_lies_at_or_after_the_offset(whole: RecordBatch, offset: int) -> None:
    rest = whole.since(offset)
    assert list(rest.offsets) == [known for known in whole.offsets if known >= offset]
    assert list(rest.keys) == list(rest.values) == [str(known).encode() for known in rest.offsets]
    assert [rest.key(index) for index in range(len(rest))] == list(rest.keys)
    assert list(rest.timestamps_ms) == list(rest.offsets)
    assert rest.next_offset == whole.next_offset
    assert rest.position == (offset if rest is not whole else whole.position)


@pytest.mark.parametrize("make", [batch, raw_batch])
def test_since_an_offset_that_is_there_begins_with_it(
    make: Callable[[list[int], int, int], RecordBatch],
) -> None:
    assert list(make([5, 7, 9], 5, 10).since(7).offsets) == [7, 9]
    assert list(make([5, 7, 9], 5, 10).since(6).offsets) == [7, 9]


def test_the_last_header_of_a_name_counts() -> None:
    columns = RecordBatch("t", 0, [1], [1], [b"k"], [b"v"], [[("a", b"1"), ("a", b"2"), ("b", None)]], 1, 2)
    assert columns.header(0, "a") == b"2"
    assert columns.header(0, "b") is None
    assert columns.header(0, "c") is None
