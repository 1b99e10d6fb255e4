"""The way of a layer through a batch of sequences, to be gone back a stretch at a time with any cotangents.

A cotangent is the derivative of some loss by the states. Pulled back through k steps by the ordinary backward pass, it
is multiplied by the transposed Jacobian of these steps: H cotangents beside each other give the whole matrix. Between
stretches a probe may rescale them or make them orthogonal, so that nothing underflows however long the sequence.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rnnbench.backends.base import Arrays, Gradients
from rnnbench.layer import Layer


class Path:
    """A layer's inputs x (T, B, I) and its states at the start of every stretch; all else is computed again."""

    def __init__(self, layer: Layer, x: np.ndarray, stretch: int) -> None:
        self.layer, self.batch = layer, x.shape[1]
        self.stretches: list[tuple[np.ndarray, Arrays]] = []
        state = layer.zero_state(self.batch)
        for start in range(0, len(x), stretch):
            part = x[start : start + stretch]
            self.stretches.append((part, state))
            state = layer.forward(part, state, store=False).state

    def __len__(self) -> int:
        return len(self.stretches)

    def pull_back(self, place: int, cotangents: Arrays) -> Gradients:
        """Return the gradients through one stretch of a loss with these derivatives by the states at its end.

        Each of `cotangents` is (B n, H): n of the first sequence, n of the second and so on.
        """
        x, state = self.stretches[place]
        copies = len(next(iter(cotangents.values()))) // self.batch
        if copies > 1:
            x = np.repeat(x, copies, axis=1)
            state = {name: np.repeat(value, copies, axis=0) for name, value in state.items()}
        trace = self.layer.forward(x, state)
        return self.layer.backward(trace, d_state=cotangents, input_gradient=False)

    def transposed_jacobians_times(self, place: int, frames: np.ndarray) -> np.ndarray:
        """Return J^T F (B, n, m) for frames F (B, n, m): J the Jacobian of one stretch over all states, n = S H."""
        names, hidden = self.layer.cell.states, self.layer.hidden_size
        columns = frames.transpose(0, 2, 1).reshape(-1, len(names), hidden)
        pulled = self.pull_back(place, {name: columns[:, k] for k, name in enumerate(names)}).state
        stacked = np.stack([np.asarray(pulled[name], np.float64) for name in names], axis=1)
        return stacked.reshape(frames.shape[0], frames.shape[2], frames.shape[1]).transpose(0, 2, 1)

    def frames(self, rng: np.random.Generator) -> np.ndarray:
        """Return a random orthogonal matrix (B, n, n) for every sequence, n = S H."""
        size = len(self.layer.cell.states) * self.layer.hidden_size
        return np.linalg.qr(rng.standard_normal((self.batch, size, size)))[0]


def log_delta_norms(path: Path, cotangents: Arrays) -> dict[str, np.ndarray]:
    """Return ln ||dL/ds_{T-k}|| (T, B) by lag k for each state s, and under "" for all of them together.

    `cotangents` (B, H) are dL/ds_T. Norms are taken in float64, each sequence's is brought back to 1 after every
    stretch, and logarithms add up: what float32 or float64 cannot hold as a number is still measured.
    """
    scale = np.zeros(path.batch)
    logs: list[dict[str, np.ndarray]] = []
    for place in reversed(range(len(path))):
        gradients = path.pull_back(place, cotangents)
        assert gradients.state_sequence is not None
        logs.append({name: value[::-1] + scale for name, value in _log_norms(gradients.state_sequence).items()})
        norms = _log_norms(gradients.state)[""]
        shift = np.where(np.isfinite(norms), norms, 0.0)
        cotangents = {name: value * np.exp(-shift)[:, None] for name, value in gradients.state.items()}
        scale = scale + shift
    return {name: np.concatenate([part[name] for part in logs]) for name in logs[0]}


def _log_norms(states: Arrays) -> dict[str, np.ndarray]:
    """Return ln ||s|| over the last axis for each state, and under "" for all of them together."""
    squares = {name: np.square(np.asarray(value, np.float64)).sum(axis=-1) for name, value in states.items()}
    with np.errstate(divide="ignore"):  # a norm of 0 is -inf, and reported as such
        return {name: 0.5 * np.log(value) for name, value in {**squares, "": sum(squares.values())}.items()}


def rescaled_backwards(path: Path, cotangents: Arrays) -> Iterator[tuple[Gradients, float]]:
    """Yield (gradients, s) of every stretch from the last to the first: the true ones are e^s times those yielded.

    One scale serves the whole batch, so that sums over the batch, as gradients by parameters are, stay sums.
    """
    scale = 0.0
    for place in reversed(range(len(path))):
        gradients = path.pull_back(place, cotangents)
        yield gradients, scale
        norm = max(float(np.abs(value).max()) for value in gradients.state.values())
        shift = np.log(norm) if 0 < norm < np.inf else 0.0
        cotangents = {name: value * np.exp(-shift) for name, value in gradients.state.items()}
        scale += shift
