import numpy as np
import pytest
from scipy.special import log_softmax

from rnnbench.errors import InputError, ShapeError
from rnnbench.losses import LOSSES, loss_and_gradient


def example(name, rows=7, size=5, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    outputs = (3 * rng.standard_normal((rows, size))).astype(dtype)
    targets = rng.standard_normal((rows, size)).astype(dtype) if name == "mse" else rng.integers(0, size, rows)
    return outputs, targets


def expected_loss(name, outputs, targets, counts):
    outputs, targets = outputs[counts], targets[counts]
    if name == "mse":
        return np.mean((outputs - targets) ** 2)
    return -np.mean(log_softmax(outputs, axis=1)[np.arange(len(targets)), targets])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("masked", [False, True])
def test_loss_is_its_definition_and_the_gradient_its_derivative(name, masked):
    outputs, targets = example(name)
    counts = np.array([True, False, True, True, False, True, True]) if masked else np.ones(7, bool)
    loss, gradient = loss_and_gradient(name, outputs, targets, counts if masked else None)
    assert loss == pytest.approx(expected_loss(name, outputs, targets, counts), rel=1e-14)
    assert not gradient[~counts].any()
    step = 1e-5
    for n, k in np.ndindex(outputs.shape):
        moved = outputs.copy()
        moved[n, k] += step
        up = expected_loss(name, moved, targets, counts)
        moved[n, k] -= 2 * step
        down = expected_loss(name, moved, targets, counts)
        assert gradient[n, k] == pytest.approx((up - down) / (2 * step), abs=1e-9)


def test_cross_entropy_of_huge_logits_is_finite_and_right():
    outputs = np.array([[1000.0, 0.0], [-1000.0, 0.0]], np.float32)
    loss, gradient = loss_and_gradient("cross_entropy", outputs, np.array([0, 0]))
    assert loss == pytest.approx(500.0)
    np.testing.assert_allclose(gradient, [[0, 0], [-0.5, 0.5]], atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_float32_gradients_keep_their_dtype_and_agree_with_float64(name):
    outputs, targets = example(name)
    loss, gradient = loss_and_gradient(name, outputs, targets)
    single = targets.astype(np.float32) if name == "mse" else targets
    loss32, gradient32 = loss_and_gradient(name, outputs.astype(np.float32), single)
    assert gradient32.dtype == np.float32
    assert loss32 == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(gradient32, gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_nan_outputs_give_a_nan_loss(name):
    outputs, targets = example(name)
    outputs[2, 1] = np.nan
    assert np.isnan(loss_and_gradient(name, outputs, targets)[0])


def test_targets_that_do_not_fit_name_both_shapes():
    with pytest.raises(ShapeError, match=r"\(7, 4\).*\(7, 5\)"):
        loss_and_gradient("mse", np.zeros((7, 5)), np.zeros((7, 4)))
    with pytest.raises(InputError, match=r"\[0, 5\].*\[0, 5\)"):
        loss_and_gradient("cross_entropy", np.zeros((2, 5)), np.array([0, 5]))
    with pytest.raises(InputError, match="did you mean 'mse'"):
        loss_and_gradient("msee", np.zeros((2, 5)), np.zeros((2, 5)))
