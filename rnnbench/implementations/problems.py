"""The numbers of a workload, drawn once and sent to every process, so that all compute the same thing."""

from __future__ import annotations

import numpy as np

from rnnbench import cells, tasks
from rnnbench.backends.base import Arrays
from rnnbench.implementations.base import Workload
from rnnbench.initialization import initialize
from rnnbench.interchange.biases import unfolded

TASK = "adding"
"""What a training step is taken on."""
BATCHES = 8
"""Batches that training steps take in turn, drawn beforehand: drawing them is not timed."""
LEARNING_RATE, CLIP_NORM = 1e-3, 1.0


def draw(workload: Workload, rng: np.random.Generator) -> Arrays:
    """Return weights and inputs by name, in rnnbench's layouts and gate order.

    All have W_xh, W_hh, b_h (and b_hn where the cell has one), of U(-1/sqrt(H), 1/sqrt(H)): with weights that shrink
    what they carry, rounding differs between libraries, and stays small. Besides these,

    forward, forward_backward    x (T, B, I) and d_h (T, B, H), normal
    training_step                W_hy (H, 1), b_y (1,), inputs (N, T, B, I) and targets (N, B, 1) of the adding task
    """
    cell = cells.get(workload.cell)
    arrays = initialize(cell, workload.features, workload.hidden, rng, "uniform", gate_bias=0.0)
    if workload.direction == "training_step":
        limit = workload.hidden**-0.5
        arrays |= {"W_hy": rng.uniform(-limit, limit, (workload.hidden, 1)), "b_y": rng.uniform(-limit, limit, 1)}
        task = tasks.get(TASK)(workload.length)
        batches = [task.sample(rng, workload.batch) for _ in range(BATCHES)]
        arrays["inputs"] = np.stack([batch.inputs for batch in batches])
        arrays["targets"] = np.stack([batch.targets for batch in batches])
    else:
        shape = workload.length, workload.batch
        arrays["x"] = rng.standard_normal((*shape, workload.features))
        arrays["d_h"] = rng.standard_normal((*shape, workload.hidden))
    return {name: np.ascontiguousarray(value, workload.dtype) for name, value in arrays.items()}


def largest_difference(ours: Arrays, theirs: Arrays) -> tuple[float, str]:
    """Return the largest max|a - b| / max|b| over all arrays, and the name of the array that has it.

    NaN on either side is a difference of infinity. KeyError or ValueError where names or shapes differ.
    """
    found = {name: _difference(ours[name], theirs[name]) for name in ours.keys() | theirs.keys()}
    worst = max(found, key=lambda name: found[name])
    return found[worst], worst


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape} of the same output")
    difference = float(np.abs(a - b).max() / max(np.abs(b).max(), np.finfo(b.dtype).tiny))
    return difference if np.isfinite(difference) else float("inf")


def two_biases(cell: str, params: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Return the biases of the input's and of the recurrent product, (G*H,) each, for libraries that have both.

    All is in the first, but for gates whose two products are not added: their recurrent bias is in the second.
    """
    return unfolded(cells.get(cell), params)
