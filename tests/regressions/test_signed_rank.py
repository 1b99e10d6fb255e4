"""The signed rank test against SciPy's, by enumeration, and against its own interval."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rnnbench.regressions.gate.signed_rank import centre, interval, p_above, p_below, upper_tail

DISTINCT = st.lists(st.integers(-1000, 1000).filter(bool), min_size=1, max_size=30, unique_by=abs)


@given(DISTINCT)
def test_p_values_are_those_of_scipy(values: list[int]) -> None:
    expected = stats.wilcoxon(values, alternative="greater", method="exact").pvalue
    assert p_above(np.array(values), 0.0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rounds", [1, 2, 5, 10])
def test_the_tail_counts_all_ways_the_coins_can_fall(rounds: int) -> None:
    ranks = np.arange(1, rounds + 1)
    sums = np.array([(ranks * coins).sum() for coins in itertools.product([0, 1], repeat=rounds)])
    expected = [(sums >= least).mean() for least in range(ranks.sum() + 1)]
    assert upper_tail(rounds) == pytest.approx(expected, rel=1e-12)
    assert upper_tail(rounds)[-1] == 0.5**rounds


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_with_ties_and_zeros_no_order_of_them_gives_a_larger_p_value(values: list[int]) -> None:
    """All ways to break the ties by less than any difference: the p-value is that of the worst."""
    found = p_above(np.array(values), 0.0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        broken = np.array(values) + 1e-6 * rng.standard_normal(len(values))
        assert p_above(broken, 0.0) <= found * (1 + 1e-12)


@given(DISTINCT, st.integers(-50, 50))
def test_above_and_below_are_mirror_images(values: list[int], bound: int) -> None:
    differences = np.array(values, dtype=float)
    assert p_above(differences, bound) == p_below(-differences, -bound)


@pytest.mark.parametrize(("rounds", "confidence"), [(6, 0.95), (12, 0.95), (30, 0.9), (16, 0.998)])
def test_the_interval_ends_where_the_test_begins_to_refuse(rounds: int, confidence: float) -> None:
    values = np.random.default_rng(rounds).normal(0.1, 1.0, rounds)
    low, high = interval(values, confidence)
    assert low < centre(values) < high
    level, step = (1 - confidence) / 2, 1e-9
    assert p_above(values, low - step) <= level < p_above(values, low + step)
    assert p_below(values, high + step) <= level < p_below(values, high - step)


def test_too_few_rounds_have_no_interval() -> None:
    assert interval(np.array([1.0, 2.0, 3.0]), 0.95) == (-np.inf, np.inf)
    assert p_above(np.array([]), 0.0) == 1.0


def test_an_outlier_moves_the_centre_little() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(0, 0.01, 11), [5.0]])
    assert abs(centre(values)) < 0.01 < values.mean()
