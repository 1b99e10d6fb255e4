"""Packed weights against the layout's words in plain NumPy: gates in each cell's order, padding, partial ranges."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from oracles.panels import padded, panels
from oracles.problems import CELLS

from rnnbench import cells
from rnnbench.backends.cpu import packing
from rnnbench.backends.cpu.compilation import specialise
from rnnbench.backends.cpu.layout import Layout
from rnnbench.backends.cpu.product import tile_for
from rnnbench.backends.cpu.target import target

DTYPES = [np.dtype("float32"), np.dtype("float64")]
MARGIN = 7

pytestmark = [pytest.mark.parametrize("cell", CELLS), pytest.mark.parametrize("dtype", DTYPES, ids=str)]


@cache
def compiled(function: Callable, units: int, dtype: np.dtype) -> Callable:
    """Return the function of packing.py for cells with so many units a block."""
    names = {"LANE": (0,) * units, "PLANE_TILE": tile_for(dtype)}
    return specialise(function, names, f"test_{dtype}_{units}")


def pack(name: str, layout: Layout, size: int, *arguments: object) -> np.ndarray:
    """Return the `size` numbers that a function writes, none beside them."""
    out = np.full(size + MARGIN, np.nan, layout.dtype)
    compiled(getattr(packing, name), layout.units, layout.dtype)(*arguments, out)
    assert np.isnan(out[size:]).all()
    return out[:size]


def layouts(cell: str, dtype: np.dtype) -> list[Layout]:
    """Return layouts whose last block is full, lacks one unit, has one, and lacks a whole vector if it has two."""
    units, lanes = Layout(cells.get(cell), 1, dtype).units, target(dtype).lanes
    return [
        Layout(cells.get(cell), hidden, dtype)
        for hidden in (1, units - 1, units, 2 * units + 1, 3 * units, 4 * units - lanes)
    ]


def weights_of(rows: int, layout: Layout) -> np.ndarray:
    """Return (rows, G, H), every number another."""
    shape = rows, len(layout.cell.gates), layout.hidden
    return np.arange(1, np.prod(shape) + 1, dtype=layout.dtype).reshape(shape)


def gate_groups(layout: Layout) -> set[tuple[int, ...]]:
    """Return the groups of gates that a cell's products take together."""
    return {layout.cell.input_gates, layout.early_gates, layout.late_gates} - {()}


def ranges(blocks: int) -> set[tuple[int, int]]:
    """Return all blocks, the first, the last, and all but the first."""
    return {(0, blocks), (0, 1), (blocks - 1, blocks), (min(1, blocks - 1), blocks)}


def test_blocks_of_units(cell: str, dtype: np.dtype) -> None:
    """[block][panel][row][vector][lane], the gates of a block side by side."""
    for layout in layouts(cell, dtype):
        for rows in (1, packing.ROWS_AT_ONCE, packing.ROWS_AT_ONCE + 1, 2 * packing.ROWS_AT_ONCE + 3):
            weights = weights_of(rows, layout)
            for gates in gate_groups(layout):
                tile = layout.block_tile(len(gates))
                planes = padded(weights[:, list(gates)], layout.padded)
                blocks = planes.reshape(rows, len(gates), layout.blocks, layout.units).transpose(2, 0, 1, 3)
                for first, end in ranges(layout.blocks):
                    expected = [panels(block.reshape(rows, -1), tile) for block in blocks[first:end]]
                    found = pack(
                        "pack_blocks", layout, (end - first) * rows * len(gates) * layout.units,
                        weights.ravel(), rows, weights[0].size, layout.hidden, gates, first, end, len(tile.vector),
                    )  # fmt: skip
                    np.testing.assert_array_equal(found, np.concatenate(expected))


def test_the_transpose(cell: str, dtype: np.dtype) -> None:
    """Columns are rows of the weights, in panels; depth is gate after gate, each with its padding."""
    lanes = target(dtype).lanes
    for layout in layouts(cell, dtype):
        for rows in (1, lanes, 2 * lanes + 3, 5 * lanes):
            weights = weights_of(rows, layout)
            vectors = -(-rows // lanes)
            for gates in gate_groups(layout):
                planes = padded(weights[:, list(gates)], layout.padded).reshape(rows, -1)
                transposed = padded(planes.T, vectors * lanes)
                for first, end in ranges(vectors):
                    columns = slice(first * lanes, end * lanes)
                    found = pack(
                        "pack_transpose", layout, (end - first) * lanes * len(gates) * layout.padded,
                        weights.ravel(), rows, weights[0].size, layout.hidden, layout.padded, gates,
                        columns.start, columns.stop,
                    )  # fmt: skip
                    np.testing.assert_array_equal(found, panels(transposed[:, columns], layout.plane_tile))


def test_the_transpose_of_units_that_only_fill_the_last_block(cell: str, dtype: np.dtype) -> None:
    """As the backward loop packs W_hh: columns go on to the end of the last block, which may lie vectors away."""
    for layout in layouts(cell, dtype):
        weights = weights_of(layout.hidden, layout)
        gates = layout.early_gates
        square = padded(weights[:, list(gates)], layout.padded).reshape(layout.hidden, -1)
        transposed = padded(square.T, layout.padded)
        for first, end in ranges(layout.blocks):
            columns = slice(first * layout.units, end * layout.units)
            found = pack(
                "pack_transpose", layout, (end - first) * layout.units * len(gates) * layout.padded,
                weights.ravel(), layout.hidden, weights[0].size, layout.hidden, layout.padded, gates,
                columns.start, columns.stop,
            )  # fmt: skip
            np.testing.assert_array_equal(found, panels(transposed[:, columns], layout.plane_tile))


def test_the_biases_that_a_row_starts_from(cell: str, dtype: np.dtype) -> None:
    """[block][gate][unit]: one row of weights, in panels of a vector."""
    for layout in layouts(cell, dtype):
        separate = tuple(range(len(layout.cell.separate)))
        for gates, count in ((layout.cell.input_gates, layout.gates), (separate, len(separate))):
            if not gates:
                continue
            bias = np.arange(1, count * layout.hidden + 1, dtype=dtype)
            planes = padded(bias.reshape(count, layout.hidden)[list(gates)], layout.padded)
            blocks = planes.reshape(len(gates), layout.blocks, layout.units).transpose(1, 0, 2)
            for first, end in ranges(layout.blocks):
                found = pack(
                    "pack_blocks", layout, (end - first) * len(gates) * layout.units,
                    bias, 1, bias.size, layout.hidden, gates, first, end, 1,
                )  # fmt: skip
                np.testing.assert_array_equal(found, blocks[first:end].ravel())
