"""How much faster: a ratio of medians, and what rounds it would have been over other rounds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95


class Ratio(NamedTuple):
    """A ratio with its interval."""

    value: float
    low: float
    high: float


def ratio_interval(times: np.ndarray, peer_times: np.ndarray, rng: np.random.Generator) -> Ratio:
    """Return median(peer_times) / median(times) with its 95 % bootstrap interval (percentiles).

    Both were taken in the same rounds, (N,) each, and rounds are drawn again as a whole: what slowed both sides of a
    round down is in both medians.
    """
    rounds = rng.integers(0, len(times), (RESAMPLES, len(times)))
    ratios = np.median(peer_times[rounds], axis=1) / np.median(times[rounds], axis=1)
    low, high = np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Ratio(float(np.median(peer_times) / np.median(times)), float(low), float(high))
