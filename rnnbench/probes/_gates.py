"""What the gates of a cell do on given inputs, and the path of the gradient that leads through them alone."""

from __future__ import annotations

import numpy as np

from rnnbench.backends.reference import Reference
from rnnbench.layer import Layer


def gate_values(layer: Layer, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return every value that the cell saves, its gates among them, at every step: each (T, B, H) in float64.

    The reference computes them, as it keeps them by name for any cell.
    """
    reference = Reference()
    state = {name: value.astype(np.float64) for name, value in layer.zero_state(x.shape[1]).items()}
    saved = reference.forward(layer.cell, layer.params, x, state, None).tape["saved"]
    return {name: saved[:, k] for k, name in enumerate(layer.cell.saved)}


def log_gates_only(gate: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return ln (||m_{k} v|| / ||v||) (T, B) by lag k: v (B, H) pulled back through the gate (T, B, H) alone.

    m_k is the product of the gate over the last k steps, unit by unit: with the forget gate of an LSTM or the update
    gate of a GRU the path from state to state that touches no weights.
    """
    with np.errstate(divide="ignore"):  # a gate shut to 0 lets nothing pass: -inf
        steps = np.log(gate[:0:-1])
    logs = np.concatenate([np.zeros_like(gate[:1]), np.cumsum(steps, axis=0)])
    weights = 2 * np.log(np.abs(direction))
    return 0.5 * (np.logaddexp.reduce(2 * logs + weights, axis=2) - np.logaddexp.reduce(weights, axis=1))
