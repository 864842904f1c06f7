"""Unpacks the records section of a record batch into a numpy array, never beyond a limit.

A batch of a megabyte can unpack to gigabytes: the output is a buffer of our size, which the codec cannot
grow. Reads what Java, librdkafka and aiokafka write. Imports numpy and cramjam. Source: Kafka's message
format, "Compression"; snappy-java's SnappyOutputStream. Read next: `raw_batches.py`.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import cramjam
import numpy as np
import numpy.typing as npt

# lz4 packs at best 255 times smaller: a batch of 1 MiB, the broker's default limit, fits whatever it holds.
UNPACKED_LIMIT = 256 << 20

FIRST_GUESS = 4.0  # times the packed size; then a little more than the last of the codec
GUESS_MARGIN = 1.2
GROWTH = 4
SMALLEST_OUTPUT = 1024
OUTPUT_IS_FULL = "failed to write whole buffer"  # cramjam has no other sign; tests/kafka/test_unpack.py

XERIAL_MAGIC = b"\x82SNAPPY\x00"
XERIAL_HEADER_BYTES = 16

Bytes = npt.NDArray[np.uint8]
_INTO: dict[int, Callable[[Any, Any], int]] = {
    1: cramjam.gzip.decompress_into,
    3: cramjam.lz4.decompress_into,
    4: cramjam.zstd.decompress_into,
}
SNAPPY = 2
_guesses: dict[int, float] = {}


class UnreadableError(ValueError):
    """The packed bytes are not what their codec writes, or the codec is unknown."""


class OverLimitError(ValueError):
    """The bytes would unpack to more than the limit."""


def unpack(codec: int, packed: memoryview, limit: int = UNPACKED_LIMIT) -> Bytes:
    """Return the unpacked bytes, read-only; those of codec 0 are a view.

    Raises:
        UnreadableError: see there.
        OverLimitError: they are more than `limit`.
    """
    try:
        if codec == 0:
            return np.frombuffer(packed, np.uint8)
        found = _unpack_snappy(packed, limit) if codec == SNAPPY else _unpack_stream(codec, packed, limit)
    except cramjam.DecompressionError as error:
        raise UnreadableError(str(error)) from error
    found.flags.writeable = False
    return found


def _unpack_stream(codec: int, packed: memoryview, limit: int) -> Bytes:
    into = _INTO.get(codec)
    if into is None:
        raise UnreadableError(f"codec {codec} is unknown")
    guess = _guesses.get(codec, FIRST_GUESS)
    size = min(max(int(guess * len(packed)), SMALLEST_OUTPUT), limit)
    while True:
        output = np.empty(size, np.uint8)
        try:
            used = into(packed, output)
        except cramjam.DecompressionError as error:
            if OUTPUT_IS_FULL not in str(error):
                raise
            if size >= limit:
                raise OverLimitError from error
            size = min(size * GROWTH, limit)
            continue
        _guesses[codec] = GUESS_MARGIN * used / max(len(packed), 1)
        found = output[:used]
        return found if used * 2 >= size else found.copy()  # a view would keep all of the output


def _unpack_snappy(packed: memoryview, limit: int) -> Bytes:
    blocks = list(_snappy_blocks(packed))
    sizes = [cramjam.snappy.decompress_raw_len(block) for block in blocks]
    if sum(sizes) > limit:
        raise OverLimitError
    output = np.empty(sum(sizes), np.uint8)
    at = 0
    for block, size in zip(blocks, sizes, strict=True):
        cramjam.snappy.decompress_raw_into(block, output[at : at + size].data)
        at += size
    return output


def _snappy_blocks(packed: memoryview) -> Iterator[memoryview]:
    """Cut snappy-java's stream into its blocks; anything else is one block."""
    if bytes(packed[: len(XERIAL_MAGIC)]) != XERIAL_MAGIC:
        yield packed
        return
    at = XERIAL_HEADER_BYTES
    while at < len(packed):
        if len(packed) - at < 4:
            raise UnreadableError("a snappy block has no size")
        (size,) = struct.unpack_from(">i", packed, at)
        at += 4
        if not 0 <= size <= len(packed) - at:
            raise UnreadableError("a snappy block is cut off")
        yield packed[at : at + size]
        at += size
