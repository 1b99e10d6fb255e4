"""The copy-memory task, read back one sequence at a time."""

import math

import numpy as np
import pytest

from rnnbench.tasks.copy_memory import CopyMemory


@pytest.mark.parametrize("wait", [1, 2, 30])
def test_sequences_are_what_the_source_describes(wait):
    task = CopyMemory(wait)
    batch = task.sample(np.random.default_rng(0), 100)
    assert task.steps == wait + 20
    for inputs, targets in zip(batch.inputs.T.tolist(), batch.targets.T.tolist(), strict=True):
        symbols = inputs[:10]
        assert set(symbols) <= set(range(8))
        assert inputs == symbols + [8] * (wait - 1) + [9] + [8] * 10
        assert targets == [8] * (wait + 10) + symbols


def test_symbols_are_uniform():
    symbols = CopyMemory(1).sample(np.random.default_rng(0), 10_000).inputs[:10]
    for place in symbols:
        assert np.bincount(place, minlength=8) == pytest.approx(1_250, abs=5 * math.sqrt(10_000 * 7 / 64))


@pytest.mark.parametrize(("wait", "plateau"), [(100, 0.1733), (200, 0.0945), (500, 0.0400), (1000, 0.02039)])
def test_the_loss_of_the_baseline_is_the_published_plateau(wait, plateau):
    assert CopyMemory(wait).baseline.loss == pytest.approx(plateau, abs=5e-5)


def test_the_recall_of_the_baseline_is_an_eighth_to_three_decimals():
    """1,000,000 symbols: 3 standard errors are 0.00099."""
    task, rng = CopyMemory(1), np.random.default_rng(0)
    batches = [task.sample(rng, 10_000) for _ in range(10)]
    recall = np.mean([task.score(task.baseline_outputs(batch), batch) for batch in batches])
    assert recall == pytest.approx(1 / 8, abs=1e-3)


def test_only_the_ten_answers_count_in_recall():
    task = CopyMemory(5)
    batch = task.sample(np.random.default_rng(0), 20)
    answers = np.eye(9, dtype=np.float32)[batch.targets]
    answers[:-10] = answers[:-10, :, ::-1]  # every blank wrong
    assert task.score(answers, batch) == 1
    answers[-1] = np.eye(9)[8]  # one symbol of ten forgotten: a blank instead
    assert task.score(answers, batch) == pytest.approx(0.9)


def test_solved_begins_at_99_percent():
    assert CopyMemory().solved(0.99)
    assert not CopyMemory().solved(0.989)
