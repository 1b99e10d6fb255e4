"""tanh and sigmoid of the cpu backend: accuracy over their whole range, and what they do with special numbers.

Largest errors measured on AVX2, in units in the last place: tanh 2.498 and sigmoid 2.481 over every float32 of
magnitude 2^-14 to 90 (to -87 for sigmoid), tanh 2.498 and sigmoid 2.411 over 10^7 random float64.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cache
from typing import Any

import numpy as np
import pytest
from numba.core import config

from rnnbench import arithmetic
from rnnbench.backends.cpu.compilation import specialise
from rnnbench.backends.cpu.elementary import implementations
from rnnbench.backends.cpu.lanes import load, store
from rnnbench.backends.cpu.target import target

BOUNDS = {("tanh", "float32"): 2.5, ("sigmoid", "float32"): 2.5, ("tanh", "float64"): 2.5, ("sigmoid", "float64"): 2.5}
SMALLEST_SIGMOID = {"float32": -87.0, "float64": -708.0}
"""Below this sigmoid stays where it is, at about the smallest normal number; relative accuracy ends."""
ONE = (0,)
LANE: tuple[int, ...] = ()
function: Callable = arithmetic.tanh


def run_function(x, y):  # type: ignore[no-untyped-def]
    """Write function(x) to y; `compiled` puts the backend's function and vector in the place of the two names."""
    for at in range(0, x.size, len(LANE)):
        store(y, at, 0, LANE, (function(load(x, at, 0, LANE, ONE)[0]),))


@cache
def compiled(name: str, dtype: np.dtype, lanes: int) -> Callable:
    names = {"function": implementations(dtype)[getattr(arithmetic, name)], "LANE": (0,) * lanes}
    return specialise(run_function, names, f"{name}_{dtype}_{lanes}")


def evaluate(name: str, x: np.ndarray) -> np.ndarray:
    """Return the cpu backend's function of every number of x."""
    lanes = x.size if config.DISABLE_JIT else target(x.dtype).lanes
    padded = np.zeros(-(-x.size // lanes) * lanes, x.dtype)
    padded[: x.size] = x
    y = np.full_like(padded, np.nan)
    with np.errstate(all="ignore"):
        compiled(name, x.dtype, lanes)(padded, y)
    return y[: x.size]


def random_numbers(dtype: str, count: int) -> np.ndarray:
    """Return numbers of every magnitude, and as many in the range where the functions are not constant."""
    rng = np.random.default_rng(0)
    kind = np.dtype(f"uint{8 * np.dtype(dtype).itemsize}")
    anything = rng.integers(0, np.iinfo(kind).max, count, kind, endpoint=True).view(dtype)
    wide = rng.uniform(-100, 100, count) if dtype == "float32" else rng.uniform(-720, 720, count)
    return np.concatenate([anything[np.isfinite(anything)], rng.uniform(-12, 12, count), wide]).astype(dtype)


def exact(name: str, x: float) -> Decimal:
    """Return the function's value to some thirty digits."""
    with localcontext(prec=60) as context:
        number = abs(Decimal(x))
        if name == "tanh":
            if number < Decimal("1e-20"):
                return Decimal(x)  # to 1e-40 of its value
            power = (-2 * number).exp(context)
            return ((1 - power) / (1 + power)).copy_sign(Decimal(x))
        power = (-number).exp(context)
        return 1 / (1 + power) if x >= 0 else power / (1 + power)


def units_in_the_last_place(found: np.ndarray, expected: list[Any]) -> float:
    """Return the largest error in units of the spacing of the expected numbers."""
    worst = Decimal(0)
    for value, truth in zip(found, expected, strict=True):
        spacing = np.spacing(found.dtype.type(abs(truth)))
        worst = max(worst, abs(Decimal(float(value)) - truth) / Decimal(float(spacing)))
    return float(worst)


def in_range(name: str, x: np.ndarray) -> np.ndarray:
    return x if name == "tanh" else x[x >= SMALLEST_SIGMOID[str(x.dtype)]]


@pytest.mark.parametrize(("name", "dtype"), BOUNDS)
def test_accuracy(name: str, dtype: str) -> None:
    x = in_range(name, random_numbers(dtype, 1500))
    assert units_in_the_last_place(evaluate(name, x), [exact(name, float(v)) for v in x]) <= BOUNDS[name, dtype]


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_accuracy_of_very_many_float32(name: str) -> None:
    """Against float64, whose own error is less than a millionth of a unit here."""
    x = in_range(name, random_numbers("float32", 400_000))
    wide = x.astype(np.float64)
    with np.errstate(over="ignore"):
        expected = np.tanh(wide) if name == "tanh" else 1 / (1 + np.exp(-wide))
    errors = np.abs(evaluate(name, x) - expected) / np.spacing(np.abs(expected).astype(np.float32))
    assert errors.max() <= BOUNDS[name, "float32"]


@pytest.mark.parametrize("dtype", SMALLEST_SIGMOID)
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
class TestSpecialNumbers:
    def test_nan_stays_nan(self, name: str, dtype: str) -> None:
        assert np.isnan(evaluate(name, np.full(3, np.nan, dtype))).all()

    def test_the_limits_are_exact(self, name: str, dtype: str) -> None:
        huge = np.array([np.inf, np.finfo(dtype).max, 1e30, 100, 40], dtype)
        np.testing.assert_array_equal(evaluate(name, huge), 1)
        if name == "tanh":
            np.testing.assert_array_equal(evaluate(name, -huge), -1)

    def test_zero_and_subnormal_numbers(self, name: str, dtype: str) -> None:
        information = np.finfo(dtype)
        tiny = np.array([0, information.smallest_subnormal, information.tiny / 4, information.tiny], dtype)
        tiny = np.concatenate([tiny, -tiny])
        np.testing.assert_array_equal(evaluate(name, tiny), tiny if name == "tanh" else 0.5)

    def test_symmetry(self, name: str, dtype: str) -> None:
        x = in_range(name, -np.abs(random_numbers(dtype, 2000)))
        below, above = evaluate(name, x), evaluate(name, -x)
        mirrored = -above if name == "tanh" else 1 - above
        spacing = np.spacing(np.abs(below) if name == "tanh" else above)
        assert (np.abs(below - mirrored) <= 2 * BOUNDS[name, dtype] * spacing).all()

    def test_values_stay_within_the_limits(self, name: str, dtype: str) -> None:
        values = evaluate(name, random_numbers(dtype, 20_000))
        assert np.abs(values).max() <= 1
        assert name == "tanh" or values.min() > 0


@pytest.mark.parametrize("dtype", SMALLEST_SIGMOID)
def test_sigmoid_of_large_negative_numbers_is_as_good_as_zero(dtype: str) -> None:
    values = evaluate("sigmoid", np.array([-np.inf, -1e30, -1000, SMALLEST_SIGMOID[dtype] * 1.01], dtype))
    assert (values <= 2 * np.finfo(dtype).tiny).all()
