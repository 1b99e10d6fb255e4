"""The statistics of a comparison against simulated runs, whose truth is known.

Rates are counted over independent simulations: a bound is broken where a count would have a chance below 1 in 1000 if
the rate were as stated.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rnnbench.regressions import statistics
from rnnbench.regressions.statistics import CANNOT_TELL, FASTER, SAME, SLOWER, Effect, effect, judge

NOISE = 0.02
BETWEEN_PROCESSES = 0.03
CHANCE = 1e-3
POINTS = 10


def measured(rng: np.random.Generator, processes: int, samples: int, factor: float = 1.0) -> list[np.ndarray]:
    """Return times as a busy machine gives them: a process has its own speed, and some samples meet a neighbour."""
    times = []
    for _ in range(processes):
        own = BETWEEN_PROCESSES * rng.standard_normal() if processes > 1 else 0.0
        neighbour = np.where(rng.random(samples) < 0.1, rng.exponential(0.2, samples), 0.0)
        times.append(1e-3 * factor * np.exp(own + NOISE * rng.standard_normal(samples) + neighbour))
    return times


def experiments(seed: int, count: int, processes: int, samples: int, slower: int = 0) -> list[pd.DataFrame]:
    """Return the effects of experiments of ten points, of which the first few truly take 15 % longer."""
    rng = np.random.default_rng(seed)
    factors = [1.15] * slower + [1.0] * (POINTS - slower)
    return [
        pd.DataFrame([effect(measured(rng, processes, samples), measured(rng, processes, samples, f)) for f in factors])
        for _ in range(count)
    ]


@pytest.fixture(scope="module", params=[(1, 7, 200), (3, 5, 100)], ids=["one process", "three processes"])
def nothing_changed(request: pytest.FixtureRequest) -> list[pd.DataFrame]:
    processes, samples, count = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "RESAMPLES", 200)  # a coarser interval covers no more than a fine one
        return experiments(seed=1, count=count, processes=processes, samples=samples)


def test_where_nothing_changed_at_most_one_comparison_in_twenty_raises_an_alarm(
    nothing_changed: list[pd.DataFrame],
) -> None:
    verdicts = [judge(effects, threshold=0.0)["verdict"] for effects in nothing_changed]
    alarms = sum(bool(verdict.isin([SLOWER, FASTER]).any()) for verdict in verdicts)
    assert stats.binom.sf(alarms - 1, len(verdicts), statistics.FALSE_DISCOVERY_RATE) > CHANCE, alarms


def test_intervals_cover_the_truth_in_95_of_100_points(nothing_changed: list[pd.DataFrame]) -> None:
    effects = pd.concat(nothing_changed)
    covered = int(((effects["ratio_low"] <= 1.0) & (effects["ratio_high"] >= 1.0)).sum())
    # With a handful of samples a median has few places to be at: the truth may lie within more often, up to 99.5 %.
    assert stats.binom.cdf(covered, len(effects), 0.95) > CHANCE, covered / len(effects)
    assert stats.binom.sf(covered - 1, len(effects), 0.995) > CHANCE, covered / len(effects)


@pytest.mark.parametrize("quiet", [False, True], ids=["both runs vary", "one run varies"])
@pytest.mark.parametrize("samples", [(4, 4), (7, 7), (11, 11), (3, 11)], ids=str)
def test_the_interval_of_one_process_holds_the_truth_however_few_its_samples(
    samples: tuple[int, int], quiet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 200)
    rng, count, hits = np.random.default_rng(7), 300, 0
    for _ in range(count):
        a = np.exp(rng.normal(0, 0.0 if quiet else 0.1, samples[0]))
        found = effect([a], [1.3 * np.exp(rng.normal(0, 0.1, samples[1]))])
        hits += found.ratio_low <= 1.3 <= found.ratio_high
    assert stats.binom.cdf(hits, count, 0.95) > CHANCE, hits / count
    assert stats.binom.sf(hits - 1, count, 0.995) > CHANCE, hits / count


def test_a_single_sample_has_no_interval() -> None:
    found = effect([np.ones(1)], [np.linspace(1.0, 2.0, 40)])
    assert math.isnan(found.ratio_low)
    assert math.isnan(found.ratio_high)


def test_nine_of_ten_slower_points_are_found_and_few_others() -> None:
    slower, count = 3, 40
    found = false = 0
    for effects in experiments(seed=2, count=count, processes=1, samples=11, slower=slower):
        told = judge(effects, threshold=0.0)["verdict"].isin([SLOWER, FASTER])
        found += int(told[:slower].sum())
        false += int(told[slower:].sum())
    assert found >= 0.9 * slower * count
    assert stats.binom.sf(false - 1, found + false, statistics.FALSE_DISCOVERY_RATE) > CHANCE, (false, found)


def test_processes_that_differ_are_no_difference_between_runs() -> None:
    """Samples of one slow process are one slow process, however many they are."""
    rng = np.random.default_rng(3)
    a, b = (measured(rng, processes=3, samples=200) for _ in range(2))
    pooled = effect([np.concatenate(a)], [np.concatenate(b)])
    apart = effect(a, b)
    assert pooled.p_value < 1e-3 < 0.05 < apart.p_value
    assert apart.ratio_high - apart.ratio_low > 5 * (pooled.ratio_high - pooled.ratio_low)


def test_the_ratio_is_that_of_the_medians_and_of_their_geometric_means() -> None:
    one = effect([np.array([1.0, 2.0, 9.0, 1.5, 3.0])], [np.array([4.0, 4.1, 3.9, 4.2, 40.0])])
    assert (one.time_a_s, one.time_b_s, one.ratio) == pytest.approx((2.0, 4.1, 2.05))
    two = effect([np.full(3, 1.0), np.full(3, 4.0)], [np.full(5, 8.0), np.full(5, 2.0)])
    assert (two.time_a_s, two.time_b_s, two.ratio) == pytest.approx((2.0, 4.0, 2.0))


def test_the_rank_test_counts_arrangements() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.random(6), rng.random(5)
    expected = stats.permutation_test(
        (a, b),
        lambda x, y: stats.rankdata([*x, *y])[: len(x)].sum(),
        n_resamples=np.inf,
        permutation_type="independent",
    ).pvalue
    found = effect([a], [b])
    assert found.p_value == pytest.approx(expected)
    assert found.smallest_p_value == 2 / math.comb(11, 5)
    assert effect([a], [b + 1]).p_value == pytest.approx(found.smallest_p_value)


@pytest.mark.parametrize("processes", [1, 3])
def test_a_run_and_itself_are_the_same(processes: int) -> None:
    samples = measured(np.random.default_rng(5), processes, 7)
    found = effect(samples, samples)
    assert (found.ratio, found.p_value) == (1.0, 1.0)
    assert found.ratio_low <= 1.0 <= found.ratio_high
    constant = [np.ones(7)] * processes
    assert effect(constant, constant)[2:6] == (1.0, 1.0, 1.0, 1.0)


def test_the_same_samples_give_the_same_interval() -> None:
    rng = np.random.default_rng(6)
    a, b = measured(rng, 1, 7), measured(rng, 1, 7)
    assert effect(a, b) == effect(a, b)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_time_that_is_none_gives_no_ratio(bad: float) -> None:
    found = effect([np.array([1.0, 2.0, bad])], [np.array([1.0, 2.0, 3.0])])
    assert math.isnan(found.ratio)
    verdict = judge(pd.DataFrame([found]), threshold=0.03).iloc[0]
    assert (verdict["verdict"], verdict["reason"]) == (CANNOT_TELL, "a time is not positive")


def effects(*rows: tuple[float, float, float, float, float]) -> pd.DataFrame:
    """Return effects of given ratio, interval, p-value and smallest p-value."""
    return pd.DataFrame([Effect(1.0, ratio, ratio, low, high, p, least) for ratio, low, high, p, least in rows])


@pytest.mark.parametrize(
    ("row", "verdict", "reason"),
    [
        ((1.10, 1.08, 1.12, 1e-4, 1e-4), SLOWER, ""),
        ((0.90, 0.88, 0.92, 1e-4, 1e-4), FASTER, ""),
        ((1.02, 1.01, 1.025, 1e-4, 1e-4), SAME, ""),
        ((0.98, 0.975, 0.99, 1e-4, 1e-4), SAME, ""),
        ((1.02, 1.01, 1.035, 1e-4, 1e-4), CANNOT_TELL, "interval beyond ±3 %"),
        ((1.10, 0.95, 1.25, 0.2, 1e-4), CANNOT_TELL, "interval beyond ±3 %"),
        ((1.00, 0.99, 1.01, 0.8, 1e-4), SAME, ""),
        ((1.50, 1.40, 1.60, 0.057, 0.057), CANNOT_TELL, "too few samples"),
        ((1.00, math.nan, math.nan, 1.0, 0.1), CANNOT_TELL, "too few samples"),
    ],
)
def test_each_verdict_has_its_rule(row: tuple, verdict: str, reason: str) -> None:
    found = judge(effects(row), threshold=0.03).iloc[0]
    assert (found["verdict"], found["reason"]) == (verdict, reason)


def test_a_machine_that_got_faster_hides_no_change() -> None:
    """Times are the same on a machine that takes 0.8 times as long for its own work: a regression, or none."""
    effects = pd.DataFrame([Effect(1.0, 1.0, 1.0, 0.99, 1.01, 0.9, 1e-6)] * 3)
    found = judge(effects, 0.03, pd.Series([0.8, 1.0, np.nan]))
    assert list(found["verdict"]) == [CANNOT_TELL, SAME, SAME]
    assert found["reason"][0] == "the machine changed"


def test_a_change_among_many_points_needs_more_samples_than_one_alone() -> None:
    changed, same = (1.5, 1.4, 1.6, 0.008, 0.008), (1.0, 0.9, 1.1, 0.9, 0.008)
    alone = judge(effects(changed), 0.03)
    among = judge(effects(changed, *[same] * 30), 0.03)
    assert alone["verdict"].tolist() == [SLOWER]
    assert set(among["verdict"]) == {CANNOT_TELL}
    assert among["q_value"].iloc[0] == pytest.approx(31 * 0.008)
    assert set(among["reason"]) == {"too few samples"}
    all_changed = judge(effects(*[changed] * 31), 0.03)
    assert set(all_changed["verdict"]) == {SLOWER}


def test_q_values_are_benjamini_and_hochberg_s() -> None:
    p_values = [0.041, 0.001, 0.039, 0.008, 0.6]
    found = judge(effects(*[(1.1, 1.0, 1.2, p, 1e-6) for p in p_values]), 0.03)["q_value"]
    ranked = np.sort(p_values) * 5 / np.arange(1, 6)
    expected = np.minimum.accumulate(ranked[::-1])[::-1][stats.rankdata(p_values).astype(int) - 1]
    np.testing.assert_allclose(found, expected)
