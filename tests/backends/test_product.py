"""Matrix products in tiles against NumPy, for every remainder that a shape can leave."""

from __future__ import annotations

import numpy as np
import pytest

from rnnbench.backends.cpu.compilation import kernel
from rnnbench.backends.cpu.product import PACKED, Matrix, Tile, multiply, packed, tile_for

DTYPES = [np.dtype("float32"), np.dtype("float64")]
TOLERANCES = {"float32": 1e-6, "float64": 1e-15}


def run_product(a, b, c, rows, depth, columns, tile):  # type: ignore[no-untyped-def]
    multiply(a, b, c, rows, depth, columns, tile)


product = kernel(run_product)


def random_matrices(rows: int, depth: int, columns: int, dtype: np.dtype) -> list[np.ndarray]:
    """Return A, B and C of whole numbers, so that float32 is exact but for the division by three."""
    rng = np.random.default_rng(0)
    return [
        rng.integers(-9, 9, shape).astype(dtype) / 3 for shape in ((rows, depth), (depth, columns), (rows, columns))
    ]


def check(
    rows: int, depth: int, vectors: int, dtype: np.dtype, panel: int | None, *, transposed: bool, plain: bool
) -> None:
    tile = tile_for(dtype, panel)
    columns = vectors * len(tile.lane)
    a, b, c = random_matrices(rows, depth, columns, dtype)
    scale = np.abs(a).sum(axis=1).max() * 3 + 3
    expected = c.astype(np.float64) + a.astype(np.float64) @ b.astype(np.float64)
    left = Matrix(a.T.copy().ravel(), 0, 1, rows) if transposed else Matrix(a.ravel(), 0, depth, 1)
    right = Matrix(b.ravel(), 0, columns, 1) if plain else Matrix(packed(b, tile), 0, PACKED, depth)
    flat = c.ravel().copy()
    product(left, right, Matrix(flat, 0, columns, 1), rows, depth, columns, tile)
    assert np.abs(flat.reshape(c.shape) - expected).max() <= TOLERANCES[str(dtype)] * scale


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("transposed", "plain"), [(False, False), (True, True)], ids=["packed", "transpose"])
def test_every_remainder_of_rows_and_columns(dtype: np.dtype, transposed: bool, plain: bool) -> None:
    for rows in (1, 2, 3, 4, 5, 6, 7, 13):
        for vectors in (1, 2, 3, 5):
            check(rows, 3, vectors, dtype, None, transposed=transposed, plain=plain)


@pytest.mark.parametrize("depth", [0, 1, 2, 17])
def test_every_depth(depth: int) -> None:
    check(5, depth, 3, DTYPES[1], None, transposed=False, plain=False)


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
