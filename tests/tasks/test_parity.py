"""Parity, counted one string at a time."""

import math

import numpy as np
import pytest

from rnnbench.errors import InputError
from rnnbench.tasks.parity import Parity


@pytest.mark.parametrize(("method", "shortest", "longest"), [("sample", 1, 40), ("evaluation", 41, 60)])
def test_the_target_is_the_parity_of_the_ones(method, shortest, longest):
    batch = getattr(Parity(60), method)(np.random.default_rng(0), 2_000)
    assert batch.inputs.shape == (longest, 2_000, 1)
    for bits, length, target in zip(batch.inputs[:, :, 0].T, batch.lengths, batch.targets, strict=True):
        assert list(bits).count(1) % 2 == target
        assert set(bits) <= {0, 1}
        assert not bits[length:].any()
    assert set(batch.lengths) == set(range(shortest, longest + 1))


def test_nothing_is_tested_on_lengths_that_are_trained_on():
    with pytest.raises(InputError, match="length = 40, expected an integer of at least 41"):
        Parity(40)


def test_the_baseline_holds_to_three_decimals():
    """1,000,000 strings: 2 standard errors are 0.001."""
    task, rng = Parity(41), np.random.default_rng(0)
    batches = [task.evaluation(rng, 200_000) for _ in range(5)]
    assert np.mean([task.score(task.baseline_outputs(b), b) for b in batches]) == pytest.approx(0.5, abs=1e-3)
    assert task.baseline.loss == math.log(2)


def test_solved_begins_at_90_percent():
    assert Parity().solved(0.9)
    assert not Parity().solved(0.899)
