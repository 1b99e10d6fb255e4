"""a^n b^n, read back one string at a time."""

import numpy as np
import pytest

from rnnbench.tasks.a_n_b_n import AnBn

FOLLOW = {"a": [1, 1, 0], "b": [0, 1, 0], "last": [0, 0, 1]}


@pytest.mark.parametrize(("method", "smallest", "largest"), [("sample", 1, 20), ("evaluation", 21, 30)])
def test_strings_have_as_many_b_as_a(method, smallest, largest):
    batch = getattr(AnBn(61), method)(np.random.default_rng(0), 500)
    counts = set()
    for tokens, targets, mask in zip(batch.inputs.T, batch.targets.transpose(1, 0, 2), batch.mask.T, strict=True):
        n = int(mask.sum()) // 2
        assert mask[: 2 * n].all()
        assert "".join("ab"[token] for token in tokens[mask]) == "a" * n + "b" * n
        expected = [FOLLOW["a"]] * n + [FOLLOW["b"]] * (n - 1) + [FOLLOW["last"]]
        assert targets[mask].tolist() == expected
        counts.add(n)
    assert counts == set(range(smallest, largest + 1))


def test_the_loss_of_the_baseline_holds_to_three_decimals():
    task = AnBn(60)
    batch = task.evaluation(np.random.default_rng(0), 50_000)
    errors = (task.baseline_outputs(batch) - batch.targets) ** 2
    assert errors[batch.mask].mean() == pytest.approx(task.baseline.loss, abs=1e-3)
    assert errors[batch.mask].mean() == pytest.approx(task.baseline.loss, rel=0.01)
    assert task.score(task.baseline_outputs(batch), batch) == task.baseline.value == 0


def test_padding_is_not_judged():
    task = AnBn(100)
    batch = task.evaluation(np.random.default_rng(0), 50)
    answers = batch.targets.copy()
    answers[~batch.mask] = 7
    assert task.score(answers, batch) == 1
