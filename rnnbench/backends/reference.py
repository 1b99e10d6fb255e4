"""The recurrence as the equations say it, in NumPy and float64: slow on purpose, the oracle of every other backend."""

from __future__ import annotations

import numpy as np

from rnnbench.backends.base import (
    Arrays,
    Backend,
    Gradients,
    Trace,
    check_gradient_shapes,
    check_shapes,
    check_stored,
    without_padding,
)
from rnnbench.cells.base import Cell


class Reference(Backend):
    """NumPy in float64, one step after the other: the oracle, and the text to read first."""

    name = "reference"

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an uninitialised NumPy array, always float64."""
        return np.empty(shape, np.float64)

    def forward(
        self,
        cell: Cell,
        params: Arrays,
        x: np.ndarray,
        state: Arrays,
        lengths: np.ndarray | None,
        *,
        store: bool = True,
        checkpoint_every: int | None = None,
    ) -> Trace:
        """Run z_t = [x_t W_xh + b_h, h_{t-1} W_hh], then the cell, T times."""
        params = {name: np.asarray(value, np.float64) for name, value in params.items()}
        x = np.asarray(x, np.float64)
        steps, batch, _, hidden = check_shapes(cell, params, x, state, lengths)
        x = without_padding(x, lengths)
        states = np.empty((steps + 1, len(cell.states), batch, hidden))
        states[0] = [state[name] for name in cell.states]
        saved = np.zeros((steps, len(cell.saved), batch, hidden))
        running = running_steps(steps, batch, lengths)
        for t in range(steps):
            z = preactivations(cell, params, x[t], states[t])
            next_state, kept = cell.forward_element(tuple(z), tuple(states[t]))
            states[t + 1] = np.where(running[t, :, None], next_state, states[t])
            if kept:
                saved[t] = kept
        return Trace(
            h=without_padding(states[1:, 0], lengths),
            state=dict(zip(cell.states, states[steps].copy(), strict=True)),
            cell=cell,
            params=params,
            x=x,
            lengths=lengths,
            tape={"states": states, "saved": saved} if store else {},
        )

    def backward(
        self,
        trace: Trace,
        d_h: np.ndarray,
        d_state: Arrays,
        *,
        state_sequence: bool = True,
        input_gradient: bool = True,
    ) -> Gradients:
        """Backpropagation through time: from the last step to the first, one cell step after the other."""
        check_gradient_shapes(trace, d_h, d_state)
        check_stored(trace)
        cell, params, x = trace.cell, trace.params, trace.x
        states, saved = trace.tape["states"], trace.tape["saved"]
        steps, batch, hidden = trace.h.shape
        running = running_steps(steps, batch, trace.lengths)
        d_h = without_padding(d_h, trace.lengths)
        d_x = np.zeros_like(x)
        d_params = {name: np.zeros_like(value) for name, value in params.items()}
        sequence = np.empty((len(cell.states), steps, batch, hidden))
        zero = np.zeros((batch, hidden))
        delta = np.array([d_state.get(name, zero) for name in cell.states], np.float64)
        for t in reversed(range(steps)):
            alive = running[t, :, None]
            delta[0] += d_h[t]
            sequence[:, t] = delta
            z_part, state_part = cell.backward_element(
                tuple(delta), tuple(states[t + 1]), tuple(states[t]), tuple(saved[t])
            )
            d_z = np.stack([np.where(alive, value, zero) for value in z_part])
            before = np.stack([np.where(alive, value, zero) for value in state_part])
            before += products_backward(cell, params, d_z, x[t], states[t], saved[t], d_params, d_x[t])
            delta = np.where(alive, before, delta)
        return Gradients(
            x=d_x if input_gradient else None,
            params=d_params,
            state=dict(zip(cell.states, delta, strict=True)),
            state_sequence=dict(zip(cell.states, sequence, strict=True)) if state_sequence else None,
        )

    def describe(self, cell: Cell, hidden_size: int, batch: int, dtype: np.dtype) -> str:
        """Say what runs."""
        return f"reference: {cell.name} in NumPy float64, step by step"


def running_steps(steps: int, batch: int, lengths: np.ndarray | None) -> np.ndarray:
    """Return (T, B) booleans: whether sequence b has a step t."""
    if lengths is None:
        return np.ones((steps, batch), bool)
    return np.arange(steps)[:, None] < lengths


def columns(cell: Cell, gate: int, hidden: int) -> slice:
    """Return the columns of a gate in W_xh, W_hh and b_h."""
    return slice(gate * hidden, (gate + 1) * hidden)


def preactivations(cell: Cell, params: Arrays, x: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Return z (P, B, H) of one step from x (B, I) and the states (S, B, H)."""
    hidden = state.shape[-1]
    gates, first_recurrent = len(cell.gates), len(cell.separate)
    z = np.zeros((len(cell.preactivations), *state.shape[1:]))
    for p, gate in enumerate(cell.input_gates):
        at = columns(cell, gate, hidden)
        z[p] += x @ params["W_xh"][:, at] + params["b_h"][at]
    if cell.separate:
        z[gates:] += params[cell.separate_bias].reshape(len(cell.separate), 1, hidden)
    for p, gate in enumerate(cell.recurrent_gates, start=first_recurrent):
        late = cell.gates[gate] in cell.late
        operand = cell.operand_element(tuple(z), tuple(state)) if late and cell.operand_element else state[0]
        z[p] += operand @ params["W_hh"][:, columns(cell, gate, hidden)]
    return z


def products_backward(
    cell: Cell,
    params: Arrays,
    d_z: np.ndarray,
    x: np.ndarray,
    previous: np.ndarray,
    saved: np.ndarray,
    d_params: Arrays,
    d_x: np.ndarray,
) -> np.ndarray:
    """Add one step's share to d_params and d_x; return what the products add to the previous states' gradient."""
    hidden = previous.shape[-1]
    gates, first_recurrent = len(cell.gates), len(cell.separate)
    d_previous = np.zeros_like(previous)
    for p, gate in reversed(list(enumerate(cell.recurrent_gates, start=first_recurrent))):
        at = columns(cell, gate, hidden)
        d_operand = d_z[p] @ params["W_hh"][:, at].T
        if cell.gates[gate] in cell.late and cell.operand_backward_element:
            operand, more_d_z, more_d_previous = cell.operand_backward_element(d_operand, tuple(previous), tuple(saved))
            for k, value in enumerate(more_d_z):
                d_z[k] += value
            for k, value in enumerate(more_d_previous):
                d_previous[k] += value
        else:
            operand = previous[0]
            d_previous[0] += d_operand
        d_params["W_hh"][:, at] += operand.T @ d_z[p]
    if cell.separate:
        d_params[cell.separate_bias] += d_z[gates:].sum(axis=1).ravel()
    for p, gate in enumerate(cell.input_gates):
        at = columns(cell, gate, hidden)
        d_x += d_z[p] @ params["W_xh"][:, at].T
        d_params["W_xh"][:, at] += x.T @ d_z[p]
        d_params["b_h"][at] += d_z[p].sum(axis=0)
    return d_previous
