"""The temporal-order task, read back one sequence at a time."""

import math

import numpy as np
import pytest

from rnnbench.tasks.temporal_order import TemporalOrder


@pytest.mark.parametrize(
    ("length", "first_window", "second_window"),
    [(10, {1}, {5}), (39, {3, 4, 5}, {19, 20, 21}), (100, set(range(10, 20)), set(range(50, 60)))],
)
def test_the_target_is_the_order_of_the_two_symbols(length, first_window, second_window):
    batch = TemporalOrder(length).sample(np.random.default_rng(0), 1_000)
    first_steps, second_steps, orders = set(), set(), set()
    for tokens, target in zip(batch.inputs.T.tolist(), batch.targets.tolist(), strict=True):
        (first, one), (second, other) = [(step, token) for step, token in enumerate(tokens) if token < 2]
        order = "AB"[one] + "AB"[other]
        assert ["AA", "AB", "BA", "BB"][target] == order
        first_steps.add(first)
        second_steps.add(second)
        orders.add(order)
    assert (first_steps, second_steps) == (first_window, second_window)
    assert len(orders) == 4


def test_distractors_are_uniform():
    tokens = TemporalOrder(10).sample(np.random.default_rng(0), 10_000).inputs
    counts = np.bincount(tokens.ravel(), minlength=6)[2:]
    assert counts == pytest.approx(20_000, abs=5 * math.sqrt(80_000 * 3 / 16))


def test_the_baseline_is_earned_to_a_thousandth():
    """3 million sequences: the standard error of a share of 1/4 is 0.00025, and 4 of them are 0.001."""
    task, rng = TemporalOrder(10), np.random.default_rng(0)
    counts = sum(np.bincount(task.sample(rng, 250_000).targets, minlength=4) for _ in range(12))
    shares = counts / 3_000_000
    assert shares == pytest.approx(0.25, abs=1e-3)
    assert -shares @ np.log(np.full(4, 0.25)) == pytest.approx(task.baseline.loss, abs=1e-12)
    batch = task.sample(rng, 1_000)
    outputs = task.baseline_outputs(batch)
    assert (outputs.argmax(axis=1) == 0).all(), "it answers AA, whose share is what it scores"
    assert (outputs == outputs[:, :1]).all()
    assert TemporalOrder().baseline.value == 0.25
    assert TemporalOrder().baseline.loss == math.log(4)


def test_solved_means_fewer_than_1_percent_wrong():
    assert TemporalOrder().solved(9_901 / 10_000)
    assert not TemporalOrder().solved(9_900 / 10_000)
