"""What a cell is asked before it is registered: do its names fit its functions, and its gradients its equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rnnbench.arithmetic import Scalar
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError

POINTS = 64
STEP = 1e-30
TOLERANCE = 1e-9
"""Of the largest derivative. Complex steps are exact to rounding, 1e-15; a wrong term shows as 1e-3 and more."""


def check(cell: Cell) -> None:
    """Raise InputError, which names the cell, the gradient and its error, unless the cell is consistent.

    Every derivative that backward_element returns is compared with a complex step through forward_element, d/dx L =
    Im L(x + i s) / s (Squire and Trapp 1998), at random points in float64; with it the operand's, if it has one.
    """
    _check_names(cell)
    rng = np.random.default_rng(0)
    shape = len(cell.preactivations), POINTS
    z = rng.uniform(0.01, 3, shape) * rng.choice([-1, 1], shape)
    state, d_state = rng.standard_normal((2, len(cell.states), POINTS))
    d_operand = rng.standard_normal(POINTS)
    found = _backward(cell, z, state, d_state, d_operand)
    variables = np.concatenate([z, state]).astype(complex)
    names = [f"z of {name}" for name in cell.preactivations] + [f"state {name}" for name in cell.states]
    for k, (name, derivative) in enumerate(zip(names, found, strict=True)):
        moved = variables.copy()
        moved[k] += STEP * 1j
        expected = _loss(cell, moved[: len(z)], moved[len(z) :], d_state, d_operand).imag / STEP
        scale = max(np.abs(expected).max(), 1e-3)
        error = np.abs(derivative - expected).max() / scale
        if not error <= TOLERANCE:
            raise InputError(
                f"cell '{cell.name}': the gradient by the {name} is off by {error:.2g} of its largest value, "
                f"against complex steps through forward_element; expected at most {TOLERANCE:g}"
            )


def _check_names(cell: Cell) -> None:
    """Raise InputError for the first name that does not fit the others."""
    gates = cell.gates
    _expect(cell, "states", cell.states[:1] == ("h",), "expected 'h' first")
    _expect(cell, "gates", len(set(gates)) == len(gates), "expected names that differ")
    _expect(cell, "separate", set(cell.separate) <= set(gates), f"expected gates of {gates}")
    _expect(cell, "separate_bias", bool(cell.separate) == bool(cell.separate_bias), "expected a name with such gates")
    late = tuple(gates[g] for g in cell.recurrent_gates[len(gates) - len(cell.late) :])
    _expect(cell, "late", cell.late == late, f"expected the last gates, {late}")
    _expect(cell, "operand_element", bool(cell.late) == bool(cell.operand_element), "expected one with late gates")
    for name in ("memory_gate", "write_gate"):
        _expect(cell, name, getattr(cell, name) in (None, *gates), f"expected one of {gates}")


def _expect(cell: Cell, name: str, holds: bool, expectation: str) -> None:
    if not holds:
        raise InputError(f"cell '{cell.name}': {name} is {getattr(cell, name)!r}; {expectation}")


def _backward(
    cell: Cell, z: np.ndarray, state: np.ndarray, d_state: np.ndarray, d_operand: np.ndarray
) -> list[np.ndarray]:
    """Return d_z and d_state of `_loss` from the cell's own backward functions."""
    next_state, saved = _called(cell, "forward_element", (cell.states, cell.saved), tuple(z), tuple(state))
    sides = cell.preactivations, cell.states
    parts = _called(cell, "backward_element", sides, tuple(d_state), next_state, tuple(state), saved)
    found = [*parts[0], *parts[1]]
    if cell.operand_element:
        more = _called(cell, "operand_backward_element", sides, d_operand, tuple(state), saved)
        found = [a + b for a, b in zip(found, [*more[1], *more[2]], strict=True)]
        operand = cell.operand_element(tuple(z), tuple(state))
        if not np.allclose(more[0], operand, rtol=1e-12, atol=1e-12):
            raise InputError(f"cell '{cell.name}': operand_backward_element returns another operand")
    return [np.broadcast_to(value, POINTS) for value in found]


def _called(cell: Cell, name: str, parts: Sequence[Sequence[str]], *arguments: object) -> tuple:
    """Return what a function of the cell returns, once its tuples have as many values as there are names."""
    function: Callable | None = getattr(cell, name)
    if function is None:
        raise InputError(f"cell '{cell.name}': {name} is None; expected a function beside operand_element")
    try:
        found = tuple(function(*arguments))
    except Exception as error:
        raise InputError(f"cell '{cell.name}': {name} raises {type(error).__name__}: {error}") from error
    counts = [len(part) for part in found if isinstance(part, tuple)]
    expected = [len(part) for part in parts]
    if counts != expected:
        raise InputError(f"cell '{cell.name}': {name} returns tuples of {counts} values; expected {expected}")
    return found


def _loss(cell: Cell, z: np.ndarray, state: np.ndarray, d_state: np.ndarray, d_operand: np.ndarray) -> Scalar:
    following, _ = cell.forward_element(tuple(z), tuple(state))
    total = sum(d * value for d, value in zip(d_state, following, strict=True))
    return total + d_operand * cell.operand_element(tuple(z), tuple(state)) if cell.operand_element else total
