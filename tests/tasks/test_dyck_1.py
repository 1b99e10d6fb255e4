"""Dyck-1, read back one bracket at a time, and its baseline by enumeration."""

import itertools
import math

import numpy as np
import pytest

from rnnbench.tasks import dyck_1
from rnnbench.tasks.dyck_1 import Dyck1


@pytest.mark.parametrize(("method", "steps"), [("sample", 50), ("evaluation", 77)])
def test_a_bracket_may_be_closed_while_one_is_open(method, steps):
    batch = getattr(Dyck1(77), method)(np.random.default_rng(0), 300)
    assert batch.inputs.shape == (steps, 300)
    for tokens, targets in zip(batch.inputs.T, batch.targets.transpose(1, 0, 2), strict=True):
        depth = 0
        for token, target in zip(tokens, targets, strict=True):
            depth += 1 if token == 0 else -1
            assert depth >= 0
            assert target.tolist() == [1, depth > 0]


def test_brackets_open_and_close_with_equal_chance_while_one_is_open():
    batch = Dyck1(60).evaluation(np.random.default_rng(0), 5_000)
    may_close, closes = batch.targets[:-1, :, 1] == 1, batch.inputs[1:] == 1
    assert closes[may_close].mean() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(may_close.sum()))
    assert not closes[~may_close].any()


def enumerated(steps):
    """Return the score and the loss of the bigram predictor from all strings of few steps, with their chances."""
    strings = []
    for choices in itertools.product((1, -1), repeat=steps):
        depths = [abs(depth) for depth in itertools.accumulate(choices)]
        closes = [after < before for before, after in itertools.pairwise([0, *depths])]
        strings.append((2.0**-steps, depths, closes))
    closing = sum(chance * sum(closes) for chance, _, closes in strings)
    last = sum(
        chance * sum(c and d == 0 for d, c in zip(depths, closes, strict=True)) for chance, depths, closes in strings
    )
    score = sum(chance for chance, depths, _ in strings if 0 not in depths)
    share = last / closing
    return score, closing * share * (1 - share) / steps / 2


@pytest.mark.parametrize("steps", [2, 3, 8, 13])
def test_the_baseline_equals_an_enumeration_of_all_strings(steps, monkeypatch):
    monkeypatch.setattr(Dyck1, "minimum_length", 2)
    score, loss = enumerated(steps)
    assert Dyck1(steps).baseline[1:] == pytest.approx((score, loss), rel=1e-12)


def test_the_baseline_holds_to_three_decimals():
    """200,000 strings: 2 standard errors are 0.0014 for the share of 11 %, 0.0001 for the loss."""
    task = Dyck1(52)
    batch = task.evaluation(np.random.default_rng(1), 200_000)
    assert task.score(task.baseline_outputs(batch), batch) == pytest.approx(task.baseline.value, abs=1e-3)
    assert np.mean((task.baseline_outputs(batch) - batch.targets) ** 2) == pytest.approx(task.baseline.loss, abs=1e-3)


def test_one_wrong_step_makes_a_string_wrong():
    task = Dyck1(60)
    batch = task.evaluation(np.random.default_rng(0), 10)
    answers = batch.targets.copy()
    answers[30, 4, 1] = 1 - answers[30, 4, 1]
    assert task.score(answers, batch) == pytest.approx(0.9)
    assert task.minimum_length > dyck_1.LONGEST_TRAINED
