"""Matrix products at the sizes of a recurrence: C += A B in tiles whose sums stay in registers.

A tile of rows x vectors of C meets each number of A with every vector of a row of B. The depth goes in blocks, so
that a block of B's panel stays in the first-level cache while all rows of A pass by. A may be a transpose (its strides
say so); B may lie plainly, row after row, or packed in panels, so that what a tile reads of it is contiguous.

The product is written in LLVM's own language, through llvmlite: tiles of known sizes are unrolled loops there, and
Numba has nothing to infer, which would take longer than all the rest of a kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from rnnbench.backends.cpu.lanes import FLAGS, LanesType, address, load_lanes, primitive, splat, store_lanes
from rnnbench.backends.cpu.target import target

PACKED = 0
"""The row stride of a packed B: its panels are (depth, width of the panel), one after the other."""
PANEL_BYTES = 1 << 14
"""Of a block of B's panel: half of the smallest first-level cache in use."""
INTEGER = ir.IntType(64)


class Matrix(NamedTuple):
    """A matrix in a flat array: element (r, c) at offset + r*row + c*column."""

    data: Any
    offset: int
    row: int
    column: int


class Tile(NamedTuple):
    """The sizes of a tile: numbers a vector, vectors a row, rows; as tuples of that length."""

    lane: tuple[int, ...]
    vector: tuple[int, ...]
    row: tuple[int, ...]


def tile_for(dtype: np.dtype, vectors: int | None = None) -> Tile:
    """Return the fastest tile whose panels divide rows of that many vectors, or for rows of any width."""
    cpu = target(dtype)
    width = cpu.panel_vectors(vectors)
    return Tile((0,) * cpu.lanes, (0,) * width, (0,) * cpu.tile_rows(width))


@cache
def product_for(dtype: np.dtype, tile: Tile, ragged: bool, ordered: bool) -> Callable:
    """Return multiply(a, b, c, rows, depth, columns): C += A B, C (rows, columns), for compiled code.

    a, b, c   a Matrix each; columns of C lie side by side, and are a multiple of the vector.
    ragged    whether columns may be left that no whole panel covers.
    ordered   whether every sum is taken strictly in the order of the depth, so that it is the same to the last bit
              however the depth is cut. Else the few rows that no tile covers, in a small batch all there are, go
              faster by summing several parts of the depth side by side.
    """
    lanes = LanesType(types.float32 if dtype == np.float32 else types.float64, len(tile.lane))
    shape = Shape(lanes, len(tile.vector), len(tile.row), ragged)

    def plain(a, b, c, rows, depth, columns):
        panel = lanes.count * shape.vectors
        for first in range(0, columns, lanes.count):
            whole = first // panel * panel + panel <= columns
            width = panel if whole else lanes.count
            step = b.row if b.row != PACKED else width
            start = b.offset + first // width * width * b.column + first % width
            for r in range(rows):
                out = c.data[c.offset + r * c.row + first :][: lanes.count]
                for k in range(depth):
                    place = start + k * step
                    out += a.data[a.offset + r * a.row + k * a.column] * b.data[place : place + lanes.count]

    @primitive(plain)
    def multiply(typing_context, a, b, c, rows, depth, columns):
        def codegen(context, builder, sig, arguments):
            values = []
            for record, kind in zip(arguments[:3], (a, b, c), strict=True):
                data, offset, row, column = (builder.extract_value(record, k) for k in range(4))
                values += [address(context, builder, kind.types[0], data, offset), row, column]
            flag = ir.Constant(ir.IntType(1), ordered)
            builder.call(shape.function(builder.module), [*values, *arguments[3:], flag])
            return context.get_dummy_value()

        return types.void(a, b, c, types.intp, types.intp, types.intp), codegen

    return multiply


@dataclass(frozen=True)
class Shape:  # pragma: no cover - writes machine code, as the functions below
    """One product in LLVM's language: of a, b, c (pointer, row, column stride each), rows, depth, columns, ordered."""

    lanes: LanesType
    vectors: int
    rows: int
    ragged: bool

    @property
    def name(self) -> str:
        """The function's name in its module."""
        kind = f"{self.lanes.dtype}_{self.lanes.count}x{self.vectors}x{self.rows}"
        return f"rnnbench_multiply_{kind}{'_ragged' * self.ragged}"

    @property
    def depth_block(self) -> int:
        """Rows of a panel of B that fit the first-level cache."""
        return PANEL_BYTES // (self.vectors * self.lanes.count * self.lanes.dtype.bitwidth // 8)

    def function(self, module: ir.Module) -> ir.Function:
        """Return the function, written into the module the first time."""
        known = module.globals.get(self.name)
        if known is not None:
            return known
        pointer = self.lanes.vector().element.as_pointer()
        matrices = [pointer, INTEGER, INTEGER] * 3
        kind = ir.FunctionType(ir.VoidType(), [*matrices, *[INTEGER] * 3, ir.IntType(1)])
        function = ir.Function(module, kind, self.name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        a, a_row, a_column, b, b_row, b_column, c, c_row, _, rows, depth, columns, ordered = function.args
        width = self.lanes.count * self.vectors
        packed = builder.icmp_signed("==", b_row, _constant(PACKED))
        whole = builder.mul(builder.sdiv(columns, _constant(width)), _constant(width))

        def panels(first: ir.Value, end: ir.Value, vectors: int, heights: list[tuple[int, int]]) -> None:
            """Multiply the columns from first to end in panels, the rows in tiles of (rows, parts of the depth).

            Those of several parts are for sums that may be split.
            """
            step = builder.select(packed, _constant(vectors * self.lanes.count), b_row)
            with _range(builder, first, end, vectors * self.lanes.count) as column:
                b_panel = builder.gep(b, [builder.mul(column, b_column)])
                c_panel = builder.gep(c, [column])
                with _range(builder, _constant(0), depth, self.depth_block) as k:
                    left = builder.sub(depth, k)
                    block = _constant(self.depth_block)
                    steps = builder.select(builder.icmp_signed("<", left, block), left, block)
                    right = builder.gep(b_panel, [builder.mul(k, step)])
                    a_block = builder.gep(a, [builder.mul(k, a_column)])
                    done = _constant(0)
                    for height, parts in heights:
                        tiles = builder.sdiv(builder.sub(rows, done), _constant(height))
                        if parts > 1:
                            tiles = builder.select(ordered, _constant(0), tiles)
                        after = builder.add(done, builder.mul(tiles, _constant(height)))
                        with _range(builder, done, after, height) as r:
                            upper = builder.gep(a_block, [builder.mul(r, a_row)])
                            out = builder.gep(c_panel, [builder.mul(r, c_row)])
                            operands = (upper, a_row, a_column), (right, step), (out, c_row)
                            self._tile(builder, *operands, steps, vectors, height, parts)
                        done = after

        fewer = self.rows - 2
        panels(_constant(0), whole, self.vectors, [(self.rows, 1), (fewer, 1), (2, 2), (1, 4), (1, 1)])
        if self.ragged:
            panels(whole, columns, 1, [(4, 1), (1, 4), (1, 1)])
        builder.ret_void()
        return function

    def _tile(self, builder: ir.IRBuilder, a: tuple, b: tuple, c: tuple, depth: ir.Value, *sizes: int) -> None:
        """C += A B for one tile, its sums in registers over the depth.

        `parts` steps of the depth add to sums of their own, which are added up at the end: a tile of few rows
        would otherwise wait for each addition to end before the next.
        """
        vectors, rows, parts = sizes
        lanes, count = self.lanes, self.lanes.count
        outputs = [
            builder.gep(c[0], [builder.add(builder.mul(c[1], _constant(r)), _constant(v * count))])
            for r in range(rows)
            for v in range(vectors)
        ]
        a_rows = [builder.gep(a[0], [builder.mul(a[1], _constant(r))]) for r in range(rows)]

        def add_step(k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            """Return sums + A[:, k] B[k]."""
            right = builder.gep(b[0], [builder.mul(k, b[1])])
            columns = [load_lanes(builder, builder.gep(right, [_constant(v * count)]), lanes) for v in range(vectors)]
            added = []
            for r, start in enumerate(a_rows):
                number = builder.load(builder.gep(start, [builder.mul(k, a[2])]))
                factor = splat(builder, number, lanes.vector())
                for v, column in enumerate(columns):
                    product = builder.fmul(factor, column, flags=FLAGS)
                    added.append(builder.fadd(sums[r * vectors + v], product, flags=FLAGS))
            return added

        sums = [load_lanes(builder, place, lanes) for place in outputs]
        first = _constant(0)
        if parts > 1:
            nothing = ir.Constant(lanes.vector(), [0.0] * count)
            end = builder.sub(depth, builder.srem(depth, _constant(parts)))
            found = _sum_loop(builder, first, end, parts, [*sums, *[nothing] * len(sums) * (parts - 1)], add_step)
            for s in range(parts):
                own = found[s * len(sums) : (s + 1) * len(sums)]
                sums = own if s == 0 else [builder.fadd(x, y) for x, y in zip(sums, own, strict=True)]
            first = end
        sums = _sum_loop(builder, first, depth, 1, sums, add_step)
        for value, place in zip(sums, outputs, strict=True):
            store_lanes(builder, value, place, lanes)


def _constant(value: int) -> ir.Constant:
    return ir.Constant(INTEGER, value)


@contextmanager
def _range(  # pragma: no cover
    builder: ir.IRBuilder, start: ir.Value, end: ir.Value, step: int
) -> Iterator[ir.Value]:
    """Write a loop over range(start, end, step)."""
    with cgutils.for_range_slice(builder, start, end, _constant(step), intp=INTEGER) as (index, _):
        yield index


def _sum_loop(  # pragma: no cover
    builder: ir.IRBuilder, first: ir.Value, end: ir.Value, step: int, sums: list[ir.Value], add_step: Callable
) -> list[ir.Value]:
    """Write a loop from `first` while below `end`, `step` at a time, each of a step's into its part of `sums`."""
    entry = builder.block
    body, after = builder.append_basic_block("depth"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed("<", first, end), body, after)
    builder.position_at_end(body)
    k = builder.phi(INTEGER)
    phis = [builder.phi(value.type) for value in sums]
    part = len(sums) // step
    updated: list[ir.Value] = []
    for s in range(step):
        updated += add_step(builder.add(k, _constant(s)), phis[s * part : (s + 1) * part])
    following = builder.add(k, _constant(step))
    builder.cbranch(builder.icmp_signed("<", following, end), body, after)
    for phi, start, value in zip([k, *phis], [first, *sums], [following, *updated], strict=True):
        phi.add_incoming(start, entry)
        phi.add_incoming(value, body)
    builder.position_at_end(after)
    results = [builder.phi(value.type) for value in sums]
    for phi, start, value in zip(results, sums, updated, strict=True):
        phi.add_incoming(start, entry)
        phi.add_incoming(value, body)
    return results
