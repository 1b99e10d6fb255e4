"""Matrix products in tiles against NumPy, for every remainder that a shape can leave.

Numbers are whole and small, so that float32 adds them exactly in any order, and all that lies around the operands is
NaN: what is read beside them shows in the result, what is written beside it in the margin.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from oracles.panels import panels

from rnnbench.backends.cpu import product
from rnnbench.backends.cpu.compilation import specialise
from rnnbench.backends.cpu.product import PACKED, Matrix, Tile, product_for, tile_for

DTYPES = [np.dtype("float32"), np.dtype("float64")]
PANELS = [None, 1, 2, 3]
"""Vectors of a row that the tile is chosen for: None leaves columns that no whole panel covers."""
multiply = product_for(DTYPES[0], tile_for(DTYPES[0]), ragged=True, ordered=True)


def run_product(a, b, c, rows, depth, columns):  # type: ignore[no-untyped-def]
    """Multiply; `compiled` puts another product in the place of the name."""
    multiply(a, b, c, rows, depth, columns)


@cache
def compiled(dtype: np.dtype, panel: int | None, ordered: bool) -> Callable:
    chosen = product_for(dtype, tile_for(dtype, panel), ragged=panel is None, ordered=ordered)
    return specialise(run_product, {"multiply": chosen}, f"{dtype}_{panel}_{ordered}")


def depth_block(dtype: np.dtype, tile: Tile) -> int:
    """Return the steps of the depth that go at once."""
    return product.PANEL_BYTES // (len(tile.lane) * len(tile.vector) * dtype.itemsize)


def in_margins(matrix: np.ndarray) -> tuple[np.ndarray, Matrix]:
    """Return a flat array in which the matrix lies amid NaN, and where it lies."""
    wide = np.full((matrix.shape[0] + 2, matrix.shape[1] + 3), np.nan, matrix.dtype)
    wide[1:-1, 2:-1] = matrix
    return wide, Matrix(wide.ravel(), wide.shape[1] + 2, wide.shape[1], 1)


def multiplied(
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    panel: int | None,
    *,
    ordered: bool,
    transposed: bool = False,
    packed: bool = False,
) -> np.ndarray:
    """Return C + A B as the compiled product has it; its margins must be what they were."""
    tile = tile_for(c.dtype, panel)
    (rows, depth), columns = a.shape, b.shape[1]
    if transposed:
        _, left = in_margins(a.T)
        left = left._replace(row=1, column=left.row)
    else:
        _, left = in_margins(a)
    if packed:
        around = np.full(5, np.nan, c.dtype)
        right = Matrix(np.concatenate([around, panels(b, tile), around]), 5, PACKED, depth)
    else:
        _, right = in_margins(b)
    wide, out = in_margins(c)
    compiled(c.dtype, panel, ordered)(left, right, out, rows, depth, columns)
    margins = np.ones(wide.shape, bool)
    margins[1:-1, 2:-1] = False
    assert np.isnan(out.data.reshape(wide.shape)[margins]).all()
    return out.data.reshape(wide.shape)[1:-1, 2:-1]


def whole_numbers(dtype: np.dtype, *shapes: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(-9, 10, shape).astype(dtype) for shape in shapes]


def widths(tile: Tile, panel: int | None) -> list[int]:
    """Return numbers of columns: whole panels, and every number of vectors where columns may be left."""
    vectors = [1, 2, 3, 5] if panel is None else [len(tile.vector), 3 * len(tile.vector)]
    return [count * len(tile.lane) for count in vectors]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("ordered", [False, True], ids=["split", "ordered"])
@pytest.mark.parametrize("panel", PANELS)
def test_every_remainder_of_rows_columns_and_depth(dtype: np.dtype, panel: int | None, ordered: bool) -> None:
    tile = tile_for(dtype, panel)
    heights = {*range(1, 6), *(len(tile.row) + extra for extra in (-1, 0, 1, 2, 3)), 2 * len(tile.row) + 1}
    for rows in heights:
        for columns in widths(tile, panel):
            for depth in (1, 2, 3, 4, 5, 7):
                a, b, c = whole_numbers(dtype, (rows, depth), (depth, columns), (rows, columns))
                for packed in (False, True):
                    found = multiplied(a, b, c, panel, ordered=ordered, packed=packed)
                    np.testing.assert_array_equal(found, c + a @ b, f"{rows} rows, {columns} columns, depth {depth}")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("ordered", [False, True], ids=["split", "ordered"])
@pytest.mark.parametrize("panel", PANELS)
def test_depths_of_several_blocks(dtype: np.dtype, panel: int | None, ordered: bool) -> None:
    tile = tile_for(dtype, panel)
    block = depth_block(dtype, tile)
    assert block > 3
    for depth in (block - 1, block, block + 1, 2 * block, 2 * block + 3):
        for rows in (1, 2, len(tile.row) + 3):
            a, b, c = whole_numbers(dtype, (rows, depth), (depth, widths(tile, panel)[-1]), (rows, 1))
            c = np.repeat(c, b.shape[1], axis=1)
            for packed in (False, True):
                found = multiplied(a, b, c, panel, ordered=ordered, packed=packed)
                np.testing.assert_array_equal(found, c + a @ b, f"{rows} rows, depth {depth}")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("ordered", [False, True], ids=["split", "ordered"])
def test_a_transposed_left_side(dtype: np.dtype, ordered: bool) -> None:
    tile = tile_for(dtype)
    for rows in (1, 2, 3, len(tile.row), len(tile.row) + 3):
        for depth in (1, 6, depth_block(dtype, tile) + 1):
            a, b, c = whole_numbers(dtype, (rows, depth), (depth, 5 * len(tile.lane)), (rows, 5 * len(tile.lane)))
            found = multiplied(a, b, c, None, ordered=ordered, transposed=True)
            np.testing.assert_array_equal(found, c + a @ b)


@pytest.mark.parametrize("panel", [None, 1])
def test_no_depth_and_no_rows_leave_the_sum_as_it_is(panel: int | None) -> None:
    width = 3 * len(tile_for(DTYPES[0], panel).lane)
    for rows, depth in ((5, 0), (0, 3)):
        a, b, c = whole_numbers(DTYPES[0], (rows, depth), (depth, width), (rows, width))
        np.testing.assert_array_equal(multiplied(a, b, c, panel, ordered=False), c)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("panel", PANELS)
def test_ordered_sums_do_not_depend_on_where_the_depth_is_cut(dtype: np.dtype, panel: int | None) -> None:
    """To the last bit, of numbers whose sums are rounded at every step."""
    tile = tile_for(dtype, panel)
    block = depth_block(dtype, tile)
    rng = np.random.default_rng(1)
    depth = block + 5
    for rows in (1, 2, 3, len(tile.row), len(tile.row) + 3):
        columns = widths(tile, panel)[-1]
        a, b, c = (
            rng.standard_normal(shape).astype(dtype) for shape in ((rows, depth), (depth, columns), (rows, columns))
        )
        whole = multiplied(a, b, c, panel, ordered=True)
        for cuts in ([1], [3, 4, 11], [block], [block - 2, block + 1]):
            total = c
            for first, end in zip([0, *cuts], [*cuts, depth], strict=True):
                total = multiplied(a[:, first:end], b[first:end], total, panel, ordered=True)
            np.testing.assert_array_equal(total, whole)
        for row in range(rows):  # and not on the rows beside it
            alone = multiplied(a[[row]], b, c[[row]], panel, ordered=True)
            np.testing.assert_array_equal(alone, whole[[row]])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("vectors", range(1, 13))
def test_a_panel_divides_the_row_it_was_chosen_for(dtype: np.dtype, vectors: int) -> None:
    tile = tile_for(dtype, vectors)
    assert vectors % len(tile.vector) == 0
    assert len(tile.row) >= 4
