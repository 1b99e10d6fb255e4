"""Limits of simulated GPUs under which a layer runs in the way that a test wants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.plan import Plan, plan_for
from rnnbench.cells.base import Cell

PATHS = ("independent", "persistent", "stepwise")


def limits_for(
    path: str,
    cell: Cell,
    hidden: int,
    batch: int,
    dtype: np.dtype,
    multiprocessors: int = 6,
    threads: int = 256,
    wanted: Callable[[Plan], bool] = lambda plan: True,
) -> Limits:
    """Return the limits with the largest shared memory, of those tried, under which a layer runs in the wanted way."""
    for shared_bytes in np.geomspace(64 << 10, 64, 120):
        limits = Limits("simulated", (9, 0), multiprocessors, int(shared_bytes), 1 << 20, threads)
        plan = plan_for(cell, hidden, batch, dtype, limits)
        if plan.path == path and wanted(plan) and (path != "persistent" or not plan.backward.alone):
            return limits
    raise AssertionError(f"{cell.name} with H={hidden}, B={batch} never runs {path} as wanted")
