"""A cell's functions with numbers of one dtype, as plain Python: what a compiler would see."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from oracles.problems import CELLS

from rnnbench import arithmetic, cells
from rnnbench.arithmetic import Scalar, where
from rnnbench.backends.cuda.elements import elements, typed
from rnnbench.backends.cuda.simulator import Simulator
from rnnbench.cells.base import Cell, Scalars

DTYPES = ["float32", "float64"]


def values(rng: np.random.Generator, count: int, dtype: str) -> np.ndarray:
    return rng.standard_normal(count).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CELLS)
def test_adapters_return_what_the_cells_functions_do(name: str, dtype: str) -> None:
    """From an index on, as a thread with several units has them."""
    cell, rng, at = cells.get(name), np.random.default_rng(0), 2
    counts = len(cell.preactivations), len(cell.states), len(cell.saved)
    z, state, saved, delta, previous = (values(rng, at + n, dtype) for n in (*counts, counts[1], counts[1]))
    found = elements(cell, np.dtype(dtype), Simulator())
    next_state, d_z, d_previous = (np.zeros(at + n, dtype) for n in (counts[1], counts[0], counts[1]))

    expected_state, expected_saved = cell.forward_element(tuple(z[at:]), tuple(state[at:]))
    found.forward(z, at, state, at, next_state, saved, at)
    np.testing.assert_allclose(next_state[: counts[1]], expected_state, rtol=1e-5)
    np.testing.assert_allclose(saved[at:], expected_saved, rtol=1e-5)

    found.backward(delta, state, previous, at, saved, at, d_z, at, d_previous)
    by_z, by_previous = cell.backward_element(*(tuple(a[at:]) for a in (delta, state, previous, saved)))
    np.testing.assert_allclose(d_z[at:], by_z, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(d_previous[at:], by_previous, rtol=1e-5, atol=1e-7)
    if cell.late:
        operand = found.operand_backward(z[0], previous, at, saved, at, d_z, at, d_previous)
        expected, more_z, more_previous = cell.operand_backward_element(z[0], tuple(previous[at:]), tuple(saved[at:]))
        np.testing.assert_allclose(operand, expected, rtol=1e-5)
        np.testing.assert_allclose(d_z[at:], np.add(by_z, more_z), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(d_previous[at:], np.add(by_previous, more_previous), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(found.operand(z, at, state, at), cell.operand_element(z[at:], state[at:]), rtol=1e-5)


def seen_by(function: Callable, dtype: str) -> list[type]:
    """Return the types of all results of a function of one number, typed."""
    made = typed(function, np.dtype(dtype), WHERE, lambda f: f)
    found = made((np.dtype(dtype).type(0.7),))
    return [type(value) for value in (found if isinstance(found, tuple) else (found,))]


SHARE = 0.25
WHERE = {arithmetic.where: lambda condition, a, b: a if condition else b}


def helper(x: Scalar) -> Scalar:
    return 1 / (3 + x) * SHARE


def literals(z: Scalars) -> Scalars:
    return 0.0, 1, 1 - z[0], 2.0 * z[0] + 1, where(z[0] > 0, 1.0, 0), helper(z[0])


def test_every_literal_is_a_number_of_the_dtype() -> None:
    """Whole ones in arithmetic too: to Numba an int64 plus a float32 is a float64."""
    constants = typed(literals, np.dtype("float32"), WHERE, lambda f: f).__code__.co_consts
    assert not [c for c in constants if isinstance(c, float) and not isinstance(c, np.floating)]
    assert set(seen_by(lambda z: (1 - z[0], 2.0 * z[0] + 1, helper(z[0])), "float32")) == {np.float32}
    assert set(seen_by(lambda z: (0.0 * z[0], where(z[0] > 0, 1.0, 0.0)), "float32")) == {np.float32}


def test_numbers_of_a_closure_are_typed() -> None:
    def leaky(rate: float) -> Callable:
        return lambda z: rate * z[0]

    for rate in (0.5, 0.1):
        function = typed(leaky(rate), np.dtype("float32"), {}, lambda f: f)
        [cell] = function.__closure__
        assert type(cell.cell_contents) is np.float32
        np.testing.assert_allclose(function((np.float32(2),)), 2 * rate, rtol=1e-6)


def test_a_cell_keeps_its_own_functions() -> None:
    """What is made for a dtype leaves the cell as it was."""
    cell: Cell = cells.get("lstm")
    before = cell.forward_element.__code__
    elements(cell, np.dtype("float32"), Simulator())
    assert cell.forward_element.__code__ is before
