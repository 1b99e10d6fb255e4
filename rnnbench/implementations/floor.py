"""How fast a workload could be on this machine: the least arithmetic and the least reading, at the machine's rates.

    arithmetic    2 G H (H + I) T B, three times as many with backward        at the rate of a large matrix product
    weights       T reads of W_hh, twice as many with backward                at the rate of an array of its size
    memory        every input and every output once                           at the rate of the main memory

The floor is the largest of the three, as if all else ran beside it for nothing. Steps depend on each other, so W_hh is
read anew at each; from whichever cache it fits in. Inputs and outputs that fit into the largest cache are there still
from the call before, and memory then sets no floor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnbench import cells
from rnnbench.implementations.base import Workload
from rnnbench.implementations.machine import Rates

BOUNDS = ("arithmetic", "weights", "memory")


class Demands(NamedTuple):
    """What a workload cannot do without."""

    operations: float
    weights_bytes: float
    """of W_hh"""
    weights_reads: int
    compulsory_bytes: float


def demands(workload: Workload) -> Demands:
    """Return what a workload needs at least."""
    w, itemsize = workload, np.dtype(workload.dtype).itemsize
    cell = cells.get(w.cell)
    gates, backward = len(cell.gates), w.direction != "forward"
    parameters = sum(int(np.prod(shape)) for shape in cell.parameter_shapes(w.features, w.hidden).values())
    once = w.length * w.batch * (w.features + w.hidden) + parameters  # x, h and parameters; then their gradients
    return Demands(
        operations=2.0 * gates * w.hidden * (w.hidden + w.features) * w.length * w.batch * (3 if backward else 1),
        weights_bytes=float(gates * w.hidden**2 * itemsize),
        weights_reads=w.length * (2 if backward else 1),
        compulsory_bytes=float(once * itemsize * (2 if backward else 1)),
    )


def floor(needed: Demands, rates: Rates, cache_bytes: int) -> tuple[float, str]:
    """Return the least seconds, and which of BOUNDS it is that takes them."""
    seconds = {
        "arithmetic": needed.operations / rates.flops,
        "weights": needed.weights_reads * needed.weights_bytes / rates.weights,
        "memory": needed.compulsory_bytes / rates.memory if needed.compulsory_bytes > cache_bytes else 0.0,
    }
    bound = max(BOUNDS, key=lambda name: seconds[name])
    return seconds[bound], bound
