"""Functions written for the processor's own instructions, which compiled code calls like any other.

A function of its own, never inlined: the instructions have the old encoding, and each waits a hundred cycles
where the upper halves of registers are in use. Before a call the compiler clears them. Imports `jit`. Read
next: `sha1.py`.
"""

from collections.abc import Callable
from typing import Any

from streams.kernel.compiled.jit import numba

Body = Callable[[Any, Any, Any], None]
"""Takes llvmlite's `ir`, a builder, and the pointer to the first number of an array; writes a function."""


def by_instructions(name: str, body: Body) -> Callable[[Any], None]:
    """Return a function over one array of 32-bit numbers whose code `body` writes, once per module."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        array = context.make_array(signature.args[0])(context, builder, value=arguments[0])
        kind = ir.FunctionType(ir.VoidType(), [array.data.type])
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, kind, name)
            function.linkage = "internal"
            function.attributes.add("noinline")
            body(ir, ir.IRBuilder(function.append_basic_block()), function.args[0])
        builder.call(function, [array.data])
        return context.get_dummy_value()

    def call(typing: Any, words: Any) -> Any:  # noqa: ARG001 - numba's signature
        """Take the block in `words` into the state that stands behind it."""
        return numba.types.void(words), emit

    made: Callable[[Any], None] = numba.extending.intrinsic(call)
    return made


class Vectors:
    """Writes steps over vectors of four 32-bit numbers.

    Args:
        ir: llvmlite's module of that name.
        builder: writes into the function.
        words: pointer to the first number of the array.
    """

    def __init__(self, ir: Any, builder: Any, words: Any) -> None:
        self._ir = ir
        self._builder = builder
        self._words = words
        self.word = ir.IntType(32)
        self.kind = ir.VectorType(self.word, 4)

    def place(self, index: int) -> Any:
        """Return the pointer to the number at `index`."""
        return self._builder.gep(self._words, [self._ir.Constant(self._ir.IntType(64), index)])

    def load(self, index: int) -> Any:
        """Return the four numbers from `index` on."""
        return self._builder.load(self._builder.bitcast(self.place(index), self.kind.as_pointer()), align=4)

    def store(self, value: Any, index: int) -> None:
        """Write four numbers to `index` and on."""
        self._builder.store(value, self._builder.bitcast(self.place(index), self.kind.as_pointer()), align=4)

    def constant(self, numbers: list[int]) -> Any:
        """Return a vector of these numbers."""
        return self._ir.Constant(self.kind, numbers)

    def pick(self, one: Any, other: Any, lanes: list[int]) -> Any:
        """Return the lanes named: 0 to 3 of `one`, 4 to 7 of `other`."""
        return self._builder.shuffle_vector(
            one, other, self._ir.Constant(self._ir.VectorType(self.word, 4), lanes)
        )

    def instruction(self, name: str, *operands: Any) -> Any:
        """Return what an instruction of x86 makes of the operands."""
        function = self._ir.FunctionType(self.kind, [operand.type for operand in operands])
        name = f"llvm.x86.{name}"
        known = self._builder.module.globals.get(name)
        return self._builder.call(known or self._ir.Function(self._builder.module, function, name), operands)
