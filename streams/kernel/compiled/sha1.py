"""One block of SHA-1: by the processor's own instructions where it has them, else by plain arithmetic.

Both take the block's sixteen words and the state in one array of WORDS numbers, and leave the new state
there. Imports `instructions` and `jit`. Read next: `hashes.py`. Source: FIPS 180-4, section 6.1.2; SHA
Extensions of Intel (document 323850).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.kernel.compiled.instructions import Vectors, by_instructions
from streams.kernel.compiled.jit import has_feature, inlined

BLOCK_WORDS, SCHEDULE_WORDS, STATE_WORDS = 16, 80, 5
STATE = SCHEDULE_WORDS
"""Where the state stands, five numbers after the message schedule."""
WORDS = SCHEDULE_WORDS + STATE_WORDS

Words = NDArray[np.uint32]


@inlined
def _left(word: np.uint32, bits: int) -> np.uint32:
    return np.uint32(word << np.uint32(bits) | word >> np.uint32(32 - bits))


@inlined
def compress_plainly(words: Words) -> None:
    """Take the block in `words` into the state; `words` has WORDS numbers."""
    for t in range(BLOCK_WORDS, SCHEDULE_WORDS):
        i = np.uint64(t)
        mixed = words[i - np.uint64(3)] ^ words[i - np.uint64(8)]
        mixed ^= words[i - np.uint64(14)] ^ words[i - np.uint64(16)]
        words[i] = _left(np.uint32(mixed), 1)
    a, b, c, d, e = words[80], words[81], words[82], words[83], words[84]
    for t in range(20):
        f = np.uint32(d ^ b & (c ^ d))
        new = np.uint32(_left(a, 5) + f + e + np.uint32(0x5A827999) + words[np.uint64(t)])
        a, b, c, d, e = new, a, _left(b, 30), c, d
    for t in range(20, 40):
        f = np.uint32(b ^ c ^ d)
        new = np.uint32(_left(a, 5) + f + e + np.uint32(0x6ED9EBA1) + words[np.uint64(t)])
        a, b, c, d, e = new, a, _left(b, 30), c, d
    for t in range(40, 60):
        f = np.uint32(b & c | d & (b | c))
        new = np.uint32(_left(a, 5) + f + e + np.uint32(0x8F1BBCDC) + words[np.uint64(t)])
        a, b, c, d, e = new, a, _left(b, 30), c, d
    for t in range(60, 80):
        f = np.uint32(b ^ c ^ d)
        new = np.uint32(_left(a, 5) + f + e + np.uint32(0xCA62C1D6) + words[np.uint64(t)])
        a, b, c, d, e = new, a, _left(b, 30), c, d
    words[80], words[81] = np.uint32(words[80] + a), np.uint32(words[81] + b)
    words[82], words[83] = np.uint32(words[82] + c), np.uint32(words[83] + d)
    words[84] = np.uint32(words[84] + e)


def _block(ir: Any, builder: Any, words: Any) -> None:
    """Write the body of a function over a pointer to `words`; a vector's first word is in its top lane."""
    vectors = Vectors(ir, builder, words)
    top = ir.Constant(vectors.word, 3)

    def turn(value: Any) -> Any:
        return vectors.pick(value, value, [3, 2, 1, 0])

    instruction = vectors.instruction
    last = vectors.place(STATE + 4)
    e = builder.insert_element(vectors.constant([0] * 4), builder.load(last), top)
    message = [turn(vectors.load(index)) for index in range(0, BLOCK_WORDS, 4)]
    state = before = first = turn(vectors.load(STATE))
    for step in range(SCHEDULE_WORDS // 4):
        if step >= 4:
            mixed = instruction("sha1msg1", message[step - 4], message[step - 3])
            mixed = builder.xor(mixed, message[step - 2])
            message.append(instruction("sha1msg2", mixed, message[step - 1]))
        added = instruction("sha1nexte", before, message[step]) if step else builder.add(e, message[step])
        before, state = state, instruction("sha1rnds4", state, added, ir.Constant(ir.IntType(8), step // 5))
    vectors.store(turn(builder.add(state, first)), STATE)
    builder.store(builder.extract_element(instruction("sha1nexte", before, e), top), last)
    builder.ret_void()


HAS_INSTRUCTIONS = has_feature("sha")
compress = by_instructions("notifier.sha1_block", _block) if HAS_INSTRUCTIONS else compress_plainly
