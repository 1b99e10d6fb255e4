"""The metrics that tasks share: float64 means over all answers that count. Outputs with a NaN score NaN."""

from __future__ import annotations

import numpy as np

from rnnbench.errors import ShapeError


def mean_squared_error(outputs: np.ndarray, targets: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the mean of (outputs - targets)²; both (..., K), mask (...) or None for everything."""
    expect_shape(outputs, targets.shape)
    return _mean((outputs.astype(np.float64) - targets) ** 2, mask)


def accuracy(outputs: np.ndarray, targets: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the fraction of answers whose largest output is the target; outputs (..., K), targets (...)."""
    expect_shape(outputs, (*targets.shape, outputs.shape[-1]))
    if np.isnan(outputs).any():  # argmax would name the first NaN the winner, and score like a guess
        return float("nan")
    return _mean(outputs.argmax(axis=-1) == targets, mask)


def exact_match(outputs: np.ndarray, targets: np.ndarray, mask: np.ndarray) -> float:
    """Return the fraction of sequences whose counted answers are all right; outputs (T, B, K), targets, mask (T, B)."""
    expect_shape(outputs, (*targets.shape, outputs.shape[-1]))
    if np.isnan(outputs).any():
        return float("nan")
    return float(np.mean(((outputs.argmax(axis=-1) == targets) | ~mask).all(axis=0)))


def cross_entropy(outputs: np.ndarray, targets: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the mean of -ln softmax(outputs)[target] in nats; outputs (..., K), targets (...) classes."""
    expect_shape(outputs, (*targets.shape, outputs.shape[-1]))
    shifted = outputs.astype(np.float64) - outputs.max(axis=-1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=-1))
    return _mean(log_total - np.take_along_axis(shifted, targets[..., None], axis=-1)[..., 0], mask)


def share_within(outputs: np.ndarray, targets: np.ndarray, tolerance: float) -> float:
    """Return the fraction of answers with |outputs - targets| < tolerance; both (..., K)."""
    expect_shape(outputs, targets.shape)
    if np.isnan(outputs).any():
        return float("nan")
    return float(np.mean(np.abs(outputs.astype(np.float64) - targets) < tolerance))


def whole_strings(outputs: np.ndarray, targets: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the fraction of sequences whose outputs are above 1/2 where targets (T, B, K) are 1 and nowhere else."""
    expect_shape(outputs, targets.shape)
    if np.isnan(outputs).any():
        return float("nan")
    right = ((outputs > 0.5) == (targets > 0.5)).all(axis=2)
    return float(np.mean((right if mask is None else right | ~mask).all(axis=0)))


def expect_shape(outputs: np.ndarray, expected: tuple[int, ...]) -> None:
    """Raise ShapeError, with both shapes, unless outputs have the expected one."""
    if outputs.shape != expected:  # broadcasting (B,) against (B, 1) would score B² pairs in silence
        raise ShapeError(f"outputs {outputs.shape}, expected {expected}")


def _mean(values: np.ndarray, mask: np.ndarray | None) -> float:
    return float(np.mean(values if mask is None else values[mask]))
