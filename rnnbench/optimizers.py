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
from typing import Any, ClassVar

import numpy as np

from rnnbench.backends.cpu.compilation import kernel
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


@kernel
def _sgd(weights: Any, gradient: Any, velocity: Any, rate: Any, momentum: Any) -> None:
    for i in range(weights.size):
        velocity[i] = momentum * velocity[i] + gradient[i]
        weights[i] -= rate * velocity[i]


@kernel
def _rmsprop(weights: Any, gradient: Any, square: Any, rate: Any, decay: Any, rest: Any, epsilon: Any) -> None:
    for i in range(weights.size):
        square[i] = decay * square[i] + rest * gradient[i] * gradient[i]
        weights[i] -= rate * gradient[i] / (np.sqrt(square[i]) + epsilon)


@kernel
def _adam(
    weights: Any,
    gradient: Any,
    mean: Any,
    square: Any,
    rate: Any,
    decays: Any,
    rests: Any,
    correction: Any,
    epsilon: Any,
) -> None:
    for i in range(weights.size):
        mean[i] = decays[0] * mean[i] + rests[0] * gradient[i]
        square[i] = decays[1] * square[i] + rests[1] * gradient[i] * gradient[i]
        weights[i] -= rate * mean[i] / (np.sqrt(square[i]) * correction + epsilon)


class Optimizer(ABC):
    """Changes a vector of weights in place, given the gradient; constants are cast to the weights' type."""

    name: ClassVar[str]
    slots: ClassVar[int]

    def __init__(self, weights: np.ndarray, learning_rate: float) -> None:
        if not learning_rate > 0:
            raise InputError(f"learning_rate is {learning_rate}; expected a number > 0")
        self.weights = weights
        self.learning_rate = learning_rate
        self.steps = 0
        self.state = [np.zeros_like(weights) for _ in range(self.slots)]

    def step(self, gradient: np.ndarray) -> None:
        """Take one step against the gradient."""
        self.steps += 1
        self._update(gradient, self.weights.dtype.type)

    @abstractmethod
    def _update(self, gradient: np.ndarray, number: type) -> None: ...


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum 0.9."""

    name, slots = "sgd", 1

    def _update(self, gradient: np.ndarray, number: type) -> None:
        _sgd(self.weights, gradient, *self.state, number(self.learning_rate), number(0.9))


class RmsProp(Optimizer):
    """Gradient divided by the root of its running mean square."""

    name, slots = "rmsprop", 1

    def _update(self, gradient: np.ndarray, number: type) -> None:
        _rmsprop(
            self.weights,
            gradient,
            *self.state,
            number(self.learning_rate),
            number(0.9),
            number(0.1),
            number(1e-8),
        )


class Adam(Optimizer):
    """Running mean of the gradient over the root of its running mean square, both corrected for their start at 0."""

    name, slots = "adam", 2

    def _update(self, gradient: np.ndarray, number: type) -> None:
        mean_decay, square_decay = 0.9, 0.999
        rate = self.learning_rate / (1 - mean_decay**self.steps)
        _adam(
            self.weights,
            gradient,
            *self.state,
            number(rate),
            (number(mean_decay), number(square_decay)),
            (number(1 - mean_decay), number(1 - square_decay)),
            number(1 / math.sqrt(1 - square_decay**self.steps)),
            number(1e-8),
        )


OPTIMIZERS: dict[str, type[Optimizer]] = {kind.name: kind for kind in (Sgd, RmsProp, Adam)}


def make(name: str, weights: np.ndarray, learning_rate: float) -> Optimizer:
    """Return the optimizer of that name for a vector of weights; InputError names the nearest one."""
    return lookup("optimizer", name, OPTIMIZERS)(weights, learning_rate)
