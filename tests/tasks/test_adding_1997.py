"""The adding problem of 1997, read back one sequence at a time."""

import numpy as np
import pytest

from rnnbench.tasks.adding_1997 import Adding1997


def read_back(batch):
    """Yield (length, marked steps, their numbers, target) of each sequence, checking markers and padding."""
    for sequence, length, target in zip(
        batch.inputs.transpose(1, 0, 2), batch.lengths, batch.targets[:, 0].tolist(), strict=True
    ):
        values, markers = sequence[:length].T
        assert markers[0] == markers[-1] == -1
        assert not sequence[length:].any()
        marked = [step for step in range(1, length - 1) if markers[step] != 0]
        assert [markers[step] for step in marked] == [1, 1]
        yield int(length), marked, [float(values[step]) for step in marked], target


@pytest.mark.parametrize("length", [20, 55])
def test_the_target_is_the_scaled_sum_at_the_marks(length):
    batch = Adding1997(length).sample(np.random.default_rng(0), 3_000)
    lengths, firsts, lasts = set(), set(), set()
    for own_length, (first, last), (one, other), target in read_back(batch):
        assert target == pytest.approx(0.5 + (one + other) / 4, abs=1e-6)
        assert first < 10
        lengths.add(own_length)
        firsts.add(first)
        lasts.add(last)
    assert lengths == set(range(length, length + length // 10 + 1))
    assert min(firsts) == 1
    assert max(lasts) == length // 2 - 1


def test_numbers_are_uniform_between_minus_1_and_1():
    batch = Adding1997(100).sample(np.random.default_rng(0), 1_000)
    values = batch.inputs[:100, :, 0].ravel()
    counts, _ = np.histogram(values, bins=10, range=(-1, 1))
    assert counts.sum() == values.size
    assert counts == pytest.approx(values.size / 10, abs=5 * np.sqrt(values.size * 0.09))


def test_the_baselines_hold_to_three_decimals():
    """500,000 sequences: 2 standard errors are 0.001 of the share and 0.0002 of the loss."""
    task, rng = Adding1997(20), np.random.default_rng(0)
    batches = [task.sample(rng, 100_000) for _ in range(5)]
    outputs = [task.baseline_outputs(batch) for batch in batches]
    losses = [np.mean((y - batch.targets) ** 2) for y, batch in zip(outputs, batches, strict=True)]
    shares = [task.score(y, batch) for y, batch in zip(outputs, batches, strict=True)]
    assert np.mean(losses) == pytest.approx(1 / 24, abs=1e-3)
    assert np.mean(shares) == pytest.approx(task.baseline.value, abs=1e-3)


def test_an_answer_counts_within_0_04_and_all_have_to():
    task = Adding1997()
    batch = task.sample(np.random.default_rng(0), 100)
    assert task.score(batch.targets + 0.0399, batch) == 1
    assert task.score(batch.targets - 0.0401, batch) == 0
    assert task.confirmation_size == 2_000
    assert task.solved(1)
    assert not task.solved(1_999 / 2_000)
