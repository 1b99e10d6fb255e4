"""The multiplication problem, read back one sequence at a time."""

import numpy as np
import pytest

from rnnbench.tasks.multiplication_1997 import Multiplication1997


def test_the_target_is_the_product_at_the_marks():
    batch = Multiplication1997(30).sample(np.random.default_rng(0), 500)
    for sequence, target in zip(batch.inputs.transpose(1, 0, 2), batch.targets[:, 0], strict=True):
        one, other = sequence[sequence[:, 1] == 1, 0]
        assert target == pytest.approx(one * other, rel=1e-6)
    assert batch.inputs[:, :, 0].min() >= 0


def test_the_baselines_hold_to_three_decimals():
    """500,000 sequences: 2 standard errors are 0.001 of the share and 0.0002 of the loss."""
    task, rng = Multiplication1997(20), np.random.default_rng(0)
    batches = [task.sample(rng, 100_000) for _ in range(5)]
    outputs = [task.baseline_outputs(batch) for batch in batches]
    losses = [np.mean((y - batch.targets) ** 2) for y, batch in zip(outputs, batches, strict=True)]
    shares = [task.score(y, batch) for y, batch in zip(outputs, batches, strict=True)]
    assert np.mean(losses) == pytest.approx(7 / 144, abs=1e-3)
    assert np.mean(shares) == pytest.approx(task.baseline.value, abs=1e-3)


def test_solved_means_fewer_than_140_of_2000_wrong():
    assert Multiplication1997().solved(1 - 139 / 2_000)
    assert not Multiplication1997().solved(1 - 140 / 2_000)
