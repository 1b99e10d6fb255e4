"""Initial weights: each scheme draws the parameters of any cell, in float64, from one generator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from rnnbench.backends.base import Arrays
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError
from rnnbench.registry import lookup

Shapes = dict[str, tuple[int, ...]]
_Draw = Callable[[int, int], np.ndarray]
IRNN_INPUT_DEVIATION = 1e-3


def _assembled(cell: Cell, shapes: Shapes, input_weights: _Draw, recurrent_weights: _Draw) -> Arrays:
    """Return W_xh and W_hh drawn gate by gate, W_xh first, and biases of 0."""
    params = {name: np.zeros(shape) for name, shape in shapes.items()}
    for name, draw in (("W_xh", input_weights), ("W_hh", recurrent_weights)):
        params[name] = np.concatenate([draw(shapes[name][0], shapes["W_hh"][0]) for _ in cell.gates], axis=1)
    return params


def _glorot_matrix(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    limit = np.sqrt(6 / (rows + columns))
    return rng.uniform(-limit, limit, (rows, columns))


def _rotation(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((rows, columns)))
    return q * np.sign(np.diag(r))  # without the signs the distribution is not uniform (Mezzadri 2007)


def orthogonal(cell: Cell, shapes: Shapes, rng: np.random.Generator) -> Arrays:
    """W_hh orthogonal gate by gate (Saxe et al. 2014), W_xh Glorot-uniform gate by gate, biases 0."""
    return _assembled(cell, shapes, partial(_glorot_matrix, rng), partial(_rotation, rng))


def glorot(cell: Cell, shapes: Shapes, rng: np.random.Generator) -> Arrays:
    """W_hh and W_xh of U(-a, a) gate by gate, a^2 = 6 / (rows + columns) (Glorot & Bengio 2010, eq. 16), biases 0."""
    return _assembled(cell, shapes, partial(_glorot_matrix, rng), partial(_glorot_matrix, rng))


def identity(cell: Cell, shapes: Shapes, rng: np.random.Generator) -> Arrays:
    """W_hh the identity gate by gate, W_xh of N(0, 0.001^2), biases 0 (Le, Jaitly & Hinton 2015: the IRNN)."""
    return _assembled(cell, shapes, lambda *size: rng.normal(0, IRNN_INPUT_DEVIATION, size), np.eye)


def uniform(cell: Cell, shapes: Shapes, rng: np.random.Generator) -> Arrays:
    """All of U(-1/sqrt(H), 1/sqrt(H)), PyTorch's default; b_h is the sum of its two biases where it has two."""
    limit = 1 / np.sqrt(shapes["W_hh"][0])
    params = {name: rng.uniform(-limit, limit, shape) for name, shape in shapes.items()}
    hidden = shapes["W_hh"][0]
    for gate, name in enumerate(cell.gates):
        if name not in cell.separate:
            params["b_h"][gate * hidden : (gate + 1) * hidden] += rng.uniform(-limit, limit, hidden)
    return params


SCHEMES = {"orthogonal": orthogonal, "uniform": uniform, "glorot": glorot, "identity": identity}


def initialize(
    cell: Cell,
    input_size: int,
    hidden_size: int,
    rng: np.random.Generator,
    scheme: str = "orthogonal",
    gain: float = 1.0,
    gate_bias: float = 1.0,
    chrono: int | None = None,
) -> Arrays:
    """Return a layer's parameters in float64.

    `gain` multiplies W_hh. `gate_bias` is added to the bias of the gate that keeps memory: the forget gate of an
    LSTM (Jozefowicz et al. 2015 recommend 1), the update gate of a GRU; a cell without such a gate ignores it.
    `chrono` takes its place: biases b = ln U(1, chrono - 1), one a unit, so that memories fade over times up to
    `chrono` steps, and -b to the gate that writes, where a cell has one (Tallec & Ollivier 2018).
    """
    if chrono is not None and chrono < 3:
        raise InputError(f"chrono is {chrono}; expected a time of at least 3 steps")
    if not (np.isfinite(gain) and np.isfinite(gate_bias)):
        raise InputError(f"gain is {gain}, gate_bias {gate_bias}; expected finite numbers")
    params = lookup("initialization", scheme, SCHEMES)(cell, cell.parameter_shapes(input_size, hidden_size), rng)
    params["W_hh"] *= gain
    biases = params["b_h"].reshape(len(cell.gates), hidden_size)
    if cell.memory_gate is not None:
        added = gate_bias if chrono is None else np.log(rng.uniform(1, chrono - 1, hidden_size))
        biases[cell.gates.index(cell.memory_gate)] += added
        if chrono is not None and cell.write_gate is not None:
            biases[cell.gates.index(cell.write_gate)] -= added
    return params
