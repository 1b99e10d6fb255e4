"""Is B slower than A? An effect with its interval for one point, and verdicts over all points together.

The effect is the ratio of times, B over A. A time is the median of a process's samples and, where a point was measured
by several processes (its seeds), the geometric mean of their medians.

one process         interval: Student's t with the standard errors of the logarithms of both medians, by the bootstrap
                    p-value: Mann-Whitney, as it is exact for a handful of samples and unmoved by a neighbour's bursts.
                    Differences from process to process cannot be seen here, and count as differences between the runs.
several processes   interval and p-value: Welch's t on the logarithms of the processes' medians. Permuting k processes
                    a side cannot reach 5 % below k = 4, and resampling them covers far less than 95 % at k = 2 or 3.

Sources: Mann & Whitney 1947; Welch 1947; Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 12;
Benjamini & Hochberg 1995; Kalibera & Jones 2013, "Rigorous benchmarking in reasonable time" (processes before samples).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from rnnbench.implementations.statistics import log_medians, standard_error

CONFIDENCE = 0.95
RESAMPLES = 2000
FALSE_DISCOVERY_RATE = 0.05
"""The share of points called faster or slower that may be so by chance."""
EXACT_TEST_SAMPLES = 60
"""Up to so many samples, A's and B's together, the rank test counts arrangements; beyond, the normal curve will do."""

FASTER, SLOWER, SAME, CANNOT_TELL = VERDICTS = ("faster", "slower", "same", "cannot tell")


class Effect(NamedTuple):
    """What one point says of B over A: seconds, their ratio with its interval, and how likely that is by chance."""

    time_a_s: float
    time_b_s: float
    ratio: float
    ratio_low: float
    ratio_high: float
    p_value: float
    smallest_p_value: float
    """What the test could have said at most; above the rate, no change is large enough to be told."""


def effect(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> Effect:
    """Return the effect of one point from the samples of each process, in seconds.

    There is no ratio (NaN, p-value 1) where a time is not positive, and no interval where a run has a single sample or
    the test could not reach 5 % whatever the samples: where no change can be found, nothing is told to be the same.
    """
    if not all(len(samples) and (samples > 0).all() and np.isfinite(samples).all() for samples in (*a, *b)):
        return Effect(math.nan, math.nan, math.nan, math.nan, math.nan, 1.0, 1.0)
    if min(len(a), len(b)) < 2:
        a, b = [np.concatenate(a)], [np.concatenate(b)]
    log_a, log_b = (np.log([np.median(samples) for samples in processes]) for processes in (a, b))
    if len(a) > 1:
        low, high, p_value = _welch(log_a, log_b)
        smallest = 0.0
    else:
        p_value, smallest = _rank_test(a[0], b[0])
        low, high = _interval(a[0], b[0]) if smallest <= FALSE_DISCOVERY_RATE else (math.nan, math.nan)
    middle_a, middle_b = float(log_a.mean()), float(log_b.mean())
    return Effect(
        time_a_s=math.exp(middle_a),
        time_b_s=math.exp(middle_b),
        ratio=math.exp(middle_b - middle_a),
        ratio_low=math.exp(low),
        ratio_high=math.exp(high),
        p_value=p_value,
        smallest_p_value=smallest,
    )


def _welch(log_a: np.ndarray, log_b: np.ndarray) -> tuple[float, float, float]:
    """Return interval and p-value of the difference of means; medians that never differ say so with p-value 1."""
    if np.ptp(log_a) == np.ptp(log_b) == 0:
        difference = float(log_b[0] - log_a[0])
        return difference, difference, float(difference == 0)
    test = stats.ttest_ind(log_b, log_a, equal_var=False)
    interval = test.confidence_interval(CONFIDENCE)
    return float(interval.low), float(interval.high), float(test.pvalue)


def _rank_test(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return the two-sided p-value, and the one of samples that do not overlap at all: the smallest there is."""
    smallest = min(1.0, 2 / math.comb(len(a) + len(b), len(a)))
    together = np.concatenate([a, b])
    distinct = len(np.unique(together))
    if distinct == 1:
        return 1.0, smallest
    exact = distinct == len(together) <= EXACT_TEST_SAMPLES
    p_value = float(stats.mannwhitneyu(b, a, method="exact" if exact else "asymptotic").pvalue)
    return max(p_value, smallest), smallest


def _interval(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return the interval of log(median of b / median of a), NaN for a single sample; the same samples give the same.

    Degrees of freedom are Welch's, as the two runs need not be equally noisy.
    """
    if min(len(a), len(b)) < 2:
        return math.nan, math.nan
    difference = float(np.log(np.median(b) / np.median(a)))
    rng = np.random.default_rng(0)
    errors = [standard_error(log_medians(samples, rng, RESAMPLES), len(samples)) for samples in (a, b)]
    variances = np.square(errors)
    if not variances.any():
        return difference, difference
    freedom = variances.sum() ** 2 / (variances**2 / [len(a) - 1, len(b) - 1]).sum()
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(variances.sum()))
    return difference - half, difference + half


def judge(effects: pd.DataFrame, threshold: float, machine_ratios: pd.Series | None = None) -> pd.DataFrame:
    """Return q-value, verdict and reason of every point (one `Effect` a row); a threshold of 0.03 is 3 %.

    `machine_ratios` says how many times as long the machine's own work took in B, NaN where that is not known.

    faster, slower   false discoveries among all points are held to 5 % (Benjamini-Hochberg: the q-value is at most
                     that), and the ratio is beyond the threshold, 1/1.03 or 1.03, also over that of the machine
    same             the whole interval is within the threshold, and the machine has not changed by more than that,
                     which would hide a change
    cannot tell      everything else; the reason says whether the machine has changed, or whether there were too few
                     samples to find any change
    """
    bound = math.log1p(threshold)
    q_value = stats.false_discovery_control(effects["p_value"]) if len(effects) else np.empty(0)
    found = q_value <= FALSE_DISCOVERY_RATE
    logarithm, low, high = (np.log(effects[name].to_numpy(float)) for name in ("ratio", "ratio_low", "ratio_high"))
    smallest = effects["smallest_p_value"].to_numpy(float)
    machine = np.zeros(len(effects)) if machine_ratios is None else np.log(machine_ratios.fillna(1.0).to_numpy(float))
    changed = found & (np.abs(logarithm) > bound)
    own = np.where(logarithm > 0, logarithm - machine, machine - logarithm) > bound
    hidden = (np.abs(machine) > bound) & (np.abs(logarithm - machine) > bound)
    verdict = np.select(
        [
            changed & own & (logarithm > 0),
            changed & own,
            (low >= -bound) & (high <= bound) & ~hidden,
        ],
        [SLOWER, FASTER, SAME],
        CANNOT_TELL,
    )
    # A point more would have been found at this rate, had its samples been as far apart as samples can be.
    attainable = smallest <= FALSE_DISCOVERY_RATE * (found.sum() + 1) / max(1, len(effects))
    reason = np.select(
        [verdict != CANNOT_TELL, np.isnan(logarithm), changed, hidden, ~attainable],
        ["", "a time is not positive", "the machine changed as much", "the machine changed", "too few samples"],
        f"interval beyond ±{100 * threshold:g} %",
    )
    return pd.DataFrame({"q_value": q_value, "verdict": verdict, "reason": reason}, index=effects.index)


def geometric_mean(ratios: pd.Series) -> float:
    """Return the geometric mean of the ratios that are known; NaN where none is."""
    return float(np.exp(np.log(ratios.dropna()).mean()))
