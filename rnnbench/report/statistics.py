"""Statistics of a handful of seeds."""

from __future__ import annotations

import numpy as np
from scipy import stats

LEVEL = 0.95


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Return Student's 95 % interval of the mean; NaN for fewer than two values.

    Values are those of training seeds, most often on one and the same held-out set: the interval is about other seeds,
    and does not cover that other data might have been held out.
    """
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return np.nan, np.nan
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    low, high = stats.t.interval(LEVEL, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
    return float(low), float(high)
