"""What the gates of a cell do on given inputs, and the path of the gradient that leads through them alone."""

from __future__ import annotations

import numpy as np

from rnnbench.backends.reference import Reference
from rnnbench.layer import Layer


def gate_values(layer: Layer, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return every value that the cell saves, its gates among them, at every step: each (T, B, H) in float64."""
    _, saved = _states_and_saved(layer, x)
    return {name: saved[:, k] for k, name in enumerate(layer.cell.saved)}


def gates_only(layer: Layer, x: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return ln of the norm by lag (T, B) of v (B, H) on h_T, pulled back by everything but the recurrent weights.

    The first step back is the cell's own, without its matrix product: it takes v on h_T into the state that the memory
    gate keeps, for an LSTM c, by o_T (1 - tanh(c_T)^2) f_T. All later ones multiply by the gate. With W_hh = 0 nothing
    else is left of the backward pass.
    """
    states, saved = _states_and_saved(layer, x)
    cell = layer.cell
    gate = saved[:, cell.saved.index(cell.memory_gate or "")]
    d_state = [direction, *(np.zeros_like(direction) for _ in cell.states[1:])]
    _, entering = cell.backward_element(tuple(d_state), tuple(states[-1]), tuple(states[-2]), tuple(saved[-1]))
    return log_gates_only(gate, direction, np.asarray(entering[-1]))


def _states_and_saved(layer: Layer, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the states (T + 1, S, B, H) and saved values (T, V, B, H): the reference keeps them for any cell."""
    state = {name: value.astype(np.float64) for name, value in layer.zero_state(x.shape[1]).items()}
    tape = Reference().forward(layer.cell, layer.params, x, state, None).tape
    return tape["states"], tape["saved"]


def log_gates_only(gate: np.ndarray, direction: np.ndarray, entering: np.ndarray) -> np.ndarray:
    """Return ln (||m_k|| / ||v||) (T, B) by lag k: m_0 = v, m_1 = `entering` (both (B, H)), m_k = m_{k-1} gate_{T-k+1}.

    Products of the gate (T, B, H) are sums of logarithms, unit by unit, so that they do not underflow.
    """
    with np.errstate(divide="ignore"):  # a gate shut to 0 lets nothing pass: -inf
        logs = np.cumsum(np.log(np.concatenate([np.abs(entering)[None], gate[-2:0:-1]])), axis=0)
        logs = np.concatenate([np.log(np.abs(direction))[None], logs])
    norms = 0.5 * np.logaddexp.reduce(2 * logs, axis=2)
    return norms - norms[0]
