"""Backward functions that SymPy derives: beside those written by hand, and on every backend."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from oracles.problems import CELLS, flat_gradients, flat_trace, largest_error, layer_for, problem, run

from rnnbench import cells
from rnnbench.arithmetic import relu, sigmoid, tanh, where
from rnnbench.cells._check import check
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError

pytest.importorskip("sympy", reason="SymPy is not installed; see the extra derive")


def derived(name: str) -> Cell:
    """Return a cell of rnnbench's with its backward functions derived in the place of its own."""
    return replace(cells.get(name), name=f"derived_{name}", backward_element=None, saved=())


def made(forward: Callable, gates: tuple[str, ...] = ("hidden",), **options: Any) -> Cell:
    return Cell(name="made", summary="for a test", gates=gates, forward_element=forward, **options)


@pytest.mark.parametrize("backend", ["reference", pytest.param("cpu", marks=pytest.mark.compiled)])
@pytest.mark.parametrize("name", CELLS)
def test_a_derived_cell_is_the_cell(name: str, backend: str) -> None:
    given = problem(name, steps=5, batch=3, inputs=2, hidden=5, lengths=True)
    expected_trace, expected = run(layer_for(given, "reference"), given)
    trace, gradients = run(layer_for(given, backend, cell=derived(name)), given)
    assert largest_error(flat_trace(trace), flat_trace(expected_trace)) <= 1e-12
    assert largest_error(flat_gradients(gradients), flat_gradients(expected)) <= 1e-12


@pytest.mark.parametrize("name", CELLS)
def test_a_derived_cell_passes_its_check(name: str) -> None:
    check(derived(name))


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("rnn", set()),  # the state itself tells the slope
        ("lstm", {"input", "forget", "candidate", "output", "tanh"}),
        ("gru_reset_before", {"reset", "update", "candidate"}),
    ],
)
def test_what_is_saved_are_the_values_of_gates(name: str, saved: set[str]) -> None:
    assert set(derived(name).saved) == saved


def test_the_derivative_needs_no_function_and_can_be_read() -> None:
    text = derived("gru_reset_before").backward_element.__doc__
    assert text.startswith("def backward_element(d_state, state, previous, saved):")
    assert "tanh" not in text
    assert "sigmoid" not in text
    assert "saved[" in text


def test_a_forward_function_runs_once_for_the_derivative() -> None:
    calls = []

    def forward(z: tuple, state: tuple) -> tuple:
        calls.append(z)
        return (tanh(z[0]),), ()

    made(forward)
    assert len(calls) == 1


def soft(x: Any) -> Any:
    return x / (1.0 + where(x < 0.0, -x, x))


FORWARDS: dict[str, tuple[Callable, dict[str, Any]]] = {
    "linear": (lambda z, state: ((z[0],), ()), {}),
    "relu": (lambda z, state: ((relu(z[0]),), ()), {}),
    "division and a helper": (lambda z, state: ((soft(z[0]) / (2.0 + state[0] * state[0]),), ()), {}),
    "numbers on either side": (lambda z, state: ((1 - 2 * tanh(0.3 * z[0]) + 3.0 / (5 - tanh(z[0])),), ()), {}),
    "NumPy's numbers": (lambda z, state: ((np.float64(0.25) * tanh(z[0]) - np.float64(1.0) * state[0],), ()), {}),
    "comparisons": (
        lambda z, state: ((where(z[0] >= 1.0, 1.0, where(z[0] <= -1.0, -1.0, z[0])) * sigmoid(0.5 * state[0]),), ()),
        {},
    ),
    "a function of a function": (lambda z, state: ((sigmoid(tanh(z[0]) + state[0]) - tanh(z[0]),), ()), {}),
    "two states": (
        lambda z, state: ((sigmoid(z[1]) * tanh(state[1] + z[0]), state[1] + z[0]), ()),
        {"gates": ("candidate", "gate"), "states": ("h", "c")},
    ),
    "a state that is a function": (
        lambda z, state: ((tanh(z[0]), sigmoid(tanh(z[0]) * state[1])), ()),
        {"states": ("h", "m")},
    ),
    "an operand that is the state's function": (
        lambda z, state: ((sigmoid(z[0]) * tanh(z[1]),), ()),
        {"gates": ("gate", "late"), "late": ("late",), "operand_element": lambda z, state: sigmoid(z[0]) * state[0]},
    ),
}


@pytest.mark.parametrize("case", FORWARDS)
def test_whatever_a_cell_may_be_written_with_is_derived(case: str) -> None:
    forward, options = FORWARDS[case]
    check(made(forward, **options))


@pytest.mark.compiled
@pytest.mark.parametrize("case", FORWARDS)
def test_and_runs_compiled(case: str) -> None:
    forward, options = FORWARDS[case]
    cell = replace(made(forward, **options), name=f"made_{sorted(FORWARDS).index(case)}")
    given = problem_of(cell)
    trace, gradients = run(layer_for(given, "cpu", cell=cell), given)
    expected_trace, expected = run(layer_for(given, "reference", cell=cell), given)
    assert largest_error(flat_trace(trace), flat_trace(expected_trace)) <= 1e-12
    assert largest_error(flat_gradients(gradients), flat_gradients(expected)) <= 1e-12


def problem_of(cell: Cell) -> Any:
    return problem(cell, steps=4, batch=2, inputs=2, hidden=3)


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda z, state: ((np.exp(z[0]),), ()), "cell 'made': its backward function cannot be derived"),
        (lambda z, state: ((z[0] if z[0] > 0 else 0.0,), ()), "a condition decides a branch; expected where"),
        (lambda z, state: ((z[1],), ()), "cell 'made': its backward function cannot be derived: .*index"),
        (lambda z, state: ((z[0], z[0]), ()), r"cell 'made': forward_element returns 2 states; expected 1"),
        (lambda z, state: ((z[0] ** 2,), ()), "cell 'made': its backward function cannot be derived: .*\\*\\*"),
    ],
)
def test_what_cannot_be_derived_is_refused_with_the_cells_name(forward: Callable, message: str) -> None:
    with pytest.raises(InputError, match=message):
        made(forward)


def test_without_sympy_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "rnnbench.cells._derivation":
            raise ImportError("sympy")
        return plain(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"cell 'made' has no backward_element, and SymPy.*pip install '\.\[derive\]'"):
        made(lambda z, state: ((tanh(z[0]),), ()))
