"""lz4 batches are made at the fast level, and read back unchanged."""

import random
import subprocess
import sys

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.kafka.compression import BLOCK_BYTES, lz4_frame, pack

SCRIPT = """
import random, sys, time
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from streams.kafka.compression import install

words = [random.Random(number).randbytes(6) for number in range(400)]
values = [b" ".join(random.Random(number).choices(words, k=60)) for number in range(2000)]

def build():
    ids = {"producer_id": -1, "producer_epoch": -1, "base_sequence": 0}
    builder = DefaultRecordBatchBuilder(2, 3, is_transactional=0, batch_size=1 << 24, **ids)
    for number, value in enumerate(values):
        builder.append(number, 0, None, value, [])
    started = time.process_time()
    built = bytes(builder.build())
    return built, time.process_time() - started

slow, slow_s = build()
install()
fast, fast_s = build()
read_back = [record.value for record in DefaultRecordBatch(fast)]
print(read_back == values, len(fast) > len(slow), len(fast) < 2 * len(slow))
"""


def test_lz4_is_made_at_the_fast_level_and_reads_back() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout.split() == ["True", "True", "True"], run.stderr


@st.composite
def mixed(draw: st.DrawFn) -> bytes:
    """Stretches that lz4 makes smaller and stretches that it makes larger, across blocks."""
    out = b""
    for size in draw(st.lists(st.integers(0, 2 * BLOCK_BYTES), max_size=4)):
        out += draw(st.binary(min_size=1, max_size=9)) * (size // 9)
        out += random.Random(size).randbytes(draw(st.integers(0, BLOCK_BYTES + 9)))
    return out


@settings(max_examples=200, deadline=None)
@given(mixed())
def test_a_frame_unpacks_to_what_went_in(data: bytes) -> None:
    assert bytes(cramjam.lz4.decompress(lz4_frame(data))) == data


@pytest.mark.parametrize("blocks", [0, 1, 2])
@pytest.mark.parametrize("beside", [-1, 0, 1])
def test_frames_that_end_beside_a_block_unpack(blocks: int, beside: int) -> None:
    size = max(blocks * BLOCK_BYTES + beside, 0)
    for data in (random.Random(size).randbytes(size), b"k" * size):
        assert bytes(cramjam.lz4.decompress(lz4_frame(data))) == data


def test_no_block_is_larger_than_the_frame_allows() -> None:
    data = random.Random(1).randbytes(3 * BLOCK_BYTES)
    frame = lz4_frame(data)
    stored = (BLOCK_BYTES | 1 << 31).to_bytes(4, "little")
    assert frame.count(stored) == 3
    assert len(frame) == 7 + 3 * (4 + BLOCK_BYTES) + 4


def test_what_lz4_does_not_make_smaller_stays_as_it_is() -> None:
    data = random.Random(1).randbytes(500)
    assert pack(memoryview(data)) == (data, 0)
    assert pack(memoryview(b"k" * 500)).codec == 3
