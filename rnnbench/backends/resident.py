"""Training where a backend's numbers are: what such a backend is told of a network, and what it is asked to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rnnbench.cells.base import Cell


class Model(NamedTuple):
    """A stack of layers with a linear readout, y = features W_hy + b_y.

    Features are the last layer's h at every step, (T*B, D*H); or its last, (B, D*H), where a sequence has one answer.
    """

    cell: Cell
    layers: int
    directions: int
    hidden: int
    answers_once: bool
    loss: str
    """"mse" or "cross_entropy", the mean over all answers that count"""
    params: dict[str, np.ndarray]
    """the host's, by the names of Network: layer0.W_xh ... layer0.reverse.W_xh ... W_hy, b_y"""


class Learning(NamedTuple):
    """How weights are changed: see optimizers.Optimizer and training.Recipe, whose clipping this is."""

    element: Callable
    slots: int
    constants: int
    clip_norm: float
    clip_value: float


class Examples(NamedTuple):
    """What one step of training reads: N answers, one a sequence or one a sequence and step."""

    inputs: np.ndarray
    """(T, B, I)"""
    targets: np.ndarray
    """(N, K) numbers, or (N,) classes"""
    counts: np.ndarray | None
    """(N,), which answers count; None: all"""
    lengths: np.ndarray | None
    """(B,), steps of each sequence; None: all T"""


class Taken(NamedTuple):
    """What became of one step of training."""

    loss: float
    gradient_norm: float
    clipped: bool


class Resident(ABC):
    """A model in training on a device: parameters, gradient and the optimizer's state stay there from step to step.

    A step whose loss or gradient is not finite changes nothing, nor does any step after it.
    """

    @abstractmethod
    def run(self, batches: Sequence[Examples], constants: np.ndarray) -> list[Taken]:
        """Take a step a batch, with its row of the optimizer's constants; wait once, when all of them are taken.

        The parameters are then the host's as well, where Model.params says.
        """
