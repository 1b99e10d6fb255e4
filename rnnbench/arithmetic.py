"""Scalar functions shared by every target: the nonlinearities of the cells, and their slopes.

Cells are written with these functions, plain operators and literal numbers, nothing else. As they stand they
take any number or array that NumPy knows, complex ones included, so that complex-step differentiation can check
a cell's derivative. A backend that compiles a cell puts its own implementation of `tanh`, `sigmoid` and `where`
in their place. Literals follow the other operand's type: `1.0 - x` is float32 where x is.

Slopes are given in terms of the function's value, which is what backward steps have at hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Scalar = Any
"""A number, or what a backend runs in its place: an array, or some lanes of a vector register."""


def where(condition: Any, a: Scalar, b: Scalar) -> Scalar:
    """Return a where the condition holds, else b; cells have no other branch."""
    return np.where(condition, a, b)


def tanh(x: Scalar) -> Scalar:
    """Return tanh(x)."""
    return np.tanh(x)


def sigmoid(x: Scalar) -> Scalar:
    """Return 1 / (1 + exp(-x)), written as (1 + tanh(x/2)) / 2 so that no exponential overflows."""
    return 0.5 * np.tanh(0.5 * x) + 0.5


def relu(x: Scalar) -> Scalar:
    """Return max(x, 0), and NaN for NaN. Complex numbers are ordered by their real part first, as in NumPy."""
    return where(x < 0.0, 0.0, x)


def tanh_slope(y: Scalar) -> Scalar:
    """Return d tanh(x)/dx = 1 - y^2 for y = tanh(x)."""
    return 1.0 - y * y


def sigmoid_slope(y: Scalar) -> Scalar:
    """Return d sigmoid(x)/dx = y (1 - y) for y = sigmoid(x)."""
    return y * (1.0 - y)


def relu_slope(y: Scalar) -> Scalar:
    """Return d relu(x)/dx for y = relu(x): 1 where y > 0, else 0."""
    return where(y > 0.0, 1.0, y)
