"""tanh and sigmoid of the cpu backend: accuracy over their whole range, and what they do with special numbers.

Largest errors measured, in units in the last place, over every float32 of magnitude 2^-15 to 90 (to -87 for sigmoid)
and 10^8 random float64, the most of them where errors are largest:

                            tanh float32    tanh float64    sigmoid float32    sigmoid float64
    fused multiply-add         1.933           1.945             1.750              1.702
    without                    1.960           1.963             1.770              1.730
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import pytest
from numba.core import config

from rnnbench import arithmetic
from rnnbench.backends.cpu.compilation import specialise
from rnnbench.backends.cpu.elementary import COEFFICIENTS, implementations
from rnnbench.backends.cpu.lanes import load, store
from rnnbench.backends.cpu.target import target

BOUND = 2.0
CASES = [(name, dtype) for name in ("tanh", "sigmoid") for dtype in ("float32", "float64")]
WORST = {"tanh": [(0.12, 0.28), (0.45, 0.56)], "sigmoid": [(-1.2, -1.0), (-18.1, -15.9), (-38.2, -36.0)]}
"""Where errors are largest; in sigmoid's second and third range the 1 of 1 + e^-x leaves float32 or float64."""
SMALLEST_SIGMOID = {"float32": -87.0, "float64": -708.0}
"""Below this sigmoid stays where it is, at about the smallest normal number; relative accuracy ends."""
ONE = (0,)
LANE: tuple[int, ...] = ()
Halves = tuple[np.ndarray, np.ndarray]
"""Numbers as sums of two float64, the first nearest to the sum."""
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
    """Return numbers of every magnitude, and as many in the ranges where the functions are not constant or worst."""
    rng = np.random.default_rng(0)
    kind = np.dtype(f"uint{8 * np.dtype(dtype).itemsize}")
    anything = rng.integers(0, np.iinfo(kind).max, count, kind, endpoint=True).view(dtype)
    wide = 100 if dtype == "float32" else 720
    ranges = [(-12, 12), (-wide, wide), *WORST["tanh"], *WORST["sigmoid"]]
    parts = [anything[np.isfinite(anything)], *(rng.uniform(low, high, count) for low, high in ranges)]
    return np.concatenate(parts).astype(dtype)


def every_exponent(dtype: str, count: int) -> np.ndarray:
    """Return `count` random numbers of each exponent and sign, subnormal ones too, and zero."""
    information = np.finfo(dtype)
    exponents = np.arange(information.minexp - information.nmant, information.maxexp)
    mantissas = np.random.default_rng(1).uniform(1, 2, (count, exponents.size)).astype(dtype)
    magnitudes = np.ldexp(mantissas, exponents)
    magnitudes = magnitudes[np.isfinite(magnitudes)]
    return np.concatenate([magnitudes, -magnitudes, np.zeros(1, dtype)])


def binade(exponent: int, sign: int) -> np.ndarray:
    """Return every float32 of one sign from 2^exponent until its double."""
    first, end = np.array([2.0**exponent, 2.0 ** (exponent + 1)], np.float32).view(np.uint32)
    return np.float32(sign) * np.arange(first, end, dtype=np.uint32).view(np.float32)


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


def from_decimals(name: str, x: np.ndarray) -> Halves:
    """Return the function's values, computed with decimal numbers."""
    values = [exact(name, float(v)) for v in x]
    high = np.array([float(value) for value in values])
    return high, np.array([float(value - Decimal(float(h))) for value, h in zip(values, high, strict=True)])


def from_wider(name: str, x: np.ndarray) -> Halves:
    """Return the function's values, computed in a dtype with 11 or more bits than x has."""
    wide = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
    with np.errstate(over="ignore", under="ignore"):
        values = np.tanh(wide) if name == "tanh" else 1 / (1 + np.exp(-wide))
        high = values.astype(np.float64)
        return high, (values - high).astype(np.float64)


def largest_error(found: np.ndarray, expected: Halves) -> float:
    """Return the largest error in units in the last place: the spacing of floats where the expected number lies."""
    high, low = expected
    nearest = high.astype(found.dtype)
    rounded_up = np.sign(high) * ((nearest - high) - low) > 0
    rounded_down = np.where(rounded_up, np.nextafter(nearest, np.zeros_like(nearest)), nearest)
    spacing = np.abs(np.spacing(rounded_down)).astype(np.float64)
    return float((np.abs((found - high) - low) / spacing).max())  # NaN where anything is NaN


def in_range(name: str, x: np.ndarray) -> np.ndarray:
    return x if name == "tanh" else x[x >= SMALLEST_SIGMOID[str(x.dtype)]]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_accuracy(name: str, dtype: str) -> None:
    x = in_range(name, np.concatenate([random_numbers(dtype, 400), every_exponent(dtype, 1)]))
    assert largest_error(evaluate(name, x), from_decimals(name, x)) <= BOUND


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_accuracy_of_very_many_numbers(name: str, dtype: str) -> None:
    if dtype == "float64" and np.finfo(np.longdouble).nmant < 63:
        pytest.skip("no dtype wider than float64 here")
    x = in_range(name, np.concatenate([random_numbers(dtype, 200_000), every_exponent(dtype, 200)]))
    assert largest_error(evaluate(name, x), from_wider(name, x)) <= BOUND


@pytest.mark.parametrize(
    ("name", "exponent", "sign"),
    [("tanh", -3, 1), ("tanh", -1, 1), ("sigmoid", -1, 1), ("sigmoid", 0, -1), ("sigmoid", 4, -1)],
)
def test_accuracy_of_every_float32_of_a_critical_binade(name: str, exponent: int, sign: int) -> None:
    x = binade(exponent, sign)
    assert largest_error(evaluate(name, x), from_wider(name, x)) <= BOUND


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 0.29 * 2**-24), ("float64", 0.01 * 2**-53)])
def test_the_polynomial_is_nearer_than_rounding(dtype: str, bound: float) -> None:
    """Its coefficients rounded to the dtype, but computed exactly."""
    coefficients = [Decimal(float(np.dtype(dtype).type(c))) for c in COEFFICIENTS[dtype]]
    with localcontext(prec=60):
        edge = Decimal(2).ln() / 2
        for step in [*range(-100, 0), *range(1, 101)]:
            r = edge * step / 100
            polynomial = r + sum(c * r**n for n, c in enumerate(coefficients, 2))
            assert abs(polynomial / (r.exp() - 1) - 1) <= bound


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
        """tanh is odd to the last bit; the two halves of sigmoid come from different numbers."""
        x = in_range(name, -np.abs(random_numbers(dtype, 2000)))
        below, above = evaluate(name, x), evaluate(name, -x)
        if name == "tanh":
            np.testing.assert_array_equal(below, -above)
        else:
            assert (np.abs(below - (1 - above)) <= 2 * BOUND * np.spacing(above)).all()

    def test_saturation_is_monotone(self, name: str, dtype: str) -> None:
        """Once it is 1 it stays 1, through the clamp and beyond."""
        values = evaluate(name, np.linspace(0, 60, 20_001).astype(dtype))
        first = np.argmax(values == 1)
        assert first > 0
        np.testing.assert_array_equal(values[first:], 1)

    def test_values_stay_within_the_limits(self, name: str, dtype: str) -> None:
        values = evaluate(name, random_numbers(dtype, 20_000))
        assert np.abs(values).max() <= 1
        assert name == "tanh" or values.min() > 0


@pytest.mark.parametrize("dtype", SMALLEST_SIGMOID)
def test_sigmoid_of_large_negative_numbers_is_as_good_as_zero(dtype: str) -> None:
    values = evaluate("sigmoid", np.array([-np.inf, -1e30, -1000, SMALLEST_SIGMOID[dtype] * 1.01], dtype))
    assert (values <= 2 * np.finfo(dtype).tiny).all()
