"""The adding problem as it was first posed, with sequences of different lengths."""

from __future__ import annotations

import numpy as np

from rnnbench.tasks._marked_numbers import MarkedNumbers
from rnnbench.tasks.base import Baseline


class Adding1997(MarkedNumbers):
    """Sum the two marked numbers of a sequence of random ones: the original adding problem.

    Encoding: inputs (T + T // 10, B, 2); each sequence has from T to T + T // 10 steps. Feature 0 is drawn from
    U(-1, 1); feature 1 is 1 at two steps, the first in [1, 10), the other in [1, T // 2) without the first, -1 at the
    first and the last step, and 0 elsewhere. The source can mark the first step too, and then counts its number as
    0; here it is never marked, so that the baseline is exact.
    Target: after the last step, 0.5 + (X1 + X2) / 4, (B, 1).
    Loss: mean squared error.
    Baseline: always answering the mean, 1/2, costs the variance 2 · 1/3 / 16 = 1/24, and is within 0.04 of
    0.16 - 0.16² / 4 = 15.36 % of the targets.
    Solved: an absolute error below 0.04 on all of 2,000 fresh sequences. The source's other condition, a mean
    training error below 0.01, follows for squared errors.
    Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", experiment 4. Compare `adding`, the version of
    Arjovsky et al. 2016.
    """

    name = "adding_1997"
    solved_threshold = 1.0
    lowest = -1.0
    answer = 0.5
    baseline = Baseline(name="always answer the mean, 1/2", value=0.16 - 0.16**2 / 4, loss=1 / 24)

    def combine(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return 0.5 + (X1 + X2) / 4."""
        return np.float32(0.5) + (first + second) / np.float32(4)
