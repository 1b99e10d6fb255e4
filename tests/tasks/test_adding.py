"""The adding task, read back one sequence at a time."""

import numpy as np
import pytest

from rnnbench.tasks.adding import Adding


def solve(sequence):
    """Return the steps that are marked, and the sum of what stands there; sequence: pairs (value, marker)."""
    marked = [(step, value) for step, (value, marker) in enumerate(sequence) if marker == 1]
    assert all(marker == 0 for step, (_, marker) in enumerate(sequence) if step not in dict(marked))
    return [step for step, _ in marked], sum(value for _, value in marked)


@pytest.mark.parametrize("length", [2, 7, 50])
def test_the_target_is_the_sum_at_the_marks_one_in_each_half(length):
    batch = Adding(length).sample(np.random.default_rng(0), 600)
    first_steps, second_steps = set(), set()
    for sequence, target in zip(batch.inputs.transpose(1, 0, 2).tolist(), batch.targets[:, 0], strict=True):
        (first, second), total = solve(sequence)
        first_steps.add(first)
        second_steps.add(second)
        assert target == pytest.approx(total, rel=1e-6)
    assert first_steps == set(range(length // 2))
    assert second_steps == set(range(length // 2, length))


def test_values_are_uniform_between_0_and_1():
    values = Adding(100).sample(np.random.default_rng(0), 1_000).inputs[:, :, 0].ravel()
    assert values.min() >= 0
    assert values.max() < 1
    counts, _ = np.histogram(values, bins=10, range=(0, 1))
    assert counts == pytest.approx(values.size / 10, abs=5 * np.sqrt(values.size * 0.09))


def test_the_baseline_is_a_sixth_to_three_decimals():
    """400,000 sequences: Var (S - 1)² = 1/15 - 1/36, so that 3 standard errors are 0.0009."""
    batch = Adding(2).sample(np.random.default_rng(0), 400_000)
    task = Adding(2)
    assert task.score(task.baseline_outputs(batch), batch) == pytest.approx(1 / 6, abs=1e-3)


def test_no_other_constant_beats_the_baseline():
    task = Adding(2)
    batch = task.sample(np.random.default_rng(0), 100_000)
    scores = {answer: task.score(np.full_like(batch.targets, answer), batch) for answer in (0.9, 1, 1.1)}
    assert min(scores, key=scores.get) == 1


def test_solved_begins_at_a_hundredth_of_the_variance():
    assert Adding().solved(1 / 600)
    assert not Adding().solved(1 / 599)
