"""Selective copying, read back one sequence at a time."""

import math

import numpy as np
import pytest

from rnnbench.tasks.selective_copy import SelectiveCopy

NOISE, MARKER = 14, 15


@pytest.mark.parametrize("length", [16, 17, 60])
def test_the_answer_is_the_symbols_in_order(length):
    batch = SelectiveCopy(length).sample(np.random.default_rng(0), 200)
    places = set()
    for inputs, targets, mask in zip(
        batch.inputs.T.tolist(), batch.targets.T.tolist(), batch.mask.T.tolist(), strict=True
    ):
        assert inputs[length:] == [MARKER] * 16
        symbols = [token for token in inputs[:length] if token != NOISE]
        assert set(symbols) <= set(range(14))
        assert targets[length:] == symbols
        assert mask == [False] * length + [True] * 16
        places |= {step for step, token in enumerate(inputs[:length]) if token != NOISE}
    assert places == set(range(length))


def test_every_place_and_symbol_is_equally_likely():
    inputs = SelectiveCopy(32).sample(np.random.default_rng(0), 10_000).inputs[:32]
    assert (inputs < NOISE).mean(axis=1) == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(10_000))
    counts = np.bincount(inputs[inputs < NOISE], minlength=14)
    assert counts == pytest.approx(160_000 / 14, abs=5 * math.sqrt(160_000 / 14))


def test_the_baseline_holds_to_three_decimals():
    """1,600,000 answers: 3 standard errors are 0.0006."""
    task = SelectiveCopy(16)
    batch = task.sample(np.random.default_rng(0), 100_000)
    assert task.score(task.baseline_outputs(batch), batch) == pytest.approx(1 / 14, abs=1e-3)
    assert task.baseline.loss == math.log(14)
