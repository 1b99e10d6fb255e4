"""What tasks on formal languages have in common: at every step, say which symbols may follow."""

from __future__ import annotations

import numpy as np

from rnnbench.tasks._metrics import whole_strings
from rnnbench.tasks.base import Batch, Task


class NextSymbols(Task):
    """Read a string and answer at every step with the set of symbols that may come next.

    Targets are (T, B, K) numbers, 1 for a symbol that may follow and 0 for one that may not; an output above 1/2 says
    that it may. Which symbol does follow is chance and cannot be learned; the set can.
    """

    wiring = "many-to-many"
    loss = "mse"
    metric = "whole strings right"
    metric_unit = "fraction correct"
    higher_is_better = True

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the fraction of strings whose sets are all right; outputs (T, B, K)."""
        return whole_strings(outputs, batch.targets, batch.mask)
