"""Associative recall, looked up in a dictionary one sequence at a time."""

import math

import numpy as np
import pytest

from rnnbench.tasks.associative_recall import AssociativeRecall


@pytest.mark.parametrize(("length", "pairs"), [(6, 2), (13, 4), (30, 10)])
def test_every_key_is_asked_for_once_and_has_its_value(length, pairs):
    task = AssociativeRecall(length)
    batch = task.sample(np.random.default_rng(0), 300)
    assert task.steps == 3 * pairs
    for inputs, targets, mask in zip(
        batch.inputs.T.tolist(), batch.targets.T.tolist(), batch.mask.T.tolist(), strict=True
    ):
        shown, asked = inputs[: 2 * pairs], inputs[2 * pairs :]
        value_of = dict(zip(shown[::2], [value - pairs for value in shown[1::2]], strict=True))
        assert sorted(asked) == sorted(value_of) == list(range(pairs))
        assert set(value_of.values()) <= set(range(8))
        assert targets[2 * pairs :] == [value_of[key] for key in asked]
        assert mask == [False] * 2 * pairs + [True] * pairs


def test_questions_come_in_any_order():
    batch = AssociativeRecall(9).sample(np.random.default_rng(0), 6_000)
    orders, counts = np.unique(batch.inputs[6:], axis=1, return_counts=True)
    assert orders.shape == (3, 6)
    assert counts == pytest.approx(1_000, abs=5 * math.sqrt(1_000))


def test_the_baseline_holds_to_three_decimals():
    """1,200,000 questions: 3 standard errors are 0.0009."""
    task = AssociativeRecall(12)
    batch = task.sample(np.random.default_rng(0), 300_000)
    assert task.score(task.baseline_outputs(batch), batch) == pytest.approx(1 / 8, abs=1e-3)
    assert task.baseline.loss == math.log(8)
