"""Matrix products in tiles against NumPy, for every remainder that a shape can leave."""

from __future__ import annotations

import numpy as np
import pytest

from rnnbench.backends.cpu.compilation import kernel
from rnnbench.backends.cpu.product import PACKED, Matrix, Tile, multiply, packed, tile_for

DTYPES = [np.dtype("float32"), np.dtype("float64")]


def run_product(a, b, c, rows, depth, columns, tile):  # type: ignore[no-untyped-def]
    multiply(a, b, c, rows, depth, columns, tile)


product = kernel(run_product)


def check(rows: int, depth: int, vectors: int, tile: Tile, dtype: np.dtype, *, transposed: bool, plain: bool) -> None:
    """Multiply whole numbers, which float32 adds exactly; one more step of A and B lies there, not to be used."""
    rng = np.random.default_rng(0)
    columns = vectors * len(tile.lane)
    shapes = (rows, depth + 1), (depth + 1, columns), (rows, columns)
    a, b, c = (rng.integers(-9, 9, shape).astype(dtype) for shape in shapes)
    left = Matrix(a.T.copy().ravel(), 0, 1, rows) if transposed else Matrix(a.ravel(), 0, depth + 1, 1)
    right = Matrix(b.ravel(), 0, columns, 1) if plain else Matrix(packed(b[:depth], tile), 0, PACKED, depth)
    flat = c.ravel().copy()
    product(left, right, Matrix(flat, 0, columns, 1), rows, depth, columns, tile)
    np.testing.assert_array_equal(flat.reshape(c.shape), c + a[:, :depth] @ b[:depth])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("panel", [None, 1, 3])
@pytest.mark.parametrize(("transposed", "plain"), [(False, False), (True, True)], ids=["packed", "transpose"])
def test_every_remainder_of_rows_and_columns(dtype: np.dtype, panel: int | None, transposed: bool, plain: bool) -> None:
    tile = tile_for(dtype, panel)
    for rows in (1, 2, 3, 4, 5, 6, 7, 13):
        for vectors in (1, 2, 3, 5):
            check(rows, 3, vectors, tile, dtype, transposed=transposed, plain=plain)


@pytest.mark.parametrize("depth", [0, 1, 2, 17])
def test_every_depth(depth: int) -> None:
    check(5, depth, 3, tile_for(DTYPES[1]), DTYPES[1], transposed=False, plain=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("vectors", range(1, 13))
def test_a_panel_divides_the_row_it_was_chosen_for(dtype: np.dtype, vectors: int) -> None:
    tile = tile_for(dtype, vectors)
    assert vectors % len(tile.vector) == 0
    assert len(tile.row) >= 4


def test_packed_panels() -> None:
    """Whole panels of two vectors of four, then single vectors, padded with zeros."""
    tile = Tile((0,) * 4, (0,) * 2, (0,))
    matrix = np.arange(1.0, 27).reshape(2, 13)
    rows = np.pad(matrix, ((0, 0), (0, 3)))
    expected = [rows[0, :8], rows[1, :8], rows[0, 8:16], rows[1, 8:16]]
    np.testing.assert_array_equal(packed(matrix, tile), np.concatenate(expected))
    rows = np.pad(matrix[:, :9], ((0, 0), (0, 3)))
    expected = [rows[0, :8], rows[1, :8], rows[0, 8:12], rows[1, 8:12]]
    np.testing.assert_array_equal(packed(matrix[:, :9], tile), np.concatenate(expected))
