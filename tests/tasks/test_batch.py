"""Batch refuses parts that disagree, and the shared metrics count what the mask lets them."""

import math

import numpy as np
import pytest

from rnnbench.errors import ShapeError
from rnnbench.tasks._metrics import accuracy, cross_entropy, mean_squared_error, share_within, whole_strings
from rnnbench.tasks.base import Batch

T, B, K = 5, 3, 4
INPUTS = np.zeros((T, B, 2), dtype=np.float32)
STEPS = np.zeros((T, B), dtype=np.int64)
EVERYTHING = np.ones((T, B), dtype=bool)


@pytest.mark.parametrize("targets", [np.zeros((B, 1)), np.zeros(B), np.zeros((T, B, K)), np.zeros((T, B))])
def test_targets_go_with_sequences_or_with_steps(targets):
    assert Batch(INPUTS, targets, lengths=np.full(B, T)).targets is targets


def test_answers_may_have_a_length_of_their_own():
    longer = np.zeros((T + 1, B))
    assert Batch(INPUTS, longer, mask=np.ones((T + 1, B), bool), lengths=np.full(B, T)).targets is longer


def test_mask_goes_with_targets_at_every_step():
    assert Batch(INPUTS, STEPS, mask=EVERYTHING, lengths=np.full(B, T)).mask is EVERYTHING


@pytest.mark.parametrize(
    ("targets", "mask", "lengths"),
    [
        (np.zeros(B + 1), None, None),
        (np.zeros((T, B + 1)), None, None),
        (np.zeros((B, T)), EVERYTHING, None),
        (np.zeros(B), EVERYTHING, None),
        (STEPS, np.ones((T, B + 1), dtype=bool), None),
        (STEPS, np.ones(T, dtype=bool), None),
        (STEPS, EVERYTHING, np.full(B + 1, T)),
    ],
)
def test_parts_that_disagree_are_refused_with_both_shapes(targets, mask, lengths):
    with pytest.raises(ShapeError, match=r"\(.*\).*expected.*\(.*\)"):
        Batch(INPUTS, targets, mask, lengths)


@pytest.fixture
def outputs():
    return np.random.default_rng(0).normal(size=(T, B, K)).astype(np.float32)


@pytest.fixture
def classes():
    return np.random.default_rng(1).integers(0, K, (T, B))


def counted(mask):
    return [(t, b) for t in range(T) for b in range(B) if mask is None or mask[t, b]]


masks = pytest.mark.parametrize("mask", [None, np.random.default_rng(2).random((T, B)) < 0.5], ids=["all", "some"])


@masks
def test_accuracy_equals_a_slow_one(outputs, classes, mask):
    right = [max(range(K), key=lambda k: outputs[t, b, k]) == classes[t, b] for t, b in counted(mask)]
    assert accuracy(outputs, classes, mask) == sum(right) / len(right)


@masks
def test_cross_entropy_equals_a_slow_one(outputs, classes, mask):
    costs = []
    for t, b in counted(mask):
        weights = [math.exp(value) for value in outputs[t, b]]
        costs.append(-math.log(weights[classes[t, b]] / sum(weights)))
    assert cross_entropy(outputs, classes, mask) == pytest.approx(math.fsum(costs) / len(costs), rel=1e-14)


@masks
def test_mean_squared_error_equals_a_slow_one(outputs, mask):
    targets = np.random.default_rng(3).normal(size=outputs.shape).astype(np.float32)
    errors = [(float(outputs[t, b, k]) - float(targets[t, b, k])) ** 2 for t, b in counted(mask) for k in range(K)]
    measured = mean_squared_error(outputs, targets, mask)
    assert measured == pytest.approx(math.fsum(errors) / len(errors), rel=1e-14)


def test_cross_entropy_of_enormous_logits_does_not_overflow():
    outputs = np.array([[3e38, 0], [0, 1e4]], dtype=np.float32)
    assert cross_entropy(outputs, np.array([0, 0])) == 5e3
    assert cross_entropy(outputs, np.array([0, 1])) == 0


def test_one_nan_anywhere_leaves_no_accuracy(outputs, classes):
    outputs[T - 1, B - 1, K - 1] = np.nan
    assert math.isnan(accuracy(outputs, classes))


def test_broadcasting_is_refused():
    with pytest.raises(ShapeError, match=r"outputs \(3,\), expected \(3, 1\)"):
        mean_squared_error(np.zeros(B), np.zeros((B, 1)))


@pytest.mark.parametrize("targets", [np.arange(B), np.arange(T * B).reshape(T, B)])
@pytest.mark.parametrize("size", [1, 2, B, 100])
def test_parts_put_together_are_the_batch(targets, size):
    inputs = np.arange(T * B * 2).reshape(T, B, 2)
    mask = (inputs[:, :, 0] % 4 == 0) if targets.ndim == 2 else None
    batch = Batch(inputs, targets, mask, lengths=np.arange(1, B + 1))
    parts = list(batch.parts(size))
    assert max(part.inputs.shape[1] for part in parts) == min(size, B)
    np.testing.assert_array_equal(np.concatenate([part.inputs for part in parts], axis=1), inputs)
    np.testing.assert_array_equal(np.concatenate([part.targets for part in parts], axis=-1), targets)
    np.testing.assert_array_equal(np.concatenate([part.lengths for part in parts]), batch.lengths)
    if mask is not None:
        np.testing.assert_array_equal(np.concatenate([part.mask for part in parts], axis=1), mask)


@masks
def test_whole_strings_equals_a_slow_one(outputs, mask):
    targets = (outputs > 0.5).astype(np.float32)
    targets[2, 1] = 1 - targets[2, 1]  # a mistake in string 1, which counts where the mask says so
    right = [all((outputs[t, b] > 0.5).tolist() == (targets[t, b] == 1).tolist() for t, s in counted(mask) if s == b)
             for b in range(B)]  # fmt: skip
    assert whole_strings(outputs, targets, mask) == sum(right) / B
    assert right == [True, mask is not None and not mask[2, 1], True]


def test_share_within_counts_what_is_nearer_than_the_tolerance():
    targets = np.zeros((4, 1), dtype=np.float32)
    errors = np.array([[0.03], [-0.03], [0.05], [-0.05]])
    assert share_within(targets + errors, targets, 0.04) == 0.5
    assert math.isnan(share_within(targets + np.nan, targets, 0.04))
