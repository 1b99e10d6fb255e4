from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rnnbench import arithmetic

STEP = 1e-30
PAIRS = {
    "tanh": (arithmetic.tanh, arithmetic.tanh_slope),
    "sigmoid": (arithmetic.sigmoid, arithmetic.sigmoid_slope),
    "relu": (arithmetic.relu, arithmetic.relu_slope),
}


@pytest.fixture
def x() -> np.ndarray:
    x = np.random.default_rng(0).uniform(-4, 4, 1000)
    return x[np.abs(x) > 1e-3]  # away from the kink of relu


@pytest.mark.parametrize("name", PAIRS)
def test_a_slope_is_the_derivative_of_its_function(name: str, x: np.ndarray) -> None:
    function, slope = PAIRS[name]
    derivative = function(x + STEP * 1j).imag / STEP
    np.testing.assert_allclose(slope(function(x)), derivative, rtol=1e-12, atol=0)


def test_values() -> None:
    x = np.array([-2.0, -0.5, 0.0, 0.5, 2.0])
    np.testing.assert_allclose(arithmetic.sigmoid(x), 1 / (1 + np.exp(-x)), rtol=1e-15)
    np.testing.assert_allclose(arithmetic.tanh(x), np.tanh(x), rtol=0)
    np.testing.assert_array_equal(arithmetic.relu(x), [0, 0, 0, 0.5, 2])
    np.testing.assert_array_equal(arithmetic.relu_slope(arithmetic.relu(x)), [0, 0, 0, 1, 1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [f for pair in PAIRS.values() for f in pair], ids=lambda f: f.__name__)
def test_literals_follow_the_dtype_of_the_operand(function: Callable, dtype: str) -> None:
    x = np.linspace(-1, 1, 5, dtype=dtype)
    assert function(x).dtype == dtype
    assert function(x[0]).dtype == dtype


@pytest.mark.parametrize(("name", "low", "high"), [("tanh", -1, 1), ("sigmoid", 0, 1), ("relu", 0, np.inf)])
def test_infinities_reach_the_limits_without_a_warning(name: str, low: float, high: float) -> None:
    function, _ = PAIRS[name]
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(function(np.array([-np.inf, np.inf])), [low, high])
        np.testing.assert_array_equal(function(np.array([-1e4])), [low])


@pytest.mark.parametrize("function", [f for pair in PAIRS.values() for f in pair], ids=lambda f: f.__name__)
def test_nan_stays_nan(function: Callable) -> None:
    assert np.isnan(function(np.array([np.nan]))).all()


def test_the_slope_of_relu_is_one_at_infinity() -> None:
    np.testing.assert_array_equal(arithmetic.relu_slope(np.array([0.0, 1.0, np.inf])), [0, 1, 1])
