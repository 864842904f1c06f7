"""Packed records come back whole from every codec, and never grow beyond the limit."""

import random
import struct
from collections.abc import Callable

import cramjam
import pytest
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.kafka.unpack import XERIAL_MAGIC, OverLimitError, UnreadableError, unpack

LIMIT = 100_000
CODECS: list[tuple[int, Callable[[bytes], bytes]]] = [
    (0, bytes),
    (1, gzip_encode),
    (2, snappy_encode),
    (2, lambda data: bytes(cramjam.snappy.compress_raw(data))),
    (3, lz4_encode),
    (4, zstd_encode),
]
packing = [codec for codec in CODECS if codec[0]]


@settings(deadline=None)
@given(st.sampled_from(CODECS), st.binary(min_size=1, max_size=300), st.integers(1, 500))
def test_every_codec_gives_back_what_was_packed(
    codec: tuple[int, Callable[[bytes], bytes]], word: bytes, times: int
) -> None:
    number, pack = codec
    found = unpack(number, memoryview(pack(word * times)))
    assert found.tobytes() == word * times
    assert not found.flags.writeable


@pytest.mark.parametrize("codec", packing)
def test_the_limit_itself_is_unpacked_and_one_byte_more_is_not(
    codec: tuple[int, Callable[[bytes], bytes]],
) -> None:
    number, pack = codec
    assert len(unpack(number, memoryview(pack(bytes(LIMIT))), LIMIT)) == LIMIT
    with pytest.raises(OverLimitError):
        unpack(number, memoryview(pack(bytes(LIMIT + 1))), LIMIT)


def test_a_small_result_does_not_hold_a_large_buffer() -> None:
    found = unpack(3, memoryview(lz4_encode(random.Random(1).randbytes(3000))))
    assert (found.base if found.base is not None else found).nbytes <= 2 * found.nbytes


def test_the_promise_of_a_snappy_block_is_not_believed() -> None:
    promise = b"\xff\xff\xff\xff\x0f"  # 4 GiB
    with pytest.raises(OverLimitError):
        unpack(2, memoryview(promise + b"\x00a"))


def test_an_unknown_codec_is_unreadable() -> None:
    with pytest.raises(UnreadableError, match="codec 5 is unknown"):
        unpack(5, memoryview(b"anything"))


@pytest.mark.parametrize(
    "block", [b"\0", struct.pack(">i", 5) + b"abcd", struct.pack(">i", -1), struct.pack(">i", -4)]
)
def test_a_snappy_stream_that_is_cut_off_is_unreadable(block: bytes) -> None:
    with pytest.raises(UnreadableError):
        unpack(2, memoryview(XERIAL_MAGIC + bytes(8) + block))


@settings(deadline=None)
@given(st.sampled_from(packing), st.data())
def test_changed_bytes_are_unreadable_or_stay_inside_the_limit(
    codec: tuple[int, Callable[[bytes], bytes]], data: st.DataObject
) -> None:
    number, pack = codec
    packed = bytearray(pack(b"some words, some words again" * 20))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = unpack(number, memoryview(packed), LIMIT)
    except (UnreadableError, OverLimitError):
        return
    assert len(found) <= LIMIT
