"""A Numba type for a few numbers side by side in a vector register, so that a cell's scalars become vectors.

A cell's element functions are compiled with `Lanes` in the place of scalars: every operator is then one LLVM
vector instruction, and no loop has to be recognised by LLVM's vectoriser (whose alias checks and trip-count
heuristics can leave the same code scalar, silently). Python numbers take the lanes' type: `1.0 - x`
is float32 where x is, as in NumPy. There are no branches between lanes: `where(condition, a, b)` selects.

Sizes that are known at compile time are given as tuples of that length. Where the compiler is switched off,
lanes are small NumPy arrays, and each primitive is the plain function of the same meaning.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.core.datamodel import models
from numba.core.types.misc import CPointer
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, register_model

from rnnbench import arithmetic

FLAGS = ("contract",)
"""LLVM may fuse a multiply with an add; nothing else is relaxed, so NaN and infinity pass through."""


class LanesType(types.Type):
    """`count` numbers of a Numba float type in one LLVM vector."""

    def __init__(self, dtype: types.Float, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(name=f"Lanes({dtype} x {count})")

    def vector(self) -> ir.VectorType:
        """Return the LLVM type."""
        return ir.VectorType(ir.FloatType() if self.dtype is types.float32 else ir.DoubleType(), self.count)


class MaskType(types.Type):
    """A truth value a lane, what a comparison of lanes gives."""

    def __init__(self, lanes: LanesType) -> None:
        self.lanes = lanes
        super().__init__(name=f"Mask({lanes})")


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):
    """Lanes are an LLVM vector, in memory as in registers."""

    def __init__(self, manager: Any, kind: LanesType) -> None:
        super().__init__(manager, kind, kind.vector())


@register_model(MaskType)
class MaskModel(models.PrimitiveModel):
    """A mask is an LLVM vector of bits."""

    def __init__(self, manager: Any, kind: MaskType) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.IntType(1), kind.lanes.count))


def splat(builder: ir.IRBuilder, value: ir.Value, vector: ir.VectorType) -> ir.Value:
    """Return the vector with `value` in every lane."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, zeros)


def as_lanes(context: Any, builder: ir.IRBuilder, value: ir.Value, given: types.Type, lanes: LanesType) -> ir.Value:
    """Return `value` as lanes: lanes as they are, a number converted and repeated."""
    if isinstance(given, LanesType):
        return value
    return splat(builder, context.cast(builder, value, given, lanes.dtype), lanes.vector())


def common_lanes(a: types.Type, b: types.Type) -> LanesType | None:
    """Return the lanes of two operands of which one or both are lanes, the other a number, else None."""
    lanes = a if isinstance(a, LanesType) else b
    if not isinstance(lanes, LanesType):
        return None
    return lanes if all(kind == lanes or isinstance(kind, types.Number) for kind in (a, b)) else None


def _define_operator(operation: Callable, emit: Callable, compares: bool = False) -> None:
    """Type and lower a binary operator for lanes, and for lanes with a number."""

    class Template(AbstractTemplate):
        def generic(self, args: tuple, kws: dict) -> Any:
            lanes = common_lanes(*args) if len(args) == 2 else None
            return lanes and signature(MaskType(lanes) if compares else lanes, *args)

    infer_global(operation)(Template)

    def lower(context: Any, builder: ir.IRBuilder, sig: Any, arguments: tuple) -> ir.Value:
        lanes = common_lanes(*sig.args)
        assert lanes is not None
        pairs = zip(arguments, sig.args, strict=True)
        return emit(builder, *(as_lanes(context, builder, value, kind, lanes) for value, kind in pairs))

    for kinds in ((LanesType, LanesType), (LanesType, types.Number), (types.Number, LanesType)):
        lower_builtin(operation, *kinds)(lower)


_define_operator(operator.add, lambda builder, a, b: builder.fadd(a, b, flags=FLAGS))
_define_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b, flags=FLAGS))
_define_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b, flags=FLAGS))
_define_operator(operator.truediv, lambda builder, a, b: builder.fdiv(a, b, flags=FLAGS))
_define_operator(operator.lt, lambda builder, a, b: builder.fcmp_ordered("<", a, b), compares=True)
_define_operator(operator.le, lambda builder, a, b: builder.fcmp_ordered("<=", a, b), compares=True)
_define_operator(operator.gt, lambda builder, a, b: builder.fcmp_ordered(">", a, b), compares=True)
_define_operator(operator.ge, lambda builder, a, b: builder.fcmp_ordered(">=", a, b), compares=True)


@infer_global(operator.neg)
class _Negation(AbstractTemplate):
    def generic(self, args: tuple, kws: dict) -> Any:
        return signature(args[0], *args) if isinstance(args[0], LanesType) else None


@lower_builtin(operator.neg, LanesType)
def _negate(context: Any, builder: ir.IRBuilder, sig: Any, arguments: tuple) -> ir.Value:
    return builder.fneg(arguments[0])


def primitive(plain: Callable) -> Callable[[Callable], Callable]:
    """Return the decorator that compiles a typing function as an intrinsic, or gives `plain` without a compiler."""
    return lambda typed: plain if config.DISABLE_JIT else intrinsic(typed)


@primitive(arithmetic.where)
def where(typing_context, condition, a, b):
    """Select a where the mask holds, else b; either or both may be numbers."""
    lanes: Any = common_lanes(a, b) or condition.lanes

    def codegen(context, builder, sig, arguments):
        mask, *values = arguments
        pairs = zip(values, sig.args[1:], strict=True)
        return builder.select(mask, *(as_lanes(context, builder, value, kind, lanes) for value, kind in pairs))

    return signature(lanes, condition, a, b), codegen


def _starts(offset: int, stride: int, count: int) -> list[int]:
    return [offset + k * stride for k in range(count)]


def _load(array, offset, stride, lane, vector):
    return tuple(array[start : start + len(lane)].copy() for start in _starts(offset, stride, len(vector)))


def _store(array, offset, stride, lane, values):
    for start, value in zip(_starts(offset, stride, len(values)), values, strict=True):
        array[start : start + len(lane)] = value


def _add(array, offset, stride, lane, values):
    for start, value in zip(_starts(offset, stride, len(values)), values, strict=True):
        array[start : start + len(lane)] += value


def address(context, builder, kind, array, offset):
    """Return the address of element `offset` of a flat array, or from a pointer on."""
    data = array if isinstance(kind, CPointer) else context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [offset])


def _pointer(array, start):
    return array[start:]


@primitive(_pointer)
def pointer(typing_context, array, start):
    """Return a pointer to element `start` of a flat array, which all that follows takes in the place of the array.

    It does not keep the array alive. It is one number where an array is seven, counted at each use: kernels that
    hand dozens of arrays around compile and start much faster.
    """

    def codegen(context, builder, sig, arguments):
        return address(context, builder, array, *arguments)

    return CPointer(array.dtype)(array, types.intp), codegen


def _item(array, index):
    return array[index]


@primitive(_item)
def item(typing_context, array, index):
    """Return one number of a flat array."""

    def codegen(context, builder, sig, arguments):
        return builder.load(address(context, builder, array, *arguments))

    return array.dtype(array, types.intp), codegen


def _pointers(context, builder, kind, array, offset, steps):
    """Return the addresses array[offset + sum of k*stride] for (stride, count) in steps, the last step innermost."""
    pointers = [address(context, builder, kind, array, offset)]
    for stride, count in steps:
        jumps = [builder.mul(stride, ir.Constant(stride.type, k)) for k in range(count)]
        pointers = [builder.gep(pointer, [jump]) for pointer in pointers for jump in jumps]
    return pointers


def load_lanes(builder, pointer, lanes):
    """Read lanes from an address."""
    vector = builder.bitcast(pointer, lanes.vector().as_pointer())
    return builder.load(vector, align=lanes.dtype.bitwidth // 8)


def store_lanes(builder, value, pointer, lanes):
    """Write lanes to an address."""
    vector = builder.bitcast(pointer, lanes.vector().as_pointer())
    builder.store(value, vector, align=lanes.dtype.bitwidth // 8)


@primitive(_load)
def load(typing_context, array, offset, stride, lane, vector):
    """Return a tuple of len(vector) lanes, read from the flat array at offset + k*stride."""
    lanes, count = LanesType(array.dtype, len(lane)), len(vector)
    result: Any = types.UniTuple(lanes, count) if count else types.Tuple(())  # type: ignore[attr-defined]

    def codegen(context, builder, sig, arguments):
        data, start, step, _, _ = arguments
        pointers = _pointers(context, builder, array, data, start, [(step, count)])
        return context.make_tuple(builder, result, [load_lanes(builder, pointer, lanes) for pointer in pointers])

    return result(array, types.intp, types.intp, lane, vector), codegen


def _load_part(array, offset, stride, lane, vector, count, whole):
    rows = [np.zeros(len(lane), array.dtype) for _ in vector]
    for r, start in enumerate(_starts(offset, stride, min(len(vector), whole))):
        kept = max(0, min(count, len(lane)))
        rows[r][:kept] = array[start : start + kept]
    return tuple(rows)


@primitive(_load_part)
def load_part(typing_context, array, offset, stride, lane, vector, count, whole):
    """As `load`, but of each lanes only the first `count` numbers, of the tuple only the first `whole`; zeros else."""
    lanes = LanesType(array.dtype, len(lane))
    result: Any = types.UniTuple(lanes, len(vector))  # type: ignore[attr-defined]

    def codegen(context, builder, sig, arguments):
        data, start, step, _, _, kept, kept_rows = arguments
        pointers = _pointers(context, builder, array, data, start, [(step, len(vector))])
        positions = ir.Constant(ir.VectorType(kept.type, lanes.count), list(range(lanes.count)))
        vector_type = lanes.vector()
        mask_type = ir.VectorType(ir.IntType(1), lanes.count)
        kind = ir.FunctionType(vector_type, [vector_type.as_pointer(), ir.IntType(32), mask_type, vector_type])
        name = f"llvm.masked.load.v{lanes.count}f{lanes.dtype.bitwidth}.p0"
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        values = []
        for row, pointer in enumerate(pointers):
            inside = builder.icmp_signed("<", ir.Constant(kept.type, row), kept_rows)
            here = builder.select(inside, kept, ir.Constant(kept.type, 0))
            mask = builder.icmp_signed("<", positions, splat(builder, here, positions.type))
            nothing = ir.Constant(vector_type, [0.0] * lanes.count)
            alignment = ir.Constant(ir.IntType(32), lanes.dtype.bitwidth // 8)
            place = builder.bitcast(pointer, vector_type.as_pointer())
            values.append(builder.call(function, [place, alignment, mask, nothing]))
        return context.make_tuple(builder, result, values)

    return result(array, types.intp, types.intp, lane, vector, types.intp, types.intp), codegen


@primitive(_store)
def store(typing_context, array, offset, stride, lane, values):
    """Write a tuple of lanes (or numbers) to the flat array at offset + k*stride."""
    lanes = LanesType(array.dtype, len(lane))

    def codegen(context, builder, sig, arguments):
        data, start, step, _, items = arguments
        pointers = _pointers(context, builder, array, data, start, [(step, len(values))])
        for k, pointer in enumerate(pointers):
            value = as_lanes(context, builder, builder.extract_value(items, k), values[k], lanes)
            store_lanes(builder, value, pointer, lanes)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, lane, values), codegen


@primitive(_add)
def add(typing_context, array, offset, stride, lane, values):
    """Add a tuple of lanes (or numbers) to the flat array at offset + k*stride."""
    lanes = LanesType(array.dtype, len(lane))

    def codegen(context, builder, sig, arguments):
        data, start, step, _, items = arguments
        pointers = _pointers(context, builder, array, data, start, [(step, len(values))])
        for k, pointer in enumerate(pointers):
            value = as_lanes(context, builder, builder.extract_value(items, k), values[k], lanes)
            total = builder.fadd(load_lanes(builder, pointer, lanes), value, flags=FLAGS)
            store_lanes(builder, total, pointer, lanes)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, lane, values), codegen


def _copy(target, target_start, source, source_start, count):
    target[target_start : target_start + count] = source[source_start : source_start + count]


@primitive(_copy)
def copy(typing_context, target, target_start, source, source_start, count):
    """Copy `count` numbers from one flat array to another of the same type."""

    def codegen(context, builder, sig, arguments):
        to, to_start, of, of_start, number = arguments
        [target_place] = _pointers(context, builder, target, to, to_start, [])
        [source_place] = _pointers(context, builder, source, of, of_start, [])
        cgutils.raw_memcpy(builder, target_place, source_place, number, target.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp, types.intp), codegen


def _clear(array, start, count):
    array[start : start + count] = 0


@primitive(_clear)
def clear(typing_context, array, start, count):
    """Set `count` numbers of a flat array to 0."""

    def codegen(context, builder, sig, arguments):
        data, first, number = arguments
        [place] = _pointers(context, builder, array, data, first, [])
        size = builder.mul(number, ir.Constant(number.type, array.dtype.bitwidth // 8))
        cgutils.memset(builder, place, size, 0)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), codegen


def _transpose(rows):
    return tuple(np.stack(rows).T.copy())


@primitive(_transpose)
def transpose(typing_context, rows):
    """Return as many lanes as each of `rows` has numbers: lane r of result k is lane k of row r."""
    lanes = rows.dtype
    assert len(rows) == lanes.count

    def codegen(context, builder, sig, arguments):
        values = [builder.extract_value(arguments[0], k) for k in range(lanes.count)]
        distance = 1
        while distance < lanes.count:  # exchange the off-diagonal quarters of every square of 2 x distance
            exchanged = list(values)
            for first in range(lanes.count):
                if first & distance:
                    continue
                for result, upper in ((first, 0), (first + distance, distance)):
                    chosen = [
                        k + upper if not k & distance else k + lanes.count - distance + upper
                        for k in range(lanes.count)
                    ]
                    mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes.count), chosen)
                    exchanged[result] = builder.shuffle_vector(values[first], values[first + distance], mask)
            values = exchanged
            distance *= 2
        return context.make_tuple(builder, sig.return_type, values)

    return rows(rows), codegen


def _power_of_two(x):
    bits, one = _layout(x.dtype == np.float32)
    integers = x.view(np.int32 if x.dtype == np.float32 else np.int64)
    return ((integers << bits) + one).view(x.dtype)


def _layout(single: bool) -> tuple[int, int]:
    """Return the number of mantissa bits, and the bit pattern of 1.0, of float32 or else float64."""
    return (23, 127 << 23) if single else (52, 1023 << 52)


@primitive(_power_of_two)
def power_of_two(typing_context, x):
    """Return 2^k for lanes x = k + 1.5 * 2^m, m the bits of the mantissa: the low bits of x hold k."""
    bits, exponent_one = _layout(x.dtype is types.float32)

    def codegen(context, builder, sig, arguments):
        integers = ir.VectorType(ir.IntType(x.dtype.bitwidth), x.count)
        shift = ir.Constant(integers, [bits] * x.count)
        one = ir.Constant(integers, [exponent_one] * x.count)
        shifted = builder.shl(builder.bitcast(arguments[0], integers), shift)
        return builder.bitcast(builder.add(shifted, one), x.vector())

    return x(x), codegen
