"""The gate's promises, by simulation: false alarms, misses and power, for noise of every kind."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from rnnbench.errors import InputError
from rnnbench.regressions.gate.sequential import LOOKS, NOT_SLOWER, Plan, State, detectable
from rnnbench.regressions.gate.signed_rank import upper_tail
from rnnbench.regressions.statistics import CANNOT_TELL, FASTER, SAME, SLOWER

Noise = Callable[[np.random.Generator, int, int], np.ndarray]
"""Draw log ratios (rounds, benchmarks) of equal builds."""


def normal(rng: np.random.Generator, rounds: int, benchmarks: int) -> np.ndarray:
    return 0.02 * rng.standard_normal((rounds, benchmarks))


def bursts(rng: np.random.Generator, rounds: int, benchmarks: int) -> np.ndarray:
    """Either side of a round is up to half as long again, now and then, in all benchmarks."""
    sides = rng.exponential(0.1, (2, rounds, 1)) * (rng.random((2, rounds, 1)) < 0.3)
    return sides[0] - sides[1] + 0.01 * rng.standard_normal((rounds, benchmarks))


def heavy_tails(rng: np.random.Generator, rounds: int, benchmarks: int) -> np.ndarray:
    return 0.03 * rng.standard_cauchy((rounds, benchmarks))


def two_modes(rng: np.random.Generator, rounds: int, benchmarks: int) -> np.ndarray:
    """Each process has one of two layouts, 4 % apart, which an estimate of variance from few rounds would miss."""
    layouts = rng.integers(0, 2, (2, rounds, benchmarks))
    return 0.04 * (layouts[0] - layouts[1]) + 0.0005 * rng.standard_normal((rounds, benchmarks))


def growing(rng: np.random.Generator, rounds: int, benchmarks: int) -> np.ndarray:
    """Noise that grows from round to round: nothing is asked of it but symmetry."""
    return 0.005 * (1 + np.arange(rounds))[:, None] * rng.standard_normal((rounds, benchmarks))


NOISES = [normal, bursts, heavy_tails, two_modes, growing]


def simulate(plan: Plan, noise: np.ndarray, shifts: np.ndarray) -> dict[str, str]:
    """Run one gate on log ratios (rounds, benchmarks); a decided benchmark is measured no more."""
    state, values = State(plan), noise + shifts
    names = [str(number) for number in range(plan.benchmarks)]
    for rounds in plan.looks:
        state.look(rounds, {name: values[:rounds, int(name)] for name in names if name not in state.verdicts})
    return {name: state.verdict(name) for name in names}


def rate_above(count: int, gates: int) -> float:
    """Return the rate that so many events exclude with 99.9 %, from below: what a true rate has to exceed."""
    return float(stats.beta.ppf(0.001, count, gates - count + 1)) if count else 0.0


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("benchmarks", [1, 12])
def test_false_alarms_of_all_benchmarks_together_stay_within_their_rate(noise: Noise, benchmarks: int) -> None:
    """At the edge of the tolerance, where they are likeliest; one in 100 gates is promised."""
    plan, gates = Plan(benchmarks), 400
    rng = np.random.default_rng(benchmarks)
    shifts = np.full(benchmarks, plan.tolerance)
    alarms = sum(SLOWER in simulate(plan, noise(rng, LOOKS[-1], benchmarks), shifts).values() for _ in range(gates))
    assert rate_above(alarms, gates) <= plan.false_alarm_rate


@pytest.mark.parametrize("noise", NOISES)
def test_equal_builds_give_no_alarm_in_hundreds_of_gates(noise: Noise) -> None:
    plan, rng = Plan(6), np.random.default_rng(0)
    verdicts = [simulate(plan, noise(rng, LOOKS[-1], 6), np.zeros(6)) for _ in range(300)]
    assert not any(SLOWER in each.values() for each in verdicts)


@pytest.mark.parametrize("noise", NOISES)
def test_a_slowdown_of_the_threshold_passes_within_the_rate_of_misses(noise: Noise) -> None:
    plan, gates, rng = Plan(2), 400, np.random.default_rng(1)
    shifts = np.array([plan.bound, 0.0])
    missed = sum(
        simulate(plan, noise(rng, LOOKS[-1], 2), shifts)["0"] in (SAME, FASTER, NOT_SLOWER) for _ in range(gates)
    )
    assert rate_above(missed, gates) <= plan.miss_rate


@pytest.mark.parametrize("noise", [normal, two_modes, bursts])
def test_ten_per_cent_is_caught_every_time_beside_benchmarks_that_are_the_same(noise: Noise) -> None:
    plan, rng = Plan(18), np.random.default_rng(2)
    shifts = np.where(np.arange(18) == 0, math.log(1.1), 0.0)
    for _ in range(100):
        verdicts = simulate(plan, noise(rng, LOOKS[-1], 18), shifts)
        assert verdicts.pop("0") == SLOWER
        assert SLOWER not in verdicts.values()


@pytest.mark.parametrize("scale", [0.02, 0.05])
@pytest.mark.parametrize("rounds", [16, 36])
def test_what_is_said_to_be_detectable_is_detected_nine_times_in_ten(scale: float, rounds: int) -> None:
    plan, rng = Plan(6, looks=tuple(look for look in LOOKS if look <= rounds)), np.random.default_rng(3)
    shifts = np.where(np.arange(6) == 0, math.log1p(detectable(plan, scale, rounds)), 0.0)
    gates = 300
    caught = sum(simulate(plan, scale * rng.standard_normal((rounds, 6)), shifts)["0"] == SLOWER for _ in range(gates))
    assert stats.binomtest(caught, gates, 0.9, alternative="less").pvalue > 0.01


def test_less_can_be_detected_with_less_noise_and_more_rounds_but_never_less_than_the_threshold() -> None:
    plan = Plan(6)
    found = [[detectable(plan, noise, rounds) for rounds in (16, 36, 80)] for noise in (0.05, 0.1, 0.2)]
    assert (np.diff(found, axis=0) > 0).all()
    assert (np.diff(found, axis=1) < 0).all()
    assert detectable(plan, 0.001, 80) == plan.threshold
    assert math.isinf(detectable(plan, 0.01, 11))


def test_clear_cases_stop_at_the_first_looks_that_can_tell() -> None:
    plan, state = Plan(3), State(Plan(3))
    steps = np.linspace(-0.001, 0.001, LOOKS[0])
    state.look(LOOKS[0], {"a": steps, "b": steps + 0.2, "c": steps - 0.2})
    assert state.verdict("a") == SAME
    later = np.linspace(-0.001, 0.001, LOOKS[1])
    state.look(LOOKS[1], {"b": later + 0.2, "c": later - 0.2})
    assert state.verdicts == {"a": SAME, "b": SLOWER, "c": FASTER}
    assert 0.5 ** LOOKS[1] <= plan.alarm_level(LOOKS[1]) / 3


def test_without_an_answer_a_benchmark_is_not_called_the_same() -> None:
    state, rng = State(Plan(1)), np.random.default_rng(4)
    for rounds in LOOKS:
        state.look(rounds, {"noisy": rng.standard_normal(rounds)})
    assert state.verdict("noisy") == CANNOT_TELL
    assert state.verdict("never measured") == CANNOT_TELL


def test_a_benchmark_somewhat_faster_is_not_slower() -> None:
    plan = Plan(1)
    state, values = State(plan), -plan.bound + 0.001 * np.random.default_rng(5).standard_normal(LOOKS[-1])
    state.look(LOOKS[0], {"faster": values[: LOOKS[0]]})
    assert state.verdict("faster") in (FASTER, NOT_SLOWER)


@pytest.mark.parametrize("benchmarks", [1, 2, 5, 18, 81, 5000])
@pytest.mark.parametrize("looks", [LOOKS, (9, 11, 13), (20, 30), (3, 5, 40)])
def test_the_looks_that_can_raise_an_alarm_share_the_whole_rate(benchmarks: int, looks: tuple[int, ...]) -> None:
    plan = Plan(benchmarks, looks=looks)
    assert sum(map(plan.alarm_level, looks)) == pytest.approx(plan.false_alarm_rate if plan.alarm_looks else 0.0)
    for rounds in looks:
        smallest = upper_tail(rounds)[-1]
        assert (smallest <= plan.alarm_level(rounds) / benchmarks) == (rounds in plan.alarm_looks)


def test_a_look_without_a_share_raises_no_alarm() -> None:
    """Nine rounds on one side would do for the share of each of two later looks, but then three would share it."""
    plan = Plan(2, looks=(9, 11, 13))
    assert plan.alarm_looks == (11, 13)
    assert plan.alarm_level(11) / 2 > 0.5**9
    state = State(plan)
    state.look(9, {"slower": np.linspace(0.2, 0.21, 9)})
    assert state.verdict("slower") == CANNOT_TELL
    state.look(11, {"slower": np.linspace(0.2, 0.21, 11)})
    assert state.verdict("slower") == SLOWER


def test_several_slowdowns_are_found_at_once() -> None:
    state = State(Plan(2))
    clear = np.linspace(0.2, 0.201, LOOKS[1])
    state.look(LOOKS[1], {"a": clear, "b": clear})
    assert state.verdicts == {"a": SLOWER, "b": SLOWER}


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, math.nan])
def test_a_threshold_that_is_none_is_refused(threshold: float) -> None:
    with pytest.raises(InputError, match=r"threshold is .*; expected more than 0 and less than 1"):
        Plan(1, threshold)
