import numpy as np
import pytest

from rnnbench import optimizers
from rnnbench.errors import InputError


def sgd(weights, gradients, rate):
    velocity = np.zeros_like(weights)
    for gradient in gradients:
        velocity = 0.9 * velocity + gradient
        weights = weights - rate * velocity
    return weights


def rmsprop(weights, gradients, rate):
    square = np.zeros_like(weights)
    for gradient in gradients:
        square = 0.9 * square + 0.1 * gradient**2
        weights = weights - rate * gradient / (np.sqrt(square) + 1e-8)
    return weights


def adam(weights, gradients, rate):
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for t, gradient in enumerate(gradients, start=1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        weights = weights - rate * (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
    return weights


ORACLES = {"sgd": sgd, "rmsprop": rmsprop, "adam": adam}


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-6)])
def test_steps_follow_the_published_update(name, dtype, tolerance):
    rng = np.random.default_rng(3)
    start, gradients = rng.standard_normal(50), rng.standard_normal((20, 50))
    weights = start.astype(dtype)
    optimizer = optimizers.make(name, weights, 0.01)
    for gradient in gradients:
        optimizer.step(gradient.astype(dtype))
    assert weights.dtype == dtype
    np.testing.assert_allclose(weights, ORACLES[name](start, gradients, 0.01), rtol=0, atol=tolerance)


def test_global_norm_is_summed_in_float64():
    gradient = np.full(100_000, 1e-4, np.float32)
    gradient[0] = 3.0
    assert optimizers.global_norm(gradient) == pytest.approx(np.linalg.norm(gradient.astype(np.float64)), rel=1e-10)


def test_clipping_by_norm_keeps_the_direction():
    gradient = np.array([3.0, 4.0])
    optimizers.clip_by_global_norm(gradient, 1.0, 5.0)
    np.testing.assert_allclose(gradient, [0.6, 0.8], rtol=1e-15)
    optimizers.clip_by_global_norm(gradient, 2.0, 1.0)
    np.testing.assert_allclose(gradient, [0.6, 0.8], rtol=1e-15)


def test_clipping_by_value_holds_each_entry_and_lets_nan_through():
    gradient = np.array([-3.0, -0.5, 0.5, 3.0, np.nan])
    optimizers.clip_by_value(gradient, 1.0)
    np.testing.assert_array_equal(gradient, [-1.0, -0.5, 0.5, 1.0, np.nan])


def test_unknown_optimizer_and_impossible_rate_are_refused():
    with pytest.raises(InputError, match="did you mean 'adam'"):
        optimizers.make("adan", np.zeros(2), 0.1)
    with pytest.raises(InputError, match="learning_rate is -1"):
        optimizers.make("adam", np.zeros(2), -1)
    with pytest.raises(InputError, match="learning_rate is nan"):
        optimizers.make("adam", np.zeros(2), float("nan"))
