"""Random problems for a layer, a common form for what it returns, and the measure of how far two results are apart."""

from __future__ import annotations

import numpy as np
from oracles.equations import Arrays, Problem

from rnnbench import cells
from rnnbench.backends.base import Gradients, Trace
from rnnbench.cells.base import Cell
from rnnbench.layer import Layer

CELLS = sorted(cells.entries())


def problem(
    cell: str | Cell,
    steps: int,
    batch: int,
    inputs: int,
    hidden: int,
    *,
    lengths: bool = False,
    seed: int = 0,
) -> Problem:
    """Return a problem with every part random: weights, biases, states and gradients from outside.

    Recurrent weights are scaled so that neither signals nor gradients die or explode over a few dozen steps;
    lengths go from 1 to all steps, in random order.
    """
    rng = np.random.default_rng(seed)
    known = cells.get(cell)
    scales = {"W_xh": 1 / np.sqrt(inputs), "W_hh": 0.8 / np.sqrt(hidden)}
    shapes = known.parameter_shapes(inputs, hidden)
    return Problem(
        cell=known.name,
        params={name: scales.get(name, 0.5) * rng.standard_normal(shape) for name, shape in shapes.items()},
        x=rng.standard_normal((steps, batch, inputs)),
        state={name: 0.5 * rng.standard_normal((batch, hidden)) for name in known.states},
        lengths=rng.permutation(np.linspace(steps, 1, batch).round().astype(int)) if lengths else None,
        d_h=rng.standard_normal((steps, batch, hidden)),
        d_state={name: rng.standard_normal((batch, hidden)) for name in known.states},
    )


def layer_for(given: Problem, backend: str, dtype: str = "float64", cell: str | Cell | None = None) -> Layer:
    """Return a layer with the problem's parameters."""
    inputs, hidden = given.x.shape[2], given.d_h.shape[2]
    layer = Layer(given.cell if cell is None else cell, inputs, hidden, dtype=dtype, backend=backend)
    layer.params = {name: value.astype(dtype) for name, value in given.params.items()}
    return layer


def run(layer: Layer, given: Problem) -> tuple[Trace, Gradients]:
    """Run the problem forward and backward."""
    trace = layer.forward(given.x, given.state, given.lengths)
    return trace, layer.backward(trace, given.d_h, given.d_state)


def flat_trace(trace: Trace) -> Arrays:
    """Return h and the final states by name."""
    return {"h": trace.h, **{f"state.{name}": value for name, value in trace.state.items()}}


def flat_gradients(gradients: Gradients) -> Arrays:
    """Return all gradients by name: x, params.W_xh, ..., state.h, ..., state_sequence.h, ..."""
    found = {} if gradients.x is None else {"x": gradients.x}
    for part in ("params", "state", "state_sequence"):
        for name, value in (getattr(gradients, part) or {}).items():
            found[f"{part}.{name}"] = value
    return found


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference over the largest expected magnitude; NaN if anything is NaN."""
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    difference = np.abs(np.asarray(actual, expected.dtype) - expected).max()
    scale = np.abs(expected).max()
    return float(difference / scale) if scale else float(difference)


def largest_error(actual: Arrays, expected: Arrays) -> float:
    """Return the largest relative_error over arrays by name; both sides must have the same names."""
    assert actual.keys() == expected.keys()
    return float(np.max([relative_error(actual[name], expected[name]) for name in expected]))
