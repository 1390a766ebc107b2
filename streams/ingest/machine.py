"""Machine operations that Numba has no name for: unaligned loads, 128-bit products, prefetch.

Addresses are plain integers, and nothing here checks them: a caller stays inside its buffer.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

_BYTE = ir.IntType(8)
_FLAG = ir.IntType(1)
_INT = ir.IntType(32)
_WORD = ir.IntType(64)
_DOUBLE_WORD = ir.IntType(128)
_PAIR: Any = types.UniTuple


def _intrinsic(define: Callable[..., Any]) -> Callable[..., Any]:
    """Typed so that a kernel may call what is defined without the typing context, as it does."""
    return intrinsic(define)


@_intrinsic
def load8(typing: Any, address: Any) -> Any:
    """The byte at `address`, as uint64."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte = builder.load(builder.inttoptr(args[0], _BYTE.as_pointer()), align=1, typ=_BYTE)
        return builder.zext(byte, _WORD)

    return types.uint64(types.intp), build


@_intrinsic
def load64(typing: Any, address: Any) -> Any:
    """The eight bytes at `address`, aligned or not, as a little-endian uint64."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], _WORD.as_pointer()), align=1, typ=_WORD)

    return types.uint64(types.intp), build


@_intrinsic
def load32(typing: Any, address: Any) -> Any:
    """The four bytes at `address`, aligned or not, as a little-endian number in a uint64."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = builder.load(builder.inttoptr(args[0], _INT.as_pointer()), align=1, typ=_INT)
        return builder.zext(word, _WORD)

    return types.uint64(types.intp), build


@_intrinsic
def store64(typing: Any, address: Any, word: Any) -> Any:
    """Write a 64-bit integer or a double at `address`; returns nothing."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[1], builder.inttoptr(args[0], args[1].type.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(types.intp, word), build


@_intrinsic
def find_ts(typing: Any, address: Any) -> Any:
    """Mask of the 32 places from `address` on where the five bytes `"ts":` begin; reads 36 bytes."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = ir.VectorType(_BYTE, 32)
        found = None
        for i, byte in enumerate(b'"ts":'):
            pointer = builder.inttoptr(builder.add(args[0], _WORD(i)), lanes.as_pointer())
            wanted = ir.Constant(lanes, [byte] * 32)
            same = builder.icmp_unsigned("==", builder.load(pointer, align=1, typ=lanes), wanted)
            found = same if found is None else builder.and_(found, same)
        return builder.zext(builder.bitcast(found, _INT), _WORD)

    return types.uint64(types.intp), build


@_intrinsic
def prefetch(typing: Any, address: Any) -> Any:
    """Ask for the cache line at `address`, which may be any address at all."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _BYTE.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _INT, _INT, _INT])
        function = builder.module.globals.get("llvm.prefetch.p0")
        if function is None:
            function = ir.Function(builder.module, kind, "llvm.prefetch.p0")
        # To be read, wanted in all caches, as data.
        builder.call(function, [builder.inttoptr(args[0], pointer), _INT(0), _INT(3), _INT(1)])
        return context.get_dummy_value()

    return types.void(types.intp), build


@_intrinsic
def multiply(typing: Any, a: Any, b: Any) -> Any:
    """High and low 64 bits of the product of two uint64."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = (builder.zext(arg, _DOUBLE_WORD) for arg in args)
        product = builder.mul(a, b)
        high = builder.trunc(builder.lshr(product, _DOUBLE_WORD(64)), _WORD)
        return context.make_tuple(builder, signature.return_type, (high, builder.trunc(product, _WORD)))

    return _PAIR(types.uint64, 2)(types.uint64, types.uint64), build


@_intrinsic
def leading_zeros(typing: Any, word: Any) -> Any:
    """Zero bits above the highest one bit of a uint64, 64 for 0."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], _FLAG(0))

    return types.int64(types.uint64), build


@_intrinsic
def trailing_zeros(typing: Any, word: Any) -> Any:
    """Zero bits below the lowest one bit of a uint64, 64 for 0."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], _FLAG(0))

    return types.int64(types.uint64), build


@_intrinsic
def double_of_bits(typing: Any, word: Any) -> Any:
    """The double whose IEEE 754 representation is `word`."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.uint64), build
