"""tanh and the logistic function for lanes: polynomials, so that a vector of them is a vector of instructions.

Both come from w = e^{sx} = 2^k e^{sr} with k = round(sx / ln 2), thus r = x - k ln(2)/s and |sr| <= ln(2)/2. A
polynomial gives p = (e^{sr} - 1) / s, so that w = 2^k (1 + s p), and 2^k is written into the exponent bits.

    s = 2:   tanh(x) = (w - 1) / (w + 1) for x <= 0, and -tanh(-x) above        s = -1:   sigmoid(x) = 1 / (1 + w)

w - 1 and w + 1 are 2^k p plus a number that is exact: each is rounded once, and nothing cancels near 0. tanh keeps to
w <= 1 because there w + 1 lies below a power of two, not above, where its rounding would weigh twice as much. Beyond
its clamp tanh is 1 to the last bit; sigmoid stays at about the smallest normal number instead of going on to 0.

Errors are at most 2 units in the last place (tests/backends/test_elementary.py). The largest measured, the larger of
the two dtypes: tanh 1.95 and sigmoid 1.75 with fused multiply-add, 1.97 and 1.77 without.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rnnbench import arithmetic
from rnnbench.backends.cpu.compilation import linked, specialise
from rnnbench.backends.cpu.lanes import power_of_two, where

LN2 = math.log(2)
LN2_REST = 2.3190468138462996e-17
"""ln 2 minus the float64 nearest to it, from more digits of ln 2 than a float64 holds."""

COEFFICIENTS = {
    "float32": (
        0.49999998154005836,
        0.16666543621160043,
        0.041667199877721625,
        0.0083665205678489971,
        0.0013882520267993094,
    ),
    "float64": (
        0.5,
        0.16666666666666677,
        0.041666666666666509,
        0.0083333333333216916,
        0.0013888888888962381,
        0.0001984126988596574,
        2.4801587172516009e-05,
        2.7557244374391910e-06,
        2.7557402663986493e-07,
        2.5108978809569218e-08,
        2.0875322893963810e-09,
    ),
}
"""c2, c3, ... of r + c2 r^2 + c3 r^3 + ..., for |r| <= ln(2)/2 the polynomial of that form whose largest relative
error from e^r - 1 is the least (Remez exchange): 0.29 of 2^-24 in float32, 0.01 of 2^-53 in float64."""

# What `specialise` puts in the place of these is chosen by function and dtype.
RATE = STEP = STEP_REST = STEP_HIGH = STEP_LOW = ROUND = LIMIT = 0.0
C2 = C3 = C4 = C5 = C6 = C7 = C8 = C9 = C10 = C11 = C12 = 0.0
polynomial: Callable
square: Callable


def polynomial_float32(r, r2):
    """Return (e^{sr} - 1) / s for |sr| <= ln(2)/2 and r2 = r^2, by Horner's rule; Cn is cn s^(n-1)."""
    p = r * C6 + C5
    p = p * r + C4
    p = p * r + C3
    p = p * r + C2
    return p * r2 + r


def polynomial_float64(r, r2):
    """Return (e^{sr} - 1) / s for |sr| <= ln(2)/2 and r2 = r^2, by Horner's rule; Cn is cn s^(n-1)."""
    p = r * C12 + C11
    p = p * r + C10
    p = p * r + C9
    p = p * r + C8
    p = p * r + C7
    p = p * r + C6
    p = p * r + C5
    p = p * r + C4
    p = p * r + C3
    p = p * r + C2
    return p * r2 + r


def square_float32(r, k):
    """Return r^2. The float32 nearest to ln 2 has an error of 2^-29: a few times that, k of it, is nothing in r."""
    return r * r


def square_float64(r, k):
    """Return r^2 with what k times the rounding error of ln 2 would add to r, where it would be rounded away."""
    return r * r - k * STEP_REST


def power(x):
    """Return (k, 2^k) for k = round(sx / ln 2). Adding ROUND = 1.5 * 2^m leaves k in the low bits."""
    shifted = x * RATE + ROUND
    return shifted - ROUND, power_of_two(shifted)


def tanh(x):
    """Return tanh(x)."""
    y = where(-x < x, -x, x)
    y = where(y < -LIMIT, -LIMIT, y)  # NaN stays NaN
    k, scale = power(y)
    # One step to r is enough: with a k beyond the first few w is too small for its error to show.
    r = y - k * STEP
    wp = scale * polynomial(r, square(r, k))
    below = scale * 0.5 - 0.5
    t = (below + wp) / ((below + 1.0) + wp)  # (w - 1)/2 over (w + 1)/2
    return where(x > 0.0, -t, t)


def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    x = where(x < -LIMIT, -LIMIT, x)
    x = where(x > LIMIT, LIMIT, x)
    k, scale = power(x)
    r = (x - k * STEP_HIGH) - k * STEP_LOW
    # w + 1 = 2^k + 1 - 2^k p; a large 2^k loses the 1 when it is added.
    above = scale + 1.0
    lost = 1.0 - (above - scale)
    return 1.0 / (above + (lost - scale * polynomial(r, r * r)))


def _names(dtype: np.dtype, s: int, limit: float, tag: str) -> dict[str, Any]:
    """Return what the names above stand for in the function with that s and clamp."""
    single = dtype == np.float32
    bits = 12 if single else 40  # so few that k times the high part of ln 2 is exact
    high = math.floor(LN2 * 2**bits) / 2**bits
    names = {
        "RATE": s / LN2,
        "STEP": LN2 / s,
        "STEP_REST": LN2_REST / s / (s / 2),  # in units of r, over the coefficient of r^2
        "STEP_HIGH": high / s,
        "STEP_LOW": ((LN2 - high) + LN2_REST) / s,
        "ROUND": 1.5 * 2.0 ** np.finfo(dtype).nmant,
        "LIMIT": limit,
        **{f"C{n}": c * s ** (n - 1) for n, c in enumerate(COEFFICIENTS[str(dtype)], 2)},
    }
    parts = (polynomial_float32, square_float32) if single else (polynomial_float64, square_float64)
    compiled = (specialise(part, names, tag, decorate=linked) for part in parts)
    return names | dict(zip(("polynomial", "square"), compiled, strict=True))


@cache
def implementations(dtype: np.dtype) -> dict[Any, Any]:
    """Return {function of rnnbench.arithmetic: compiled implementation for lanes of that dtype}."""
    single = dtype == np.float32

    def compiled(function: Callable, s: int, limit: float) -> Any:
        tag = f"{function.__name__}_{dtype}"
        return specialise(function, _names(dtype, s, limit, tag), tag, decorate=linked)

    return {
        arithmetic.where: where,
        arithmetic.tanh: compiled(tanh, 2, 10.0 if single else 20.0),
        arithmetic.sigmoid: compiled(sigmoid, -1, 87.0 if single else 708.0),
    }
