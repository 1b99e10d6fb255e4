"""Parity with PyTorch in float32 over 200 steps, from files: PyTorch is not needed. See golden/make_torch.py."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from golden.make_torch import CASES, FOLDER, HIDDEN, INPUTS, STEPS, compute, inputs, kept
from oracles.equations import Arrays
from oracles.problems import largest_error

from rnnbench.layer import Layer

FORWARD = ("output", "final_h", "final_c")
BACKENDS = ["reference", pytest.param("cpu", marks=pytest.mark.compiled)]


@cache
def golden(cell: str) -> Arrays:
    with np.load(FOLDER / f"torch_{cell}.npz") as file:
        return dict(file)


@cache
def found(cell: str, backend: str) -> Arrays:
    """Return our results by PyTorch's names: two equal bias gradients, but for the candidate of a GRU."""
    given = inputs(cell)
    layer = Layer(cell, INPUTS, HIDDEN, dtype="float32", backend=backend)
    bias, recurrent = given["bias_ih"], given["bias_hh"]
    layer.params = {"W_xh": given["weight_ih"].T.copy(), "W_hh": given["weight_hh"].T.copy(), "b_h": bias + recurrent}
    if cell == "gru":
        candidate = slice(2 * HIDDEN, None)
        layer.params["b_h"][candidate] = bias[candidate]
        layer.params["b_hn"] = recurrent[candidate]
    states = layer.cell.states
    trace = layer.forward(given["x"], {name: given[f"initial_{name}"] for name in states})
    gradients = layer.backward(trace, given["d_output"], {name: given[f"d_final_{name}"] for name in states})
    d_recurrent = gradients.params["b_h"].copy()
    if cell == "gru":
        d_recurrent[candidate] = gradients.params["b_hn"]
    results = {
        "output": trace.h,
        "d_x": gradients.x,
        "d_weight_ih": gradients.params["W_xh"].T,
        "d_weight_hh": gradients.params["W_hh"].T,
        "d_bias_ih": gradients.params["b_h"],
        "d_bias_hh": d_recurrent,
        **{f"final_{name}": trace.state[name] for name in states},
        **{f"d_initial_{name}": gradients.state[name] for name in states},
    }
    return kept(results)


def part(results: Arrays, forward: bool) -> Arrays:
    return {name: value for name, value in results.items() if (name in FORWARD) == forward}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", CASES)
def test_forward_is_pytorchs(cell: str, backend: str) -> None:
    assert STEPS >= 200
    assert HIDDEN >= 64
    assert largest_error(part(found(cell, backend), True), part(golden(cell), True)) <= 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", CASES)
def test_backward_is_pytorchs(cell: str, backend: str) -> None:
    assert largest_error(part(found(cell, backend), False), part(golden(cell), False)) <= 1e-4


@pytest.mark.parametrize("cell", CASES)
def test_the_files_are_what_the_script_makes(cell: str) -> None:
    pytest.importorskip("torch", reason="the golden files are made by PyTorch, which is not installed")
    assert largest_error(kept(compute(cell)), golden(cell)) <= 1e-5


def test_the_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.npz")) <= 200_000
