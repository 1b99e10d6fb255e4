"""tanh and the logistic function for lanes: polynomials, so that a vector of them is a vector of instructions.

Both come from e^y = 2^k e^r with k = round(y / ln 2) and |r| <= ln(2)/2: e^r - 1 is its Taylor polynomial to the
degree that leaves less than half a unit in the last place, and 2^k is written into the exponent bits.

    tanh(x) = E / (E + 2)  with E = e^{2x} - 1,        sigmoid(x) = 1 / (1 + e^{-x})

E is 2^k (e^r - 1) + (2^k - 1), which does not cancel near 0. Beyond its clamp tanh is 1 to the last bit; sigmoid
stays at about the smallest normal number instead of going on to 0. The largest error measured is 2.5 units in the last
place, of both functions in both dtypes (tests/backends/test_elementary.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rnnbench import arithmetic
from rnnbench.backends.cpu.compilation import inlined, specialise
from rnnbench.backends.cpu.lanes import power_of_two, where

LOG2_E = 1 / math.log(2)

# What `specialise` puts in the place of these is chosen by dtype.
LN2_HIGH = LN2_LOW = ROUND = TANH_LIMIT = SIGMOID_LIMIT = 0.0
polynomial: Callable


def polynomial_float32(r):
    """Return e^r - 1 for |r| <= ln(2)/2: 1/2, 1/6, ... 1/7! by Horner's rule."""
    p = r * (1 / 5040) + (1 / 720)
    p = p * r + (1 / 120)
    p = p * r + (1 / 24)
    p = p * r + (1 / 6)
    p = p * r + 0.5
    return p * (r * r) + r


def polynomial_float64(r):
    """Return e^r - 1 for |r| <= ln(2)/2: 1/2, 1/6, ... 1/13! by Horner's rule."""
    p = r * (1 / 6227020800) + (1 / 479001600)
    p = p * r + (1 / 39916800)
    p = p * r + (1 / 3628800)
    p = p * r + (1 / 362880)
    p = p * r + (1 / 40320)
    p = p * r + (1 / 5040)
    p = p * r + (1 / 720)
    p = p * r + (1 / 120)
    p = p * r + (1 / 24)
    p = p * r + (1 / 6)
    p = p * r + 0.5
    return p * (r * r) + r


def parts(y):
    """Return (e^r - 1, 2^k) for y = k ln 2 + r. Adding ROUND = 1.5 * 2^m leaves round(y / ln 2) in the low bits."""
    shifted = y * LOG2_E + ROUND
    k = shifted - ROUND
    r = (y - k * LN2_HIGH) - k * LN2_LOW
    return polynomial(r), power_of_two(shifted)


def clamped(x, limit):
    """Return x held to [-limit, limit]; NaN stays NaN."""
    x = where(x < -limit, -limit, x)
    return where(x > limit, limit, x)


def tanh(x):
    """Return tanh(x)."""
    p, scale = parts(clamped(x + x, TANH_LIMIT))
    e = scale * p + (scale - 1.0)
    return e / (e + 2.0)


def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    p, scale = parts(clamped(0.0 - x, SIGMOID_LIMIT))
    return 1.0 / (1.0 + (scale * p + scale))


def _split_ln2(bits: int) -> tuple[float, float]:
    """Return ln 2 as a sum whose first term has few enough bits that k times it is exact."""
    high = math.floor(math.log(2) * 2**bits) / 2**bits
    # ln 2 - high, from more digits of ln 2 than a float64 holds
    low = (math.log(2) - high) + 2.3190468138462996e-17
    return high, low


@cache
def implementations(dtype: np.dtype) -> dict[Any, Any]:
    """Return {function of rnnbench.arithmetic: compiled implementation for lanes of that dtype}."""
    single = dtype == np.float32
    high, low = _split_ln2(12 if single else 40)
    tag = str(dtype)
    names = {
        "LN2_HIGH": high,
        "LN2_LOW": low,
        "ROUND": 1.5 * 2.0 ** np.finfo(dtype).nmant,
        "TANH_LIMIT": 20.0 if single else 40.0,
        "SIGMOID_LIMIT": 87.0 if single else 708.0,
        "polynomial": inlined(polynomial_float32 if single else polynomial_float64),
    }
    return {
        arithmetic.where: where,
        arithmetic.tanh: specialise(tanh, names, tag, decorate=inlined),
        arithmetic.sigmoid: specialise(sigmoid, names, tag, decorate=inlined),
    }
