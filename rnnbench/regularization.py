"""Pascanu's regulariser, which asks of every step back that it keep the norm of the gradient.

    Omega = mean over sequences of  sum over t = 2 ... T of (||d_t W_hh^T f'(z_{t-1})|| / ||d_t|| - 1)^2

with d_t = dL/dz_t (B, H) and f' the slope of the nonlinearity, for a recurrent network h_t = f(z_t). As in the source,
the gradient by W_hh (H, H) is the immediate one: d_t and f' count as constants. With r_t the ratio and
q_t = d_t W_hh^T f'(z_{t-1}), dOmega/dW_hh is the mean over sequences of the sum of

    2 (r_t - 1) / (||q_t|| ||d_t||)  (q_t f'(z_{t-1}))^T d_t

Source: Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent neural networks", eq. 9-11.
"""

from __future__ import annotations

import numpy as np

from rnnbench.backends.base import Arrays
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError
from rnnbench.layer import StackTrace


def check_applies(cell: Cell, directions: int) -> None:
    """Raise InputError for a network that the regulariser is not defined for."""
    if len(cell.gates) != 1 or len(cell.states) != 1 or directions != 1:
        where = "in both directions" if directions > 1 else f"with {len(cell.gates)} gates"
        raise InputError(f"regularization of a {cell.name} {where}; expected one gate, one state and one direction")


def add_penalty(weight: float, trace: StackTrace, deltas: np.ndarray, gradients: Arrays) -> float:
    """Add weight dOmega/dW_hh of every layer to `gradients`; return Omega. `deltas` are dL/dh_t (L, T, B, H)."""
    total = 0.0
    for level, (each, delta) in enumerate(zip(trace.traces, deltas, strict=True)):
        before = np.concatenate([np.zeros_like(each.h[:1]), each.h[:-1]])
        slope = _slope(each.cell, each.h, before)
        d_z = np.asarray(delta, np.float64) * slope
        if trace.lengths is not None:
            d_z[np.arange(len(d_z))[:, None] >= trace.lengths] = 0
        omega, d_weights = penalty(np.asarray(each.params["W_hh"], np.float64), d_z[1:], slope[:-1])
        gradients[f"layer{level}.W_hh"] += (weight * d_weights).astype(gradients[f"layer{level}.W_hh"].dtype)
        total += omega
    return total


def penalty(w_hh: np.ndarray, d_z: np.ndarray, slope: np.ndarray) -> tuple[float, np.ndarray]:
    """Return Omega and its immediate gradient by W_hh (H, H), given d_t of steps 2 ... T and f' of 1 ... T-1."""
    _, sequences, hidden = d_z.shape
    q = (d_z.reshape(-1, hidden) @ w_hh.T).reshape(d_z.shape) * slope
    norms, pulled = np.linalg.norm(d_z, axis=2), np.linalg.norm(q, axis=2)
    counts = (norms > 0) & (pulled > 0)
    ratio = np.divide(pulled, norms, out=np.ones_like(norms), where=counts)
    factor = np.divide(2 * (ratio - 1), pulled * norms, out=np.zeros_like(norms), where=counts)
    left = (factor[:, :, None] * q * slope).reshape(-1, hidden)
    return float(np.square(ratio - 1).sum() / sequences), left.T @ d_z.reshape(-1, hidden) / sequences


def _slope(cell: Cell, h: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return f'(z_t) (T, B, H) in float64: what the cell makes of dL/dh = 1."""
    h, before = np.asarray(h, np.float64), np.asarray(before, np.float64)
    (slope,), _ = cell.backward_element((np.ones_like(h),), (h,), (before,), ())
    return slope
