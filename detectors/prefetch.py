"""A hint to the processor to fetch a row's state before it is needed."""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

LINE_BYTES = 64


def _prefetch_row(typing_context: Any, table: Any, row: Any) -> Any:
    """`prefetch_row(table, row)`, in compiled code, asks for every cache line of `table[row]`.

    Rows of thousands of series lie all over the memory: without the hint most of a sample's time is
    waiting for it. It changes no result. `row` is an int64 and must exist.
    """
    size = table.dtype.size
    signature = types.void(table, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, word, long = ir.IntType(8).as_pointer(), ir.IntType(32), ir.IntType(64)
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        offset = builder.mul(arguments[1], long(size))
        start = builder.add(builder.ptrtoint(array.data, long), offset)
        kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        for line in range(0, size, LINE_BYTES):
            address = builder.inttoptr(builder.add(start, long(line)), pointer)
            for_writing, keep, data = word(1), word(3), word(1)
            builder.call(prefetch, [address, for_writing, keep, data])
        return context.get_dummy_value()

    return signature, generate


prefetch_row: Any = intrinsic(_prefetch_row)
