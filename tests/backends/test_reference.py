"""The reference backend against the equations written down a second time, and against finite differences of itself."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import equations
from oracles.problems import CELLS, flat_gradients, largest_error, layer_for, problem, relative_error, run

TINY = {"steps": 4, "batch": 2, "inputs": 2, "hidden": 3}


def test_every_oracle_is_of_a_cell() -> None:
    assert set(equations.STEPS) <= set(CELLS)


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("cell", equations.STEPS)
def test_forward_equals_the_oracle(cell: str, lengths: bool) -> None:
    given = problem(cell, steps=9, batch=3, inputs=5, hidden=7, lengths=lengths)
    h, final = equations.forward(given)
    trace = layer_for(given, "reference").forward(given.x, given.state, given.lengths)
    assert relative_error(trace.h, h.real) <= 1e-12
    assert largest_error(trace.state, {name: value.real for name, value in final.items()}) <= 1e-12


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("cell", equations.STEPS)
def test_every_gradient_equals_the_complex_step_of_the_oracle(cell: str, lengths: bool) -> None:
    given = problem(cell, **TINY, lengths=lengths, seed=1)
    _, gradients = run(layer_for(given, "reference"), given)
    assert largest_error(flat_gradients(gradients), equations.gradients(given)) <= 1e-12


def test_the_dtype_is_float64_whatever_the_layers() -> None:
    given = problem("lstm", **TINY)
    trace, gradients = run(layer_for(given, "reference", "float32"), given)
    assert trace.h.dtype == np.float64
    assert {value.dtype for value in flat_gradients(gradients).values()} == {np.dtype("float64")}
