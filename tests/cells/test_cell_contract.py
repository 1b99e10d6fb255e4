"""What holds for every registered cell: the two functions fit each other, and the names fit the functions."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.problems import CELLS, relative_error

from rnnbench import cells
from rnnbench.arithmetic import Scalar
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError

STEP = 1e-30
POINTS = 500


@pytest.fixture(params=CELLS)
def cell(request: pytest.FixtureRequest) -> Cell:
    return cells.get(request.param)


def random_points(cell: Cell, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return z, the states, and the gradients by the next states and by the operand, away from a kink at z = 0."""
    rng = np.random.default_rng(0)
    z = rng.uniform(0.01, 3, (len(cell.preactivations), POINTS)) * rng.choice([-1, 1], POINTS)
    states, d_states = rng.standard_normal((2, len(cell.states), POINTS))
    return z.astype(dtype), states.astype(dtype), d_states.astype(dtype), rng.standard_normal(POINTS).astype(dtype)


def loss(cell: Cell, z: np.ndarray, states: np.ndarray, d_states: np.ndarray, d_operand: np.ndarray) -> np.ndarray:
    next_states, _ = cell.forward_element(tuple(z), tuple(states))
    total = sum(d * value for d, value in zip(d_states, next_states, strict=True))
    return total + d_operand * cell.operand_element(tuple(z), tuple(states)) if cell.operand_element else total


def backward(
    cell: Cell, z: np.ndarray, states: np.ndarray, d_states: np.ndarray, d_operand: np.ndarray
) -> list[Scalar]:
    """Return d_z and then d_states of `loss` from the cell's own backward functions; a literal is constant."""
    next_states, saved = cell.forward_element(tuple(z), tuple(states))
    d_z, d_previous = cell.backward_element(tuple(d_states), next_states, tuple(states), saved)
    if cell.operand_backward_element:
        _, more_d_z, more_d_previous = cell.operand_backward_element(d_operand, tuple(states), saved)
        d_z = [a + b for a, b in zip(d_z, more_d_z, strict=True)]
        d_previous = [a + b for a, b in zip(d_previous, more_d_previous, strict=True)]
    return [*d_z, *d_previous]


def test_backward_is_the_derivative_of_forward(cell: Cell) -> None:
    z, states, d_states, d_operand = random_points(cell)
    found = backward(cell, z, states, d_states, d_operand)
    inputs = np.concatenate([z, states]).astype(complex)
    assert len(found) == len(inputs)
    for k, derivative in enumerate(found):
        moved = inputs.copy()
        moved[k] += STEP * 1j
        expected = loss(cell, moved[: len(z)], moved[len(z) :], d_states, d_operand).imag / STEP
        assert relative_error(np.broadcast_to(derivative, POINTS), expected) <= 1e-12


def test_the_operand_is_the_same_forward_and_backward(cell: Cell) -> None:
    if cell.operand_element is None or cell.operand_backward_element is None:
        assert cell.operand_element is cell.operand_backward_element
        assert cell.late == ()
        return
    z, states, _, d_operand = random_points(cell)
    _, saved = cell.forward_element(tuple(z), tuple(states))
    operand, *_ = cell.operand_backward_element(d_operand, tuple(states), saved)
    np.testing.assert_allclose(operand, cell.operand_element(tuple(z), tuple(states)), rtol=1e-15)


def test_the_operand_reads_no_late_gate(cell: Cell) -> None:
    if cell.operand_element is None:
        return
    z, states, *_ = random_points(cell)
    incomplete = z.copy()
    incomplete[-len(cell.late) :] = np.nan
    np.testing.assert_array_equal(
        cell.operand_element(tuple(incomplete), tuple(states)), cell.operand_element(tuple(z), tuple(states))
    )


def test_elements_return_what_the_names_promise(cell: Cell) -> None:
    z, states, d_states, _ = random_points(cell)
    next_states, saved = cell.forward_element(tuple(z), tuple(states))
    d_z, d_previous = cell.backward_element(tuple(d_states), next_states, tuple(states), saved)
    assert len(next_states) == len(cell.states)
    assert len(saved) == len(cell.saved)
    assert len(d_z) == len(cell.preactivations) == len(cell.gates) + len(cell.separate)
    assert len(d_previous) == len(cell.states)


def test_float32_is_not_promoted(cell: Cell) -> None:
    z, states, d_states, d_operand = random_points(cell, "float32")
    next_states, saved = cell.forward_element(tuple(z), tuple(states))
    found = (*next_states, *saved, *backward(cell, z, states, d_states, d_operand))
    assert {value.dtype for value in found if not isinstance(value, float)} == {np.dtype("float32")}


def test_names_agree(cell: Cell) -> None:
    assert cells.get(cell.name) is cell
    assert cells.get(cell) is cell
    assert cell.summary
    assert "\n" not in cell.summary
    assert cell.states[0] == "h"
    assert len(set(cell.gates)) == len(cell.gates)
    assert set(cell.separate) <= set(cell.gates)
    assert bool(cell.separate) == bool(cell.separate_bias)
    assert cell.memory_gate is None or cell.memory_gate in cell.gates
    assert cell.late == tuple(cell.gates[g] for g in cell.recurrent_gates)[len(cell.gates) - len(cell.late) :]


def test_every_gate_is_fed_once_by_each_product(cell: Cell) -> None:
    gates = list(range(len(cell.gates)))
    assert sorted(cell.input_gates) == gates
    assert sorted(cell.recurrent_gates) == gates
    first_recurrent = len(cell.preactivations) - len(gates)
    for name, gate in zip(cell.preactivations, cell.input_gates, strict=False):
        assert name.removesuffix("_input") == cell.gates[gate]
    for name, gate in zip(cell.preactivations[first_recurrent:], cell.recurrent_gates, strict=True):
        assert name.removesuffix("_recurrent") == cell.gates[gate]


def test_parameter_shapes(cell: Cell) -> None:
    shapes = cell.parameter_shapes(3, 5)
    width = 5 * len(cell.gates)
    assert shapes["W_xh"] == (3, width)
    assert shapes["W_hh"] == (5, width)
    assert shapes["b_h"] == (width,)
    extra = {cell.separate_bias: (5 * len(cell.separate),)} if cell.separate else {}
    assert {name: shape for name, shape in shapes.items() if name not in ("W_xh", "W_hh", "b_h")} == extra


@pytest.mark.parametrize(
    ("name", "gates"),
    [
        ("rnn", ("hidden",)),
        ("rnn_relu", ("hidden",)),
        ("rnn_linear", ("hidden",)),
        ("lstm", ("input", "forget", "candidate", "output")),
        ("lstm_no_input", ("forget", "candidate", "output")),
        ("lstm_no_forget", ("input", "candidate", "output")),
        ("lstm_no_output", ("input", "forget", "candidate")),
        ("gru", ("reset", "update", "candidate")),
        ("gru_reset_before", ("reset", "update", "candidate")),
    ],
)
def test_gates_are_in_the_order_of_pytorch(name: str, gates: tuple[str, ...]) -> None:
    assert cells.get(name).gates == gates


def test_an_unknown_cell_names_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"unknown cell 'lstn': did you mean 'lstm'\? known: gru, .*rnn"):
        cells.get("lstn")
