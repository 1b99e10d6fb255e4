"""What kernels need and Numba has no function for, written as LLVM: loads of 16 bytes, and a barrier's two halves."""

from __future__ import annotations

from functools import cache
from typing import Any

from rnnbench.backends.cuda.arrangement import QUAD_BYTES


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, index_type: Any) -> Any:
    """Return the address of array[index], without the question whether the index counts from the end."""
    from numba.cuda import types

    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [context.cast(builder, index, index_type, types.intp)])


@cache
def quads() -> tuple[Any, Any, Any]:
    """Return load_quad, store_quad and copy_quad."""
    from llvmlite import ir
    from numba.cuda import types
    from numba.cuda.extending import intrinsic

    def as_vector(builder: Any, pointer: Any) -> Any:
        count = QUAD_BYTES // {"float": 4, "double": 8}[str(pointer.type.pointee)]
        vector = ir.VectorType(pointer.type.pointee, count)
        return builder.bitcast(pointer, vector.as_pointer(pointer.type.addrspace)), count

    def lane(number: int) -> Any:
        return ir.Constant(ir.IntType(32), number)

    def pointers(context: Any, builder: Any, signature: Any, arguments: Any) -> tuple[Any, Any]:
        (source, index, to, at), kinds = arguments, signature.args
        return (
            _pointer(context, builder, kinds[0], source, index, kinds[1]),
            _pointer(context, builder, kinds[2], to, at, kinds[3]),
        )

    def generate_load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, to = pointers(context, builder, signature, arguments)
        source, count = as_vector(builder, source)
        value = builder.load(source, align=QUAD_BYTES)
        for k in range(count):
            builder.store(builder.extract_element(value, lane(k)), builder.gep(to, [lane(k)]))
        return context.get_dummy_value()

    def generate_store(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, to = pointers(context, builder, signature, arguments)
        to, count = as_vector(builder, to)
        value = ir.Constant(to.type.pointee, ir.Undefined)
        for k in range(count):
            value = builder.insert_element(value, builder.load(builder.gep(source, [lane(k)])), lane(k))
        builder.store(value, to, align=QUAD_BYTES)
        return context.get_dummy_value()

    def generate_copy(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, to = (as_vector(builder, p)[0] for p in pointers(context, builder, signature, arguments))
        builder.store(builder.load(source, align=QUAD_BYTES), to, align=QUAD_BYTES)
        return context.get_dummy_value()

    @intrinsic
    def load_quad(typingctx, source, index, to, at):
        return types.void(source, index, to, at), generate_load

    @intrinsic
    def store_quad(typingctx, source, index, to, at):
        return types.void(source, index, to, at), generate_store

    @intrinsic
    def copy_quad(typingctx, source, index, to, at):
        return types.void(source, index, to, at), generate_copy

    return load_quad, store_quad, copy_quad


@cache
def atomics() -> tuple[Any, Any]:
    """Return add(array, index), which releases, and poll(array, index), which acquires, on arrays of int32."""
    from llvmlite import ir
    from numba.cuda import types
    from numba.cuda.extending import intrinsic

    number, address = ir.IntType(32), ir.IntType(64)

    def assembly(builder: Any, text: str, result: Any, constraints: str, pointer: Any) -> Any:
        kind = ir.FunctionType(result, [address])
        code = ir.InlineAsm(kind, text, constraints + ",~{memory}", side_effect=True)
        return builder.call(code, [builder.ptrtoint(pointer, address)])

    @intrinsic
    def add(typingctx, array, index):
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (array, index), (array_type, index_type) = arguments, signature.args
            pointer = _pointer(context, builder, array_type, array, index, index_type)
            assembly(builder, "red.release.gpu.global.add.u32 [$0], 1;", ir.VoidType(), "l", pointer)
            return context.get_dummy_value()

        return types.void(array, index), generate

    @intrinsic
    def poll(typingctx, array, index):
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (array, index), (array_type, index_type) = arguments, signature.args
            pointer = _pointer(context, builder, array_type, array, index, index_type)
            return assembly(builder, "ld.acquire.gpu.global.u32 $0, [$1];", number, "=r,l", pointer)

        return types.int32(array, index), generate

    return add, poll
