"""Initial weights: each scheme draws the parameters of any cell, in float64, from one generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnnbench.backends.base import Arrays
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError
from rnnbench.registry import lookup


def _per_gate(cell: Cell, draw: Callable[[], np.ndarray]) -> np.ndarray:
    return np.concatenate([draw() for _ in cell.gates], axis=1)


def orthogonal(cell: Cell, shapes: dict[str, tuple[int, ...]], rng: np.random.Generator) -> Arrays:
    """W_hh orthogonal gate by gate (Saxe et al. 2014), W_xh Glorot-uniform gate by gate, biases 0."""
    inputs, hidden = shapes["W_xh"][0], shapes["W_hh"][0]
    limit = np.sqrt(6 / (inputs + hidden))

    def rotation() -> np.ndarray:
        q, r = np.linalg.qr(rng.standard_normal((hidden, hidden)))
        return q * np.sign(np.diag(r))  # without the signs the distribution is not uniform (Mezzadri 2007)

    params = {name: np.zeros(shape) for name, shape in shapes.items()}
    params["W_xh"] = _per_gate(cell, lambda: rng.uniform(-limit, limit, (inputs, hidden)))
    params["W_hh"] = _per_gate(cell, rotation)
    return params


def uniform(cell: Cell, shapes: dict[str, tuple[int, ...]], rng: np.random.Generator) -> Arrays:
    """All of U(-1/sqrt(H), 1/sqrt(H)), PyTorch's default; b_h is the sum of its two biases where it has two."""
    limit = 1 / np.sqrt(shapes["W_hh"][0])
    params = {name: rng.uniform(-limit, limit, shape) for name, shape in shapes.items()}
    hidden = shapes["W_hh"][0]
    for gate, name in enumerate(cell.gates):
        if name not in cell.separate:
            params["b_h"][gate * hidden : (gate + 1) * hidden] += rng.uniform(-limit, limit, hidden)
    return params


SCHEMES = {"orthogonal": orthogonal, "uniform": uniform}


def initialize(
    cell: Cell,
    input_size: int,
    hidden_size: int,
    rng: np.random.Generator,
    scheme: str = "orthogonal",
    gain: float = 1.0,
    gate_bias: float = 1.0,
) -> Arrays:
    """Return a layer's parameters in float64.

    `gain` multiplies W_hh. `gate_bias` is added to the bias of the gate that keeps memory: the forget gate of an
    LSTM (Jozefowicz et al. 2015 recommend 1), the update gate of a GRU; a cell without such a gate ignores it.
    """
    if not (np.isfinite(gain) and np.isfinite(gate_bias)):
        raise InputError(f"gain is {gain}, gate_bias {gate_bias}; expected finite numbers")
    params = lookup("initialization", scheme, SCHEMES)(cell, cell.parameter_shapes(input_size, hidden_size), rng)
    params["W_hh"] *= gain
    if cell.memory_gate is not None:
        gate = cell.gates.index(cell.memory_gate)
        params["b_h"][gate * hidden_size : (gate + 1) * hidden_size] += gate_bias
    return params
