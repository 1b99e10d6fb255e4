"""The products around the loop: cuBLAS through CuPy where it works, else tiles of Numba's.

Matrices are parts of flat arrays, with any strides. A stride of 0 repeats: a row of ones from a single 1, for sums.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np


class Matrix(NamedTuple):
    """Rows times columns numbers of a flat array on the device, from `start` on."""

    array: Any
    rows: int
    columns: int
    row_stride: int
    column_stride: int = 1
    start: int = 0

    @property
    def transposed(self) -> Matrix:
        """The same numbers, rows as columns."""
        return self._replace(
            rows=self.columns, columns=self.rows, row_stride=self.column_stride, column_stride=self.row_stride
        )


class Tile(NamedTuple):
    """Of the output: rows and columns a block, and a thread; and how much of the depth is in shared memory at once."""

    rows: int
    columns: int
    depth: int
    thread_rows: int
    thread_columns: int

    @property
    def threads(self) -> int:
        """Threads a block."""
        return self.rows // self.thread_rows * (self.columns // self.thread_columns)


GPU_TILE = Tile(64, 64, 16, 4, 4)
SIMULATOR_TILE = Tile(8, 8, 4, 2, 4)
SPLIT_DEPTH = 512
"""Steps of the depth a block has at least, where several blocks share it."""
MULTIPLY_ARGUMENTS = (
    "a: number[]", "b: number[]", "c: number[]", "rows: int32", "columns: int32", "depth: int32",
    "a_start: int64", "a_row: int64", "a_depth: int64", "b_start: int64", "b_depth: int64", "b_column: int64",
    "c_start: int64", "c_row: int64", "share: int32",
)  # fmt: skip
ADD_ARGUMENTS = (
    "parts: number[]", "total: number[]", "rows: int32", "columns: int32", "count: int32",
    "start: int64", "row_stride: int64",
)  # fmt: skip
ADD_THREADS = 128


def multiply_kernel(tools: Any, dtype: np.dtype, tile: Tile) -> Any:
    """Return a kernel: c (rows, columns) = a b over the block's share of the depth; one c after the other a share."""
    cuda, index, number, zero = tools.cuda, tools.index, tools.number_type(dtype), dtype.type(0)
    tile_rows, tile_columns, tile_depth, thread_rows, thread_columns = tile
    threads, across = tile.threads, tile.columns // tile.thread_columns
    a_row_size, b_row_size = tile_rows + 1, tile_columns + 1  # odd, so that a column of them meets no bank twice
    b_at, sums_size = tile_depth * a_row_size, thread_rows * thread_columns

    def fetch(shared, to, row_size, source, start, outer, outer_stride, outer_size, inner, inner_stride, inner_size):
        """Copy a tile to shared memory, its outer index running fastest there; past the ends are zeros.

        Threads next to each other read numbers next to each other, whichever of the strides is 1.
        """
        width = row_size - 1
        e = cuda.threadIdx.x
        while e < width * tile_depth:
            i, k = e % width, e // width
            if inner_stride == 1:
                i, k = e // tile_depth, e % tile_depth
            value = zero
            if outer + i < outer_size and inner + k < inner_size:
                value = source[index(start + (outer + i) * outer_stride + (inner + k) * inner_stride)]
            shared[index(to + k * row_size + i)] = value
            e += threads

    fetch = tools.inline(fetch)

    def multiply_tile(shared, sums, row, column):
        for k in range(tile_depth):
            for i in range(thread_rows):
                left = shared[index(k * a_row_size + row + i)]
                for j in range(thread_columns):
                    sums[i * thread_columns + j] += left * shared[index(b_at + k * b_row_size + column + j)]

    multiply_tile = tools.inline(multiply_tile)

    def multiply(
        a, b, c, rows, columns, depth, a_start, a_row, a_depth, b_start, b_depth, b_column, c_start, c_row, share
    ):  # fmt: skip
        shared = cuda.shared.array(0, number)
        sums = cuda.local.array(sums_size, number)
        for s in range(sums_size):
            sums[s] = zero
        first_row, first_column = cuda.blockIdx.x * tile_rows, cuda.blockIdx.y * tile_columns
        row = cuda.threadIdx.x // across * thread_rows
        column = cuda.threadIdx.x % across * thread_columns
        k = cuda.blockIdx.z * share
        end = min(depth, k + share)
        while k < end:
            fetch(shared, 0, a_row_size, a, a_start, first_row, a_row, rows, k, a_depth, end)
            fetch(shared, b_at, b_row_size, b, b_start, first_column, b_column, columns, k, b_depth, end)
            cuda.syncthreads()
            multiply_tile(shared, sums, row, column)
            cuda.syncthreads()
            k += tile_depth
        start = c_start + cuda.blockIdx.z * rows * c_row
        for i in range(thread_rows):
            for j in range(thread_columns):
                if first_row + row + i < rows and first_column + column + j < columns:
                    at = start + (first_row + row + i) * c_row + first_column + column + j
                    c[index(at)] = sums[i * thread_columns + j]

    return multiply


def add_kernel(tools: Any, dtype: np.dtype) -> Any:
    """Return a kernel: total (rows, columns) = the sum of `count` matrices, which follow each other in `parts`."""
    cuda, index, zero, threads = tools.cuda, tools.index, dtype.type(0), ADD_THREADS

    def add(parts, total, rows, columns, count, start, row_stride):
        at, size = cuda.blockIdx.x * threads + cuda.threadIdx.x, rows * columns
        if at < size:
            value = zero
            for part in range(count):
                value += parts[index(part * size + at)]
            total[index(start + at // columns * row_stride + at % columns)] = value

    return add


class Tiled:
    """Products by the project's own kernel: the depth is added up in one order, whatever else the device does."""

    name = "tiled Numba kernels"

    def __init__(self, device: Any, dtype: np.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.tile = tile = SIMULATOR_TILE if device.simulated else GPU_TILE
        self.kernel = device.kernel(
            multiply_kernel(device, dtype, tile), MULTIPLY_ARGUMENTS, dtype, tile.threads, f"multiply_{tile}"
        )
        self.add = device.kernel(add_kernel(device, dtype), ADD_ARGUMENTS, dtype, ADD_THREADS, "add_parts")

    def multiply(self, a: Matrix, b: Matrix, into: Matrix | None = None) -> Any:
        """Return a b as a flat array, row by row; or write it into a part of one, with any stride from row to row."""
        tile, device = self.tile, self.device
        to = into or _fresh(device, self.dtype, a, b)
        down, across = -(-a.rows // tile.rows), -(-b.columns // tile.columns)
        shares = max(1, min(2 * device.limits.multiprocessors // (down * across), a.columns // SPLIT_DEPTH))
        share = -(-a.columns // shares)
        shared_bytes = tile.depth * (tile.rows + tile.columns + 2) * self.dtype.itemsize
        size = a.rows * b.columns
        parts = to if shares == 1 else Matrix(device.empty(shares * size, self.dtype), a.rows, b.columns, b.columns)
        strides = a.start, a.row_stride, a.column_stride, b.start, b.row_stride, b.column_stride
        arguments = (a.array, b.array, parts.array, a.rows, b.columns, a.columns, *strides)
        written = parts.start, parts.row_stride, share
        device.launch(self.kernel, (down, across, shares), (*arguments, *written), shared_bytes)
        if shares > 1:
            sizes = a.rows, b.columns, shares, to.start, to.row_stride
            device.launch(self.add, (-(-size // ADD_THREADS), 1, 1), (parts.array, to.array, *sizes))
        return to.array


class Cublas:
    """Products by cuBLAS, in full precision: no TF32."""

    name = "cuBLAS through CuPy"

    def __init__(self, device: Any, dtype: np.dtype) -> None:
        import cupy

        self.device, self.dtype, self.cupy = device, dtype, cupy
        one = self._view(Matrix(device.upload(np.ones(4, dtype)), 2, 2, 2))
        if float((one @ one).sum()) != 8.0:
            raise RuntimeError("its product of two matrices of ones is wrong")

    def _view(self, matrix: Matrix) -> Any:
        flat = self.cupy.asarray(matrix.array)[matrix.start :]
        strides = matrix.row_stride * self.dtype.itemsize, matrix.column_stride * self.dtype.itemsize
        return self.cupy.lib.stride_tricks.as_strided(flat, (matrix.rows, matrix.columns), strides)

    def multiply(self, a: Matrix, b: Matrix, into: Matrix | None = None) -> Any:
        """Return a b as a flat array, row by row; or write it into a part of one."""
        to = into or _fresh(self.device, self.dtype, a, b)
        if to.row_stride == to.columns:
            self.cupy.matmul(self._view(a), self._view(b), out=self._view(to))
        else:  # columns of a wider matrix
            self._view(to)[...] = self.cupy.matmul(self._view(a), self._view(b))
        return to.array


def _fresh(device: Any, dtype: np.dtype, a: Matrix, b: Matrix) -> Matrix:
    """Return room for a product."""
    return Matrix(device.empty(a.rows * b.columns, dtype), a.rows, b.columns, b.columns)


@cache
def products(device: Any, dtype: np.dtype) -> Tiled | Cublas:
    """Return what multiplies matrices on a device."""
    if not device.simulated and find_spec("cupy") is not None:
        try:
            return Cublas(device, dtype)
        except Exception as error:  # for another toolkit, without cuBLAS, or broken: slower, and nobody would know why
            warnings.warn(f"CuPy does not work here, rnnbench's own matrix products run instead: {error}", stacklevel=2)
    return Tiled(device, dtype)
