"""The cells again, from the textbook: one sequence, one step, one gate matrix at a time, nothing shared with rnnbench.

Everything works on complex numbers as well as on real ones, so that `gradients` needs no calculus: the derivative
by a number is the imaginary part of the loss after a step of 1e-30 i. (Squire and Trapp 1998.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
STEP = 1e-30


def logistic(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def gate_matrices(params: Arrays, count: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return (W_x (I, H), W_h (H, H), b (H,)) of each gate."""
    hidden = len(params["W_hh"])
    cuts = [hidden * k for k in range(1, count)]
    return list(
        zip(
            np.split(params["W_xh"], cuts, axis=1),
            np.split(params["W_hh"], cuts, axis=1),
            np.split(params["b_h"], cuts),
            strict=True,
        )
    )


def rnn_step(params: Arrays, x: np.ndarray, state: Arrays) -> Arrays:
    [(w_x, w_h, b)] = gate_matrices(params, 1)
    return {"h": np.tanh(x @ w_x + state["h"] @ w_h + b)}


def rnn_relu_step(params: Arrays, x: np.ndarray, state: Arrays) -> Arrays:
    [(w_x, w_h, b)] = gate_matrices(params, 1)
    z = x @ w_x + state["h"] @ w_h + b
    return {"h": z * (z.real > 0)}


def rnn_linear_step(params: Arrays, x: np.ndarray, state: Arrays) -> Arrays:
    [(w_x, w_h, b)] = gate_matrices(params, 1)
    return {"h": x @ w_x + state["h"] @ w_h + b}


def lstm_step(params: Arrays, x: np.ndarray, state: Arrays) -> Arrays:
    input_gate, forget_gate, candidate, output_gate = gate_matrices(params, 4)

    def preactivation(gate: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
        w_x, w_h, b = gate
        return x @ w_x + state["h"] @ w_h + b

    i, f, o = (logistic(preactivation(gate)) for gate in (input_gate, forget_gate, output_gate))
    c = f * state["c"] + i * np.tanh(preactivation(candidate))
    return {"h": o * np.tanh(c), "c": c}


def ablated_lstm_step(params: Arrays, x: np.ndarray, state: Arrays, gone: str) -> Arrays:
    """An LSTM whose gate `gone` has no weights and is 1; the others keep their order."""
    kept = [name for name in ("input", "forget", "candidate", "output") if name != gone]
    z = {
        name: x @ w_x + state["h"] @ w_h + b for name, (w_x, w_h, b) in zip(kept, gate_matrices(params, 3), strict=True)
    }
    gate = {name: logistic(z[name]) if name in z else 1.0 for name in ("input", "forget", "output")}
    c = gate["forget"] * state["c"] + gate["input"] * np.tanh(z["candidate"])
    return {"h": gate["output"] * np.tanh(c), "c": c}


def gru_step(params: Arrays, x: np.ndarray, state: Arrays) -> Arrays:
    (w_xr, w_hr, b_r), (w_xz, w_hz, b_z), (w_xn, w_hn, b_n) = gate_matrices(params, 3)
    h = state["h"]
    r = logistic(x @ w_xr + h @ w_hr + b_r)
    z = logistic(x @ w_xz + h @ w_hz + b_z)
    n = np.tanh(x @ w_xn + b_n + r * (h @ w_hn + params["b_hn"]))
    return {"h": (1 - z) * n + z * h}


def gru_reset_before_step(params: Arrays, x: np.ndarray, state: Arrays) -> Arrays:
    (w_xr, w_hr, b_r), (w_xz, w_hz, b_z), (w_xn, w_hn, b_n) = gate_matrices(params, 3)
    h = state["h"]
    r = logistic(x @ w_xr + h @ w_hr + b_r)
    z = logistic(x @ w_xz + h @ w_hz + b_z)
    n = np.tanh(x @ w_xn + b_n + (r * h) @ w_hn)
    return {"h": (1 - z) * n + z * h}


STEPS: dict[str, Callable[[Arrays, np.ndarray, Arrays], Arrays]] = {
    "rnn": rnn_step,
    "rnn_relu": rnn_relu_step,
    "rnn_linear": rnn_linear_step,
    "lstm": lstm_step,
    "lstm_no_input": partial(ablated_lstm_step, gone="input"),
    "lstm_no_forget": partial(ablated_lstm_step, gone="forget"),
    "lstm_no_output": partial(ablated_lstm_step, gone="output"),
    "gru": gru_step,
    "gru_reset_before": gru_reset_before_step,
}


@dataclass
class Problem:
    """All that a layer is given: float64 arrays in the layer's own shapes."""

    cell: str
    params: Arrays
    x: np.ndarray
    state: Arrays
    lengths: np.ndarray | None
    d_h: np.ndarray
    d_state: Arrays

    def with_entry(self, place: str, name: str, value: np.ndarray) -> Problem:
        """Return the problem with another x, another parameter or another initial state."""
        if place == "x":
            return replace(self, x=value)
        return replace(self, **{place: {**getattr(self, place), name: value}})


def forward(problem: Problem, nudge: tuple[int, str, int, int] | None = None) -> tuple[np.ndarray, Arrays]:
    """Return h (T, B, H), zero past a sequence's end, and the states (B, H) after each sequence's last step.

    `nudge` (t, state, b, unit) adds STEP i to one state once step t is done.
    """
    steps, batch, _ = problem.x.shape
    hidden = len(problem.params["W_hh"])
    step = STEPS[problem.cell]
    h = np.zeros((steps, batch, hidden), complex)
    final = {name: np.zeros((batch, hidden), complex) for name in problem.state}
    for b in range(batch):
        state = {name: value[b].astype(complex) for name, value in problem.state.items()}
        for t in range(steps if problem.lengths is None else problem.lengths[b]):
            state = step(problem.params, problem.x[t, b], state)
            if nudge is not None and nudge[0] == t and nudge[2] == b:
                state[nudge[1]][nudge[3]] += STEP * 1j
            h[t, b] = state["h"]
        for name, value in state.items():
            final[name][b] = value
    return h, final


def loss(problem: Problem, **options: Any) -> complex:
    """Return the loss whose derivatives by h and by the final states are the problem's d_h and d_state."""
    h, final = forward(problem, **options)
    return np.sum(problem.d_h * h) + sum(np.sum(d * final[name]) for name, d in problem.d_state.items())


def gradient(problem: Problem, place: str, name: str = "") -> np.ndarray:
    """Return the loss's derivative by every number of x, of a parameter or of an initial state."""
    array = problem.x if place == "x" else getattr(problem, place)[name]
    derivative = np.zeros(array.shape)
    for at in np.ndindex(array.shape):
        moved = array.astype(complex)
        moved[at] += STEP * 1j
        derivative[at] = loss(problem.with_entry(place, name, moved)).imag / STEP
    return derivative


def gradients(problem: Problem) -> Arrays:
    """Return every derivative by the name that `flat_gradients` gives it."""
    found = {"x": gradient(problem, "x")}
    found |= {f"params.{name}": gradient(problem, "params", name) for name in problem.params}
    found |= {f"state.{name}": gradient(problem, "state", name) for name in problem.state}
    return found | state_sequence_gradients(problem)


def state_sequence_gradients(problem: Problem) -> Arrays:
    """Return the derivatives by the states after each step; past a sequence's end only the final state counts."""
    steps, batch, hidden = problem.d_h.shape
    found = {}
    for name in problem.state:
        derivative = np.zeros((steps, batch, hidden))
        for t, b, unit in np.ndindex(derivative.shape):
            if problem.lengths is None or t < problem.lengths[b]:
                derivative[t, b, unit] = loss(problem, nudge=(t, name, b, unit)).imag / STEP
            elif name in problem.d_state:
                derivative[t, b, unit] = problem.d_state[name][b, unit]
        found[f"state_sequence.{name}"] = derivative
    return found
