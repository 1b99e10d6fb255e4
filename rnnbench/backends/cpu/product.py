"""Matrix products at the sizes of a recurrence: C += A B in tiles whose sums stay in registers.

A tile of rows x vectors of C runs over the whole depth: each number of A meets every vector of a row of B.
A may be a transpose (its strides say so); B may lie plainly, row after row, or packed in panels, so that what
a tile reads of it is contiguous.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnnbench.backends.cpu.compilation import inlined, linked
from rnnbench.backends.cpu.lanes import multiply_tile
from rnnbench.backends.cpu.target import target

FOUR, TWO, ONE = (0,) * 4, (0,) * 2, (0,)
PACKED = 0
"""The row stride of a packed B: its panels are (depth, width of the panel), one after the other."""


class Matrix(NamedTuple):
    """A matrix in a flat array: element (r, c) at offset + r*row + c*column."""

    data: Any
    offset: int
    row: int
    column: int


class Tile(NamedTuple):
    """Sizes known at compile time, as tuples of that length: numbers a vector, vectors a row, rows."""

    lane: tuple[int, ...]
    vector: tuple[int, ...]
    row: tuple[int, ...]


def tile_for(dtype: np.dtype, vectors: int | None = None) -> Tile:
    """Return the fastest tile whose panels divide rows of that many vectors, or for rows of any width."""
    cpu = target(dtype)
    width = cpu.panel_vectors(vectors)
    return Tile((0,) * cpu.lanes, (0,) * width, (0,) * cpu.tile_rows(width))


@inlined
def _multiply_tiles(a, b, c, first, rows, depth, lane, vector, row):
    """Multiply the rows from `first` on, as many times len(row) as fit; return the first row left."""
    while first + len(row) <= rows:
        a_start, c_start = a.offset + first * a.row, c.offset + first * c.row
        multiply_tile(
            a.data,
            a_start,
            a.row,
            a.column,
            b.data,
            b.offset,
            b.row,
            c.data,
            c_start,
            c.row,
            depth,
            lane,
            vector,
            row,
        )
        first += len(row)
    return first


@linked
def multiply(a, b, c, rows, depth, columns, tile):
    """C += A B, with C (rows, columns) and `columns` a multiple of the vector.

    Few shapes, as each costs compile time: whole panels go by tiles, then pairs and single rows; columns that no
    whole panel covers go by single vectors, four rows and then one at a time.
    """
    lane, vector, row = tile.lane, tile.vector, tile.row
    width = len(lane) * len(vector)
    column = 0
    while column < columns:
        whole = column + width <= columns
        step = b.row if b.row != PACKED else (width if whole else len(lane))
        panel = Matrix(b.data, b.offset + column * b.column, step, 1)
        out = Matrix(c.data, c.offset + column, c.row, 1)
        if whole:
            first = _multiply_tiles(a, panel, out, 0, rows, depth, lane, vector, row)
            first = _multiply_tiles(a, panel, out, first, rows, depth, lane, vector, TWO)
            _multiply_tiles(a, panel, out, first, rows, depth, lane, vector, ONE)
            column += width
        else:
            first = _multiply_tiles(a, panel, out, 0, rows, depth, lane, ONE, FOUR)
            _multiply_tiles(a, panel, out, first, rows, depth, lane, ONE, ONE)
            column += len(lane)


def packed(matrix: np.ndarray, tile: Tile) -> np.ndarray:
    """Return a (K, N) matrix as flat panels of the tile's width, then of single vectors; N is padded with zeros."""
    lanes = len(tile.lane)
    depth, columns = matrix.shape
    padded = np.zeros((depth, -(-columns // lanes) * lanes), matrix.dtype)
    padded[:, :columns] = matrix
    width = lanes * len(tile.vector)
    whole = padded.shape[1] // width * width

    def panels(part: np.ndarray, size: int) -> np.ndarray:
        return part.reshape(depth, part.shape[1] // size, size).transpose(1, 0, 2).ravel()

    return np.concatenate([panels(padded[:, :whole], width), panels(padded[:, whole:], lanes)])
