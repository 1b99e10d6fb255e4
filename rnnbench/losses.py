"""Losses over rows of outputs, with their gradients, compiled: the mean over the rows that count.

    mse             L = mean over n, k of (y_nk - t_nk)^2                        targets (N, K)
    cross_entropy   L = mean over n of -ln softmax(y_n)[t_n], in nats            targets (N,) classes

Rows whose `counts` is False add nothing to the loss and get the gradient 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnbench.backends.cpu.compilation import kernel
from rnnbench.errors import InputError, ShapeError
from rnnbench.registry import lookup


@kernel
def mean_squared_error(outputs: Any, targets: Any, counts: Any, d_outputs: Any) -> Any:
    """Write dL/dy into d_outputs (N, K) and return L, summed in float64."""
    rows, size = outputs.shape
    number = max(1, counts.sum()) * size
    total = 0.0
    for n in range(rows):
        for k in range(size):
            difference = np.float64(outputs[n, k]) - np.float64(targets[n, k]) if counts[n] else 0.0
            total += difference * difference
            d_outputs[n, k] = 2.0 * difference / number
    return total / number


@kernel
def cross_entropy(outputs: Any, targets: Any, counts: Any, d_outputs: Any) -> Any:
    """Write dL/dy = (softmax(y) - onehot(t)) / N into d_outputs (N, K) and return L, summed in float64."""
    rows, size = outputs.shape
    number = max(1, counts.sum())
    total = 0.0
    for n in range(rows):
        if not counts[n]:
            for k in range(size):
                d_outputs[n, k] = 0.0
            continue
        largest = outputs[n, 0]
        for k in range(1, size):
            largest = max(largest, outputs[n, k])
        normalizer = 0.0
        for k in range(size):
            exponential = math.exp(np.float64(outputs[n, k]) - np.float64(largest))
            d_outputs[n, k] = exponential
            normalizer += exponential
        for k in range(size):
            d_outputs[n, k] /= normalizer * number
        d_outputs[n, targets[n]] -= 1.0 / number
        total += math.log(normalizer) - (np.float64(outputs[n, targets[n]]) - np.float64(largest))
    return total / number


LOSSES = {"mse": mean_squared_error, "cross_entropy": cross_entropy}


def loss_and_gradient(
    name: str, outputs: np.ndarray, targets: np.ndarray, counts: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Return the loss of outputs (N, K) and its gradient by them; `counts` (N,) says which rows count, all if None.

    Raises ShapeError where targets do not fit the outputs, InputError for a class outside [0, K).
    """
    compute = lookup("loss", name, LOSSES)
    check_targets(name, outputs.shape, targets)
    rows = len(outputs)
    counts = np.ones(rows, np.bool_) if counts is None else np.ascontiguousarray(counts)
    d_outputs = np.empty_like(outputs, order="C")
    loss = compute(np.ascontiguousarray(outputs), np.ascontiguousarray(targets), counts, d_outputs)
    return float(loss), d_outputs


def check_targets(name: str, shape: tuple[int, ...], targets: np.ndarray) -> None:
    """Raise ShapeError where targets do not fit outputs of a shape (N, K), InputError for a class outside [0, K)."""
    rows, size = shape
    expected = (rows, size) if name == "mse" else (rows,)
    if targets.shape != expected:
        raise ShapeError(f"targets have shape {targets.shape}; expected {expected} for outputs {shape}")
    if name == "cross_entropy" and rows and (targets.min() < 0 or targets.max() >= size):
        raise InputError(
            f"targets lie in [{targets.min()}, {targets.max()}]; expected classes in [0, {size}), the outputs' width"
        )
