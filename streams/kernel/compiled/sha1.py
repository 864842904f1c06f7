"""One block of SHA-1: by the processor's own instructions where it has them, else by plain arithmetic.

Both take the block's sixteen words and the state in one array of WORDS numbers, and leave the new state
there. Imports `jit`. Read next: `hashes.py`. Source: FIPS 180-4, section 6.1.2; Intel's SHA Extensions
(document 323850).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.kernel.compiled.jit import has_feature, inlined, numba

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


def _emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Write a call of `_block`, made once per module.

    A function of its own, never inlined: the instructions have the old encoding, and each waits a hundred
    cycles where the upper halves of registers are in use. Before a call the compiler clears them.
    """
    from llvmlite import ir

    array = context.make_array(signature.args[0])(context, builder, value=arguments[0])
    kind = ir.FunctionType(ir.VoidType(), [array.data.type])
    block = builder.module.globals.get("notifier.sha1_block")
    if block is None:
        block = ir.Function(builder.module, kind, "notifier.sha1_block")
        block.linkage = "internal"
        block.attributes.add("noinline")
        _block(ir, ir.IRBuilder(block.append_basic_block()), block.args[0])
    builder.call(block, [array.data])
    return context.get_dummy_value()


def _block(ir: Any, builder: Any, words: Any) -> None:
    """Write the body of a function over a pointer to `words`; a vector's first word is in its top lane."""
    word, vector = ir.IntType(32), ir.VectorType(ir.IntType(32), 4)
    turned = ir.Constant(ir.VectorType(word, 4), [3, 2, 1, 0])

    def place(index: int) -> Any:
        at = builder.gep(words, [ir.Constant(ir.IntType(64), index)])
        return builder.bitcast(at, vector.as_pointer())

    def turn(value: Any) -> Any:
        return builder.shuffle_vector(value, ir.Constant(vector, ir.Undefined), turned)

    def instruction(name: str, *operands: Any) -> Any:
        kind = ir.FunctionType(vector, [operand.type for operand in operands])
        name = f"llvm.x86.{name}"
        known = builder.module.globals.get(name)
        return builder.call(known or ir.Function(builder.module, kind, name), operands)

    top = ir.Constant(word, 3)
    last = builder.gep(words, [ir.Constant(ir.IntType(64), STATE + 4)])
    e = builder.insert_element(ir.Constant(vector, [0] * 4), builder.load(last), top)
    message = [turn(builder.load(place(index), align=4)) for index in range(0, BLOCK_WORDS, 4)]
    state = before = first = turn(builder.load(place(STATE), align=4))
    for step in range(SCHEDULE_WORDS // 4):
        if step >= 4:
            mixed = instruction("sha1msg1", message[step - 4], message[step - 3])
            mixed = builder.xor(mixed, message[step - 2])
            message.append(instruction("sha1msg2", mixed, message[step - 1]))
        added = instruction("sha1nexte", before, message[step]) if step else builder.add(e, message[step])
        before, state = state, instruction("sha1rnds4", state, added, ir.Constant(ir.IntType(8), step // 5))
    builder.store(turn(builder.add(state, first)), place(STATE), align=4)
    builder.store(builder.extract_element(instruction("sha1nexte", before, e), top), last)
    builder.ret_void()


def _by_instructions() -> Callable[[Words], None]:
    def compress_by_instructions(typing: Any, words: Any) -> Any:  # noqa: ARG001 - numba's signature
        """Take the block in `words` into the state; `words` has WORDS numbers."""
        return numba.types.void(words), _emit

    made: Callable[[Words], None] = numba.extending.intrinsic(compress_by_instructions)
    return made


HAS_INSTRUCTIONS = has_feature("sha")
compress = _by_instructions() if HAS_INSTRUCTIONS else compress_plainly
