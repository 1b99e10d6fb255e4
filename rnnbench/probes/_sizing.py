"""How many units give a network a number of parameters: what equal-parameter comparisons take."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache

import numpy as np

from rnnbench import tasks
from rnnbench.errors import InputError
from rnnbench.network import Architecture
from rnnbench.training import make_network

LARGEST = 2048


@cache
def hidden_size(parameters: int, task: str, length: int, cell: str, layers: int, bidirectional: bool) -> int:
    """Return the H whose network has the number of parameters, readout included, that is nearest to the one asked for.

    InputError where it would take more than 2,048 units.
    """
    problem = tasks.get(task)(length)

    @cache
    def size(hidden: int) -> int:
        architecture = Architecture(cell, hidden, layers, bidirectional, initialization="uniform", backend="reference")
        return make_network(architecture, problem, np.random.default_rng(0)).weights.size

    high = 1
    while size(high) < parameters:
        high *= 2
        if high > LARGEST:
            raise InputError(f"parameters is {parameters}; expected at most {size(LARGEST)}, those of {LARGEST} units")
    above = 1 + bisect_left(range(1, high + 1), parameters, key=size)
    return min(max(1, above - 1), above, key=lambda hidden: abs(size(hidden) - parameters))
