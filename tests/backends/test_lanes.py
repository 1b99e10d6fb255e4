"""Each operator of lanes against NumPy's, compiled, on equal, unequal and special numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from rnnbench.backends.cpu.compilation import kernel
from rnnbench.backends.cpu.lanes import add, copy, item, load, load_part, pointer, store, transpose, where
from rnnbench.backends.cpu.target import target

ONE, TWO = (0,), (0, 0)
DTYPES = ["float32", "float64"]


def run_operators(x, y, ones, out, lane):  # type: ignore[no-untyped-def]
    """Write one result after the other, each as wide as x."""
    width = len(lane)
    a, b, one = load(x, 0, 0, lane, ONE)[0], load(y, 0, 0, lane, ONE)[0], load(ones, 0, 0, lane, ONE)[0]
    store(out, 0 * width, 0, lane, (a + b,))
    store(out, 1 * width, 0, lane, (a - b,))
    store(out, 2 * width, 0, lane, (a * b,))
    store(out, 3 * width, 0, lane, (a / b,))
    store(out, 4 * width, 0, lane, (-a,))
    store(out, 5 * width, 0, lane, (where(a < b, one, 0.0),))
    store(out, 6 * width, 0, lane, (where(a <= b, one, 0.0),))
    store(out, 7 * width, 0, lane, (where(a > b, 1.0, 0.0),))
    store(out, 8 * width, 0, lane, (where(a >= b, one, 0.0),))
    store(out, 9 * width, 0, lane, (2.0 - a,))
    store(out, 10 * width, 0, lane, (a / 3,))


OPERATIONS = [operator.add, operator.sub, operator.mul, operator.truediv]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge]
run = kernel(run_operators)


@cache
def results(dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a and b, each pair of some special numbers, and the results (11, pairs)."""
    special = np.array([-np.inf, -1.5, -0.0, 0.0, 1.5, 3.0, np.inf, np.nan], dtype)
    x, y = (grid.ravel() for grid in np.meshgrid(special, special))
    lane = (0,) * target(np.dtype(dtype)).lanes
    parts = []
    for start in range(0, x.size, len(lane)):
        part = slice(start, start + len(lane))
        out = np.empty(11 * len(lane), dtype)
        with np.errstate(all="ignore"):
            run(x[part], y[part], np.ones(len(lane), dtype), out, lane)
        parts.append(out.reshape(11, -1))
    return x, y, np.concatenate(parts, axis=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("row", "operation"), list(enumerate(OPERATIONS)))
def test_arithmetic(row: int, operation: Callable, dtype: str) -> None:
    x, y, found = results(dtype)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found[row], operation(x, y))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("row", "comparison"), list(enumerate(COMPARISONS, start=5)))
def test_comparisons(row: int, comparison: Callable, dtype: str) -> None:
    x, y, found = results(dtype)
    np.testing.assert_array_equal(found[row], comparison(x, y))


@pytest.mark.parametrize("dtype", DTYPES)
def test_negation_and_numbers_beside_lanes(dtype: str) -> None:
    x, _, found = results(dtype)
    np.testing.assert_array_equal(found[4], -x)
    np.testing.assert_array_equal(np.signbit(found[4]), np.signbit(-x))
    np.testing.assert_array_equal(found[9], 2 - x)
    np.testing.assert_array_equal(found[10], x / np.dtype(dtype).type(3))


def run_strides(x, y, lane):  # type: ignore[no-untyped-def]
    """y[2], y[2 + stride] = two lanes of x from 1 on, then the first is added to once more."""
    store(y, 2, len(lane) + 1, lane, load(x, 1, len(lane) + 3, lane, TWO))
    add(y, 2, 0, lane, (0.5,))


strides = kernel(run_strides)


@pytest.mark.parametrize("dtype", DTYPES)
def test_offsets_and_strides(dtype: str) -> None:
    width = target(np.dtype(dtype)).lanes
    x = np.arange(2.0 * width + 8, dtype=dtype)
    y = np.full(2 * width + 8, -1, dtype)
    strides(x, y, (0,) * width)
    expected = np.full_like(y, -1)
    expected[2 : 2 + width] = x[1 : 1 + width] + 0.5
    expected[3 + width : 3 + 2 * width] = x[4 + width : 4 + 2 * width]
    np.testing.assert_array_equal(y, expected)


def run_transpose(x, y, row, lane):  # type: ignore[no-untyped-def]
    """Write the transpose of a square whose rows lie `row` apart in x, one row after the other."""
    store(y, 0, len(lane), lane, transpose(load(x, 0, row, lane, lane)))


transposed = kernel(run_transpose)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [2, 4, 8, 16])
def test_transpose(width: int, dtype: str) -> None:
    """At every width, also those that LLVM has to split or to widen."""
    x = np.arange(width * (width + 3), dtype=dtype).reshape(width, width + 3)
    y = np.full((width, width), np.nan, dtype)
    transposed(x.ravel(), y.ravel(), width + 3, (0,) * width)
    np.testing.assert_array_equal(y, x[:, :width].T)


def run_part(x, y, row, lane, vector, count, whole):  # type: ignore[no-untyped-def]
    """Write what load_part reads of x from its second number on, side by side."""
    store(y, 0, len(lane), lane, load_part(x, 1, row, lane, vector, count, whole))


part = kernel(run_part)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_lies_beyond_a_part_is_not_read(dtype: str) -> None:
    """Zeros take its place; the array ends where the part does, and NaN lies between the rows."""
    rows, width = 3, target(np.dtype(dtype)).lanes
    for count in (-1, 0, 1, width - 1, width, width + 1):
        for whole in (-1, 0, 1, rows, rows + 1):
            kept, kept_rows = min(max(count, 0), width), min(max(whole, 0), rows)
            x = np.full((rows, width + 2), np.nan, dtype)
            x[:kept_rows, 1 : 1 + kept] = np.arange(1, kept_rows * kept + 1).reshape(kept_rows, kept)
            expected = np.where(np.isnan(x[:, 1 : 1 + width]), 0, x[:, 1 : 1 + width])
            end = (kept_rows - 1) * x.shape[1] + 1 + kept if kept_rows else 0
            y = np.full((rows, width), np.nan, dtype)
            part(x.ravel()[:end].copy(), y.ravel(), x.shape[1], (0,) * width, (0,) * rows, count, whole)
            np.testing.assert_array_equal(y, expected)


def run_pointers(numbers, places, out, lane):  # type: ignore[no-untyped-def]
    """Copy the vectors that start at the given places, through pointers, then the last place's first number."""
    source, targets = pointer(numbers, 1), pointer(out, 0)
    starts = pointer(places, 0)
    for k in range(places.size):
        store(targets, k * len(lane), 0, lane, load(source, item(starts, k), 0, lane, ONE))
    copy(pointer(targets, places.size * len(lane)), 0, source, item(starts, places.size - 1), 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pointers_are_counted_from_where_they_point(dtype: str) -> None:
    lanes = target(np.dtype(dtype)).lanes
    numbers, places = np.arange(5 * lanes + 1, dtype=dtype), np.array([0, 3 * lanes, lanes + 1])
    out = np.zeros(3 * lanes + 1, dtype)
    kernel(run_pointers)(numbers, places, out, (0,) * lanes)
    expected = [numbers[1 + place :][:lanes] for place in places]
    np.testing.assert_array_equal(out, np.concatenate([*expected, numbers[2 + lanes :][:1]]))
