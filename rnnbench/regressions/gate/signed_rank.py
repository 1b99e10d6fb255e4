"""Wilcoxon's signed rank test of paired differences: exact for any noise that is as often up as down.

Of two builds that are equally fast, timed in turn, neither is favoured: log(time B / time A) of a round is symmetric
about 0 whatever the noise is, drifts and bursts included. Then each round's sign is a fair coin, independent of ranks,
and the distribution of the rank sum is known without any assumption on the noise (Wilcoxon 1945; Lehmann 1975,
"Nonparametrics", section 3.2). No mean and no variance is estimated, so that no outlier can mislead.
"""

from __future__ import annotations

import functools

import numpy as np


def p_above(differences: np.ndarray, bound: float) -> float:
    """Return the probability of differences that speak as much for a centre above the bound, were it at most there.

    `differences` (R,), one a round. Ties, which a clock of finite resolution can bring, are ranked against the claim,
    and a difference equal to the bound counts against it: the p-value is exact, or too large.
    """
    shifted = np.asarray(differences, dtype=float) - bound
    rounds = len(shifted)
    if not rounds:
        return 1.0
    positive = shifted > 0
    order = np.lexsort((~positive, np.abs(shifted)))  # of equal sizes, what speaks for the claim gets the lower rank
    rank_sum = int(np.flatnonzero(positive[order]).sum() + positive.sum())
    return float(upper_tail(rounds)[rank_sum])


def p_below(differences: np.ndarray, bound: float) -> float:
    """Return the same for a centre below the bound."""
    return p_above(-np.asarray(differences, dtype=float), -bound)


@functools.cache
def upper_tail(rounds: int) -> np.ndarray:
    """Return P(W >= w), w = 0 .. R(R+1)/2, where W is the sum of those of the ranks 1 .. R whose coin shows heads."""
    distribution = np.ones(1)
    for rank in range(1, rounds + 1):
        heads = np.concatenate([np.zeros(rank), distribution])
        tails = np.concatenate([distribution, np.zeros(rank)])
        distribution = (heads + tails) / 2
    tail = np.minimum(1.0, np.cumsum(distribution[::-1])[::-1])
    tail.flags.writeable = False
    return tail


def centre(differences: np.ndarray) -> float:
    """Return the Hodges-Lehmann estimate that belongs to the test: the median of the means of all pairs."""
    return float(np.median(_pair_means(differences)))


def interval(differences: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return all centres that neither one-sided test refuses at (1 - confidence) / 2; infinite with too few rounds.

    The test counts, of the R(R+1)/2 means of pairs (a value with itself included), those above the bound: the ends of
    the interval are the k-th means from below and from above (Lehmann 1975, section 4.5).
    """
    means = np.sort(_pair_means(differences))
    tail = upper_tail(len(differences))
    refused = np.flatnonzero(tail <= (1 - confidence) / 2)
    if not len(refused):
        return -np.inf, np.inf
    allowed = len(means) - int(refused[0])  # so many means may lie beyond an end before the test refuses it
    return float(means[allowed]), float(means[len(means) - 1 - allowed])


def _pair_means(differences: np.ndarray) -> np.ndarray:
    values = np.asarray(differences, dtype=float)
    first, second = np.triu_indices(len(values))
    return (values[first] + values[second]) / 2
