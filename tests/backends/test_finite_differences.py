"""Backward of each backend against central differences of its own forward, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.differences import differences
from oracles.equations import Problem
from oracles.problems import CELLS, flat_gradients, largest_error, layer_for, problem, run

from rnnbench.layer import Layer

BACKENDS = ["reference", pytest.param("cpu", marks=pytest.mark.compiled)]


def loss(layer: Layer, given: Problem) -> float:
    layer.params = given.params
    trace = layer.forward(given.x, given.state, given.lengths)
    return np.sum(given.d_h * trace.h) + sum(np.sum(d * trace.state[name]) for name, d in given.d_state.items())


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_equal_finite_differences(backend: str, cell: str, lengths: bool) -> None:
    given = problem(cell, steps=4, batch=2, inputs=2, hidden=3, lengths=lengths, seed=1)
    layer = layer_for(given, backend)
    _, gradients = run(layer, given)
    places = [("x", ""), *(("params", name) for name in given.params), *(("state", name) for name in given.state)]
    expected = {
        f"{place}.{name}" if name else place: differences(
            lambda array, place=place, name=name: loss(layer, given.with_entry(place, name, array)),
            given.x if place == "x" else getattr(given, place)[name],
        )
        for place, name in places
    }
    found = {name: value for name, value in flat_gradients(gradients).items() if "state_sequence" not in name}
    assert largest_error(found, expected) <= 1e-8
