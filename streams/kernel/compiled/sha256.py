"""SHA-256 of short texts and HMAC over it: by the processor's own instructions where it has them.

Both ways take the block's sixteen words and the state in one array of WORDS numbers, and leave the new state
there. Imports `instructions` and `jit`. Read next: `pseudonyms.py`. Source: FIPS 180-4, section 6.2.2; RFC
2104; Intel's SHA Extensions (document 323850).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.kernel.compiled.instructions import Vectors, by_instructions
from streams.kernel.compiled.jit import compiled, has_feature, inlined
from streams.kernel.compiled.types import Bytes

BLOCK_WORDS, BLOCK_BYTES, SCHEDULE_WORDS, STATE_WORDS = 16, 64, 64, 8
STATE = SCHEDULE_WORDS
"""Where the state stands, eight numbers after the message schedule."""
WORDS = SCHEDULE_WORDS + STATE_WORDS

Words = NDArray[np.uint32]

START = np.array(
    [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19],
    dtype=np.uint32,
)
_ROUNDS = np.array(
    [
        0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
        0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
        0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
        0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
        0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
        0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
        0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
        0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
    ],
    dtype=np.uint32,
)  # fmt: skip


@inlined
def _right(word: np.uint32, bits: int) -> np.uint32:
    return np.uint32(word >> np.uint32(bits) | word << np.uint32(32 - bits))


@inlined
def compress_plainly(words: Words) -> None:
    """Take the block in `words` into the state; `words` has WORDS numbers."""
    for t in range(BLOCK_WORDS, SCHEDULE_WORDS):
        i = np.uint64(t)
        early, late = words[i - np.uint64(15)], words[i - np.uint64(2)]
        low = np.uint32(_right(early, 7) ^ _right(early, 18) ^ early >> np.uint32(3))
        high = np.uint32(_right(late, 17) ^ _right(late, 19) ^ late >> np.uint32(10))
        words[i] = np.uint32(words[i - np.uint64(16)] + low + words[i - np.uint64(7)] + high)
    a, b, c, d = words[64], words[65], words[66], words[67]
    e, f, g, h = words[68], words[69], words[70], words[71]
    for t in range(SCHEDULE_WORDS):
        i = np.uint64(t)
        mixed = np.uint32(_right(e, 6) ^ _right(e, 11) ^ _right(e, 25))
        first = np.uint32(h + mixed + np.uint32(e & f ^ ~e & g) + _ROUNDS[i] + words[i])
        mixed = np.uint32(_right(a, 2) ^ _right(a, 13) ^ _right(a, 22))
        second = np.uint32(mixed + np.uint32(a & b ^ a & c ^ b & c))
        a, b, c, d, e, f, g, h = np.uint32(first + second), a, b, c, np.uint32(d + first), e, f, g
    words[64], words[65] = np.uint32(words[64] + a), np.uint32(words[65] + b)
    words[66], words[67] = np.uint32(words[66] + c), np.uint32(words[67] + d)
    words[68], words[69] = np.uint32(words[68] + e), np.uint32(words[69] + f)
    words[70], words[71] = np.uint32(words[70] + g), np.uint32(words[71] + h)


def _block(ir: Any, builder: Any, words: Any) -> None:
    """Write the body of a function over a pointer to `words`; its state is held as lanes FEBA and HGDC."""
    vectors = Vectors(ir, builder, words)
    low, high = vectors.load(STATE), vectors.load(STATE + 4)
    one = first = vectors.pick(low, high, [5, 4, 1, 0])
    other = second = vectors.pick(low, high, [7, 6, 3, 2])
    message = [vectors.load(index) for index in range(0, BLOCK_WORDS, 4)]
    for step in range(SCHEDULE_WORDS // 4):
        if step >= 4:
            mixed = vectors.instruction("sha256msg1", message[step - 4], message[step - 3])
            mixed = builder.add(mixed, vectors.pick(message[step - 2], message[step - 1], [1, 2, 3, 4]))
            message.append(vectors.instruction("sha256msg2", mixed, message[step - 1]))
        rounds = vectors.constant([int(number) for number in _ROUNDS[4 * step : 4 * step + 4]])
        added = builder.add(message[step], rounds)
        other = vectors.instruction("sha256rnds2", other, one, added)
        added = vectors.pick(added, added, [2, 3, 0, 0])
        one = vectors.instruction("sha256rnds2", one, other, added)
    one, other = builder.add(one, first), builder.add(other, second)
    vectors.store(vectors.pick(one, other, [3, 2, 7, 6]), STATE)
    vectors.store(vectors.pick(one, other, [1, 0, 5, 4]), STATE + 4)
    builder.ret_void()


HAS_INSTRUCTIONS = has_feature("sha")
compress = by_instructions("notifier.sha256_block", _block) if HAS_INSTRUCTIONS else compress_plainly


INNER, OUTER = WORDS, WORDS + STATE_WORDS
HMAC_WORDS = WORDS + 2 * STATE_WORDS
"""Working memory of an HMAC: behind that of a block the two states that begin with the padded key."""


@inlined
def _word(text: Bytes, place: int, size: int, at: int) -> np.uint32:
    """Return four bytes of a padded text, most significant first: the text, 0x80, zeros."""
    if at + 4 <= size:
        i = np.uint64(place + at)
        return np.uint32(
            np.uint32(text[i]) << np.uint32(24)
            | np.uint32(text[i + np.uint64(1)]) << np.uint32(16)
            | np.uint32(text[i + np.uint64(2)]) << np.uint32(8)
            | np.uint32(text[i + np.uint64(3)])
        )
    if at > size:
        return np.uint32(0)
    word = np.uint32(0)
    for step in range(at, at + 4):
        byte = np.uint32(text[np.uint64(place + step)]) if step < size else np.uint32(0)
        word = np.uint32(word << np.uint32(8) | (np.uint32(0x80) if step == size else byte))
    return word


@inlined
def _copy_state(words: Words, source: int, target: int) -> None:
    for i in range(STATE_WORDS):
        words[np.uint64(target + i)] = words[np.uint64(source + i)]


@inlined
def _begin(words: Words, salt: Bytes, place: int, size: int, pad: int, target: int) -> None:
    """Take the padded key, the first block of one of HMAC's two hashes, into a new state at `target`."""
    for i in range(STATE_WORDS):
        words[np.uint64(STATE + i)] = START[np.uint64(i)]
    for i in range(BLOCK_WORDS):
        word = np.uint32(0)
        if 4 * i + 4 <= size:
            word = _word(salt, place, size, 4 * i)
        words[np.uint64(i)] = np.uint32(word ^ np.uint32(pad))
    compress(words)
    _copy_state(words, STATE, target)


@compiled
def hmac_key(words: Words, salt: Bytes, place: int, size: int) -> None:
    """Begin HMACs under a key of a multiple of 4 bytes, at most 64. `words` has HMAC_WORDS."""
    _begin(words, salt, place, size, 0x36363636, INNER)
    _begin(words, salt, place, size, 0x5C5C5C5C, OUTER)


@compiled
def hmac_half(words: Words, letter: int, text: Bytes, place: int, size: int) -> None:
    """Leave the first 16 bytes of HMAC-SHA-256 of a letter and a text in `words[STATE:]`, as four numbers.

    The key is that of the last `hmac_key`. Never raises.
    """
    _copy_state(words, INNER, STATE)
    blocks = (1 + size + 8) // BLOCK_BYTES + 1
    before = np.uint32(letter)
    for block in range(blocks):
        for i in range(BLOCK_WORDS):
            word = _word(text, place, size, block * BLOCK_BYTES + 4 * i)
            words[np.uint64(i)] = np.uint32(before << np.uint32(24) | word >> np.uint32(8))
            before = np.uint32(word & np.uint32(0xFF))
        if block == blocks - 1:
            words[14], words[15] = np.uint32(0), np.uint32((BLOCK_BYTES + 1 + size) << 3)
        compress(words)
    for i in range(STATE_WORDS):
        words[np.uint64(i)] = words[np.uint64(STATE + i)]
    words[8] = np.uint32(0x80000000)
    for i in range(9, BLOCK_WORDS - 1):
        words[np.uint64(i)] = np.uint32(0)
    words[15] = np.uint32((BLOCK_BYTES + 32) << 3)
    _copy_state(words, OUTER, STATE)
    compress(words)
