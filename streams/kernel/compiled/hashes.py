"""The three hashes of the kernel over bytes in arrays: SHA-1 of a UUIDv5, BLAKE2b, Kafka's murmur2.

They say what `core/ids.py`, `core/lifecycle.py` with `core/prepared.py`, and `wire/partition.py` say.
Numbers are cast after every step: numba widens 32 bits to 64, and makes a float of signed with unsigned.
Callers bring the working memory; nothing is allocated, nothing raised. May import core. Read next:
`fields.py`.
Source: RFC 9562 section 5.5; RFC 7693; org.apache.kafka.common.utils.Utils.murmur2.
"""

import numpy as np
from numpy.typing import NDArray

from streams.core.ids import NAMESPACE
from streams.kernel.compiled.jit import compiled, inlined
from streams.kernel.compiled.sha1 import BLOCK_WORDS, STATE, STATE_WORDS, WORDS, compress
from streams.kernel.compiled.types import whole

Bytes = NDArray[np.uint8]

UUID_CHARS = 36
SHA1_WORDS = WORDS
"""Length of the working memory of `sha1_uuid5`, uint32."""
BLAKE2B_WORDS = 16
"""Length of the working memory of `blake2b_8` and `blake2b_4`, uint64."""

_NAMESPACE = np.frombuffer(bytes.fromhex(NAMESPACE.replace("-", "")), dtype=">u4").astype(np.uint32)
_NAMESPACE_BYTES = 16
SHA1_START = np.array([0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0], dtype=np.uint32)
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_VARIANT = np.frombuffer(b"89ab" * 4, dtype=np.uint8)
_DASH, _FIVE = np.uint8(ord("-")), np.uint8(ord("5"))
# where the UUID's characters stand: 32 hexadecimal digits with dashes after 8, 12, 16 and 20
_PLACES = np.array([i + (i >= 8) + (i >= 12) + (i >= 16) + (i >= 20) for i in range(32)], dtype=np.uint64)

_IV = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    dtype=np.uint64,
)  # fmt: skip
_PERMUTATIONS = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ],
    dtype=np.uint64,
)  # fmt: skip

# sequential, 8 bytes, 4 bytes: the parameter block's first word, all that we set of it
_KEYLESS_8 = np.uint64(0x01010008)
_KEYLESS_4 = np.uint64(0x01010004)

_SEED = np.uint32(0x9747B28C)
_M = np.uint32(0x5BD1E995)


@inlined
def little_32(data: Bytes, at: int) -> np.uint32:
    """Return the four bytes at `at` as a number, least significant first; they must be inside."""
    i = np.uint64(at)
    return np.uint32(
        np.uint32(data[i])
        | np.uint32(data[i + np.uint64(1)]) << np.uint32(8)
        | np.uint32(data[i + np.uint64(2)]) << np.uint32(16)
        | np.uint32(data[i + np.uint64(3)]) << np.uint32(24)
    )


@inlined
def little_64(data: Bytes, at: int) -> np.uint64:
    """Return the eight bytes at `at` as a number, least significant first; they must be inside."""
    return np.uint64(little_32(data, at)) | np.uint64(little_32(data, at + 4)) << np.uint64(32)


@inlined
def _sha1_word(text: Bytes, size: int, at: int) -> np.uint32:
    """Return four bytes of the padded text, most significant first: the text, 0x80, zeros."""
    if at + 4 <= size:
        word = little_32(text, at)
        return np.uint32(
            word >> np.uint32(24)
            | word >> np.uint32(8) & np.uint32(0xFF00)
            | word << np.uint32(8) & np.uint32(0xFF0000)
            | word << np.uint32(24)
        )
    word = np.uint32(0)
    for i in range(at, at + 4):
        byte = np.uint32(text[np.uint64(i)]) if i < size else np.uint32(0x80 if i == size else 0)
        word = np.uint32(word << np.uint32(8) | byte)
    return word


@compiled
def sha1_uuid5(text: Bytes, size: int, out: Bytes, at: int, words: NDArray[np.uint32]) -> None:
    """Write the 36 characters of the UUIDv5 of `text[:size]` under our namespace to `out[at:]`.

    `words` is working memory of SHA1_WORDS. `out` must have room. Never raises.
    """
    for i in range(STATE_WORDS):
        words[np.uint64(STATE + i)] = SHA1_START[np.uint64(i)]
    total = _NAMESPACE_BYTES + size
    # a block more for the byte 0x80 and the eight bytes of the length
    blocks = (total + 8 >> 6) + 1
    for block in range(blocks):
        start = (block << 6) - _NAMESPACE_BYTES
        for t in range(BLOCK_WORDS):
            place = start + (t << 2)
            words[np.uint64(t)] = _NAMESPACE[np.uint64(t)] if place < 0 else _sha1_word(text, size, place)
        if block == blocks - 1:
            words[14] = np.uint32(total >> 29)
            words[15] = np.uint32(total << 3)
        compress(words)
    _write_uuid(words, out, at)


@compiled
def _write_uuid(words: NDArray[np.uint32], out: Bytes, at: int) -> None:
    """Write the first 16 bytes of SHA-1's state as a UUID of version 5."""
    start = np.uint64(at)
    for i in range(32):
        shift = np.uint32(28 - ((i & 7) << 2))
        digit = np.uint64(words[np.uint64(STATE + (i >> 3))] >> shift & np.uint32(15))
        out[start + _PLACES[np.uint64(i)]] = _VARIANT[digit] if i == 16 else _HEX[digit]
    out[start + np.uint64(14)] = _FIVE
    for place in (8, 13, 18, 23):
        out[start + np.uint64(place)] = _DASH


@inlined
def _turn(word: np.uint64, bits: int) -> np.uint64:
    return word >> np.uint64(bits) | word << np.uint64(64 - bits)


@inlined
def _mix(
    a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64, x: np.uint64, y: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    a = a + b + x
    d = _turn(d ^ a, 32)
    c = c + d
    b = _turn(b ^ c, 24)
    a = a + b + y
    d = _turn(d ^ a, 16)
    c = c + d
    return a, _turn(b ^ c, 63), c, d


@compiled
def blake2b_8(data: Bytes, at: int, size: int, words: NDArray[np.uint64]) -> np.uint64:
    """Return BLAKE2b of `data[at:at + size]` with a digest of 8 bytes, read least significant first.

    `words` is working memory of BLAKE2B_WORDS. Never raises.
    """
    return _blake2b(data, at, size, _KEYLESS_8, words)


@compiled
def blake2b_4(data: Bytes, at: int, size: int, words: NDArray[np.uint64]) -> np.uint32:
    """Return BLAKE2b of `data[at:at + size]` with a digest of 4 bytes, as `blake2b_8` does."""
    return np.uint32(_blake2b(data, at, size, _KEYLESS_4, words))


@compiled
def _blake2b(data: Bytes, at: int, size: int, parameters: np.uint64, m: NDArray[np.uint64]) -> np.uint64:
    """Return the digest's first word."""
    h0, h1, h2, h3 = _IV[0] ^ parameters, _IV[1], _IV[2], _IV[3]
    h4, h5, h6, h7 = _IV[4], _IV[5], _IV[6], _IV[7]
    begin, end = at, at + size
    is_last = False
    while not is_last:
        is_last = end - begin <= 128
        _fill(data, begin, end, m)
        begin = end if is_last else begin + 128
        v0, v1, v2, v3, v4, v5, v6, v7 = h0, h1, h2, h3, h4, h5, h6, h7
        v8, v9, v10, v11 = _IV[0], _IV[1], _IV[2], _IV[3]
        v12, v13, v14, v15 = _IV[4] ^ np.uint64(begin - at), _IV[5], _IV[6], _IV[7]
        if is_last:
            v14 = ~v14
        for r in range(12):
            s = _PERMUTATIONS[np.uint64(r)]
            v0, v4, v8, v12 = _mix(v0, v4, v8, v12, m[s[0]], m[s[1]])
            v1, v5, v9, v13 = _mix(v1, v5, v9, v13, m[s[2]], m[s[3]])
            v2, v6, v10, v14 = _mix(v2, v6, v10, v14, m[s[4]], m[s[5]])
            v3, v7, v11, v15 = _mix(v3, v7, v11, v15, m[s[6]], m[s[7]])
            v0, v5, v10, v15 = _mix(v0, v5, v10, v15, m[s[8]], m[s[9]])
            v1, v6, v11, v12 = _mix(v1, v6, v11, v12, m[s[10]], m[s[11]])
            v2, v7, v8, v13 = _mix(v2, v7, v8, v13, m[s[12]], m[s[13]])
            v3, v4, v9, v14 = _mix(v3, v4, v9, v14, m[s[14]], m[s[15]])
        h0, h1, h2, h3 = h0 ^ v0 ^ v8, h1 ^ v1 ^ v9, h2 ^ v2 ^ v10, h3 ^ v3 ^ v11
        h4, h5, h6, h7 = h4 ^ v4 ^ v12, h5 ^ v5 ^ v13, h6 ^ v6 ^ v14, h7 ^ v7 ^ v15
    return np.uint64(h0)


@compiled
def _fill(data: Bytes, at: int, end: int, m: NDArray[np.uint64]) -> None:
    """Put the next 128 bytes before `end` into `m`, zeros after the end."""
    for i in range(16):
        place = at + (i << 3)
        if place + 8 <= end:
            word = little_64(data, place)
        else:
            word = np.uint64(0)
            for k in range(place, end):
                word |= np.uint64(data[np.uint64(k)]) << np.uint64((k - place) << 3)
        m[np.uint64(i)] = word


@compiled
def murmur2(data: Bytes, at: int, size: int) -> int:
    """Return Kafka's hash of `data[at:at + size]` without its highest bit: modulo the number of partitions,
    this is the partition. Never raises.
    """
    h = np.uint32(_SEED ^ np.uint32(size))
    words_end = at + (size & ~3)
    for place in range(at, words_end, 4):
        k = np.uint32(little_32(data, place) * _M)
        k = np.uint32((k ^ k >> np.uint32(24)) * _M)
        h = np.uint32(np.uint32(h * _M) ^ k)
    if size & 3:
        rest = np.uint32(0)
        for i in range(words_end, at + size):
            rest |= np.uint32(np.uint32(data[np.uint64(i)]) << np.uint32((i - words_end) << 3))
        h = np.uint32((h ^ rest) * _M)
    h = np.uint32((h ^ h >> np.uint32(13)) * _M)
    positive: int = whole((h ^ h >> np.uint32(15)) & np.uint32(0x7FFFFFFF))
    return positive
