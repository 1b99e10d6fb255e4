"""Copy memory with eleven delimiters, read back one sequence at a time."""

import numpy as np
import pytest

from rnnbench.tasks.copy_memory import CopyMemory
from rnnbench.tasks.copy_memory_bai import CopyMemoryBai


@pytest.mark.parametrize("wait", [1, 2, 30])
def test_delimiters_go_on_while_the_answer_is_due(wait):
    task = CopyMemoryBai(wait)
    batch = task.sample(np.random.default_rng(0), 100)
    for inputs, targets in zip(batch.inputs.T.tolist(), batch.targets.T.tolist(), strict=True):
        symbols = inputs[:10]
        assert set(symbols) <= set(range(8))
        assert inputs == symbols + [8] * (wait - 1) + [9] * 11
        assert targets == [8] * (wait + 10) + symbols


def test_the_baseline_is_that_of_one_delimiter():
    assert CopyMemoryBai(1_000).baseline == CopyMemory(1_000).baseline
