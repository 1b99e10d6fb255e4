from __future__ import annotations

import numpy as np
import pytest

from rnnbench.implementations.statistics import ratio_interval


def test_the_ratio_is_that_of_the_medians() -> None:
    ratio = ratio_interval(np.array([1.0, 2.0, 9.0]), np.array([30.0, 1.0, 3.0]), np.random.default_rng(0))
    assert ratio.value == 1.5
    assert ratio.low <= ratio.value <= ratio.high


def test_rounds_without_spread_have_no_interval() -> None:
    assert ratio_interval(np.full(5, 2.0), np.full(5, 3.0), np.random.default_rng(0)) == pytest.approx((1.5, 1.5, 1.5))


def test_the_interval_of_three_rounds_is_known() -> None:
    """The median of three draws from {1, 2, 4} is 1 or 4 with probability 7/27 each: its logarithm's variance."""
    ratio = ratio_interval(np.ones(3), np.array([1.0, 2.0, 4.0]), np.random.default_rng(0))
    half = 4.3027 * np.sqrt(14 / 27) * np.log(2) * np.sqrt(3 / 2)
    assert ratio == pytest.approx((2.0, 2.0 * np.exp(-half), 2.0 * np.exp(half)), rel=0.02 * half)


def test_what_slows_a_round_down_slows_both_sides() -> None:
    rng = np.random.default_rng(1)
    load = np.exp(rng.normal(0, 0.5, 11))
    together = ratio_interval(load, 2 * load, np.random.default_rng(0))
    apart = ratio_interval(load, 2 * rng.permutation(load), np.random.default_rng(0))
    assert together == pytest.approx((2, 2, 2))
    assert apart.high - apart.low > 0.3


@pytest.mark.parametrize("quiet", [False, True], ids=["both sides vary", "one side varies"])
@pytest.mark.parametrize("rounds", [3, 5, 7, 11])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(rounds: int, quiet: bool) -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        times = np.exp(rng.normal(0, 0.0 if quiet else 0.1, rounds))
        ratio = ratio_interval(times, 1.3 * np.exp(rng.normal(0, 0.1, rounds)), rng)
        hits += ratio.low <= 1.3 <= ratio.high
    assert 0.92 <= hits / 400 <= 0.99


def test_the_same_seed_gives_the_same_interval() -> None:
    times, peer_times = np.random.default_rng(3).uniform(1, 2, (2, 11))
    assert ratio_interval(times, peer_times, np.random.default_rng(4)) == ratio_interval(
        times, peer_times, np.random.default_rng(4)
    )
