"""Optimizers and gradient clipping over one flat vector of parameters, compiled.

    sgd       v = m v + g                                   w -= rate v                      m = 0.9
    rmsprop   s = a s + (1-a) g^2                           w -= rate g / (sqrt(s) + e)      a = 0.9
    adam      m = b1 m + (1-b1) g,  s = b2 s + (1-b2) g^2   w -= rate m^ / (sqrt(s^) + e)    b1 = 0.9, b2 = 0.999

with m^ = m / (1 - b1^t), s^ = s / (1 - b2^t) and e = 1e-8. Sources: Sutskever et al. 2013 (momentum as in PyTorch);
Tieleman and Hinton 2012, lecture 6e; Kingma and Ba 2015, algorithm 1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from rnnbench.arithmetic import Scalar
from rnnbench.backends.cpu.compilation import inlined, kernel
from rnnbench.cells.base import Scalars
from rnnbench.errors import InputError
from rnnbench.registry import lookup


@kernel
def global_norm(gradient: Any) -> Any:
    """Return the 2-norm of the whole gradient, summed in float64."""
    total = 0.0
    for g in gradient:
        total += np.float64(g) * np.float64(g)
    return math.sqrt(total)


@kernel
def clip_by_value(gradient: Any, limit: Any) -> None:
    """Hold every entry to [-limit, limit]; NaN stays NaN."""
    for i in range(gradient.size):
        if gradient[i] > limit:
            gradient[i] = limit
        elif gradient[i] < -limit:
            gradient[i] = -limit


def clip_by_global_norm(gradient: np.ndarray, limit: float, norm: float) -> None:
    """Scale the gradient by min(1, limit / norm) in place, norm being its own (Pascanu et al. 2013, algorithm 1)."""
    if norm > limit:
        gradient *= gradient.dtype.type(limit / norm)


def sgd_element(weight: Scalar, gradient: Scalar, state: Scalars, constants: Scalars) -> tuple[Scalar, Scalars]:
    """Return one weight and its state after a step; constants are the rate and the momentum."""
    rate, momentum = constants
    velocity = momentum * state[0] + gradient
    return weight - rate * velocity, (velocity,)


def rmsprop_element(weight: Scalar, gradient: Scalar, state: Scalars, constants: Scalars) -> tuple[Scalar, Scalars]:
    """Return one weight and its state after a step; constants are the rate, a, 1 - a and e."""
    rate, decay, rest, epsilon = constants
    square = decay * state[0] + rest * gradient * gradient
    return weight - rate * gradient / (math.sqrt(square) + epsilon), (square,)


def adam_element(weight: Scalar, gradient: Scalar, state: Scalars, constants: Scalars) -> tuple[Scalar, Scalars]:
    """Return one weight and its state after a step; constants are both corrections, b1, 1 - b1, b2, 1 - b2 and e."""
    rate, correction, mean_decay, mean_rest, square_decay, square_rest, epsilon = constants
    mean = mean_decay * state[0] + mean_rest * gradient
    square = square_decay * state[1] + square_rest * gradient * gradient
    return weight - rate * mean / (math.sqrt(square) * correction + epsilon), (mean, square)


_sgd_element, _rmsprop_element, _adam_element = map(inlined, (sgd_element, rmsprop_element, adam_element))


@kernel
def _sgd(weights: Any, gradient: Any, velocity: Any, constants: Any) -> None:
    for i in range(weights.size):
        weights[i], (velocity[i],) = _sgd_element(weights[i], gradient[i], (velocity[i],), constants)


@kernel
def _rmsprop(weights: Any, gradient: Any, square: Any, constants: Any) -> None:
    for i in range(weights.size):
        weights[i], (square[i],) = _rmsprop_element(weights[i], gradient[i], (square[i],), constants)


@kernel
def _adam(weights: Any, gradient: Any, mean: Any, square: Any, constants: Any) -> None:
    for i in range(weights.size):
        weights[i], (mean[i], square[i]) = _adam_element(weights[i], gradient[i], (mean[i], square[i]), constants)


class Optimizer(ABC):
    """Changes a vector of weights in place, given the gradient; constants are cast to the weights' type.

    What happens to one weight is `element`, a scalar function like a cell's, so that a backend that keeps the weights
    on a device runs the same one there.
    """

    name: ClassVar[str]
    slots: ClassVar[int]
    """Numbers that are kept for each weight."""
    constants: ClassVar[int]
    """Numbers that `element` is given at each step."""
    element: ClassVar[Callable]

    def __init__(self, weights: np.ndarray, learning_rate: float) -> None:
        if not learning_rate > 0:
            raise InputError(f"learning_rate is {learning_rate}; expected a number > 0")
        self.weights = weights
        self.learning_rate = learning_rate
        self.steps = 0
        self.state = [np.zeros_like(weights) for _ in range(self.slots)]

    def step(self, gradient: np.ndarray) -> None:
        """Take one step against the gradient."""
        number = self.weights.dtype.type
        self._update(gradient, tuple(number(value) for value in self.next_constants()))

    def next_constants(self) -> tuple[float, ...]:
        """Return what `element` is given at the next step, which is thereby taken."""
        self.steps += 1
        return self._constants()

    @abstractmethod
    def _constants(self) -> tuple[float, ...]: ...

    @abstractmethod
    def _update(self, gradient: np.ndarray, constants: tuple) -> None: ...


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum 0.9."""

    name, slots, constants, element = "sgd", 1, 2, staticmethod(sgd_element)

    def _constants(self) -> tuple[float, ...]:
        return self.learning_rate, 0.9

    def _update(self, gradient: np.ndarray, constants: tuple) -> None:
        _sgd(self.weights, gradient, *self.state, constants)


class RmsProp(Optimizer):
    """Gradient divided by the root of its running mean square."""

    name, slots, constants, element = "rmsprop", 1, 4, staticmethod(rmsprop_element)

    def _constants(self) -> tuple[float, ...]:
        return self.learning_rate, 0.9, 0.1, 1e-8

    def _update(self, gradient: np.ndarray, constants: tuple) -> None:
        _rmsprop(self.weights, gradient, *self.state, constants)


class Adam(Optimizer):
    """Running mean of the gradient over the root of its running mean square, both corrected for their start at 0."""

    name, slots, constants, element = "adam", 2, 7, staticmethod(adam_element)

    def _constants(self) -> tuple[float, ...]:
        mean_decay, square_decay = 0.9, 0.999
        rate = self.learning_rate / (1 - mean_decay**self.steps)
        correction = 1 / math.sqrt(1 - square_decay**self.steps)
        return rate, correction, mean_decay, 1 - mean_decay, square_decay, 1 - square_decay, 1e-8

    def _update(self, gradient: np.ndarray, constants: tuple) -> None:
        _adam(self.weights, gradient, *self.state, constants)


OPTIMIZERS: dict[str, type[Optimizer]] = {kind.name: kind for kind in (Sgd, RmsProp, Adam)}


def make(name: str, weights: np.ndarray, learning_rate: float) -> Optimizer:
    """Return the optimizer of that name for a vector of weights; InputError names the nearest one."""
    return lookup("optimizer", name, OPTIMIZERS)(weights, learning_rate)
