"""What a task is: a seeded source of batches, a metric, and a trivial baseline to beat."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rnnbench.datasets.base import Dataset
from rnnbench.errors import InputError, ShapeError


@dataclass(frozen=True, eq=False)
class Batch:
    """B sequences of T steps and what a network should answer. Raises ShapeError when the parts disagree.

    inputs   float32 (T, B, I), or integer tokens int64 (T, B) that stand for one-hot vectors; T = 1 where
             there is one input
    targets  one answer: (B, K) float32 for mse, (B,) int64 classes for cross_entropy;
             many: (T, B, K) float32 or (T, B) int64 classes; sequence-to-sequence and one-to-many have a T
             of their own here
    mask     bool (T, B), the steps that count in loss and score; None: all of them (not where there is one answer)
    lengths  int64 (B,), the steps of each input sequence that are not padding; None: all T.
             In many-to-many the mask is False on padding.
    """

    inputs: np.ndarray
    targets: np.ndarray
    mask: np.ndarray | None = None
    lengths: np.ndarray | None = None

    def __post_init__(self) -> None:
        size = self.inputs.shape[1:2]
        if self.targets.shape[1:2] != size and self.targets.shape[:1] != size:
            raise ShapeError(f"targets {self.targets.shape}, expected to begin with (T, B) or (B,), B = {size[0]}")
        if self.mask is not None and not self.mask.shape == self.targets.shape[:2] == (len(self.mask), *size):
            raise ShapeError(f"mask {self.mask.shape} and targets {self.targets.shape}: expected (T, B) in both")
        if self.lengths is not None and self.lengths.shape != size:
            raise ShapeError(f"lengths {self.lengths.shape}, expected (B,) {size}")

    def parts(self, size: int) -> Iterator[Batch]:
        """Yield the batch in parts of at most `size` sequences."""
        by_step = self.targets.ndim == (3 if self.targets.dtype.kind == "f" else 2)
        for start in range(0, self.inputs.shape[1], size):
            some = slice(start, start + size)
            yield Batch(
                inputs=np.ascontiguousarray(self.inputs[:, some]),
                targets=self.targets[:, some] if by_step else self.targets[some],
                mask=None if self.mask is None else self.mask[:, some],
                lengths=None if self.lengths is None else self.lengths[some],
            )


class Baseline(NamedTuple):
    """What a predictor without memory achieves; `name` says what that predictor answers."""

    name: str
    value: float
    """its score, in the unit of the task's metric"""
    loss: float
    """its loss, in the unit of the task's loss"""


class Task(ABC):
    """Something to learn. A subclass in its own file is found by name; its first docstring line is its help.

    A subclass documents its encoding, target and loss, derives its baseline, and names its source.
    Raises InputError for a length the task cannot have.
    """

    name: ClassVar[str]
    wiring: ClassVar[str]
    """'many-to-one': one answer, after the last step; 'many-to-many': one at every step; and the others of
    `rnnbench.network`"""
    loss: ClassVar[str]
    """'mse' or 'cross_entropy' (nats), the mean over all answers that count"""
    metric: ClassVar[str]
    metric_unit: ClassVar[str]
    higher_is_better: ClassVar[bool]
    default_length: ClassVar[int]
    minimum_length: ClassVar[int] = 1
    confirmation_size: ClassVar[int] = 2_000
    """Fresh sequences on which a score that solves the task has to hold; 0 where the data are all there is"""
    application: ClassVar[str] = ""
    """what this use of a recurrent network is called; "" for a test of memory"""
    data: ClassVar[tuple[type[Dataset[Any]], ...]] = ()
    """the real data that sequences are made of"""
    synthetic: ClassVar[bool] = False
    """True where sequences are made up by rule, be it of real words; memory tasks need not say so"""
    baseline_name: ClassVar[str] = ""
    """what the trivial predictor of an application answers"""
    alphabet: str = ""
    """the characters that tokens stand for, where a trained network can write text; "" elsewhere"""

    solved_threshold: float
    """the score from which on the task counts as learned"""
    input_size: int
    """number of input features I, or of token classes"""
    output_size: int
    """number of outputs K that the network returns for each answer"""

    def __init__(self, length: int | None = None) -> None:
        self.length = self.default_length if length is None else length
        if not isinstance(self.length, int | np.integer) or self.length < self.minimum_length:
            raise self.wrong_length(f"an integer of at least {self.minimum_length}")

    def wrong_length(self, expected: str) -> InputError:
        """Return the error for a length the task cannot have; `expected` says which lengths it can."""
        return InputError(f"task '{self.name}': length = {self.length!r}, expected {expected}")

    @property
    def steps(self) -> int:
        """Number of time steps T in a batch: the length, unless the task's source counts otherwise."""
        return self.length

    @property
    def training_steps(self) -> int:
        """Number of time steps in a batch to train on: fewer where a task is tested on longer sequences."""
        return self.steps

    @property
    def answer_steps(self) -> int:
        """Number of steps T of the answers where each sequence has many."""
        return self.steps

    @abstractmethod
    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return `batch_size` sequences to train on, fresh ones at every call."""

    def evaluation(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return sequences that were never trained on.

        Generated tasks draw `batch_size` fresh ones. Tasks on real data draw from the held-out part
        without repetition and return all of it, fewer than `batch_size`, when that is all there is.
        """
        return self.sample(rng, batch_size)

    @abstractmethod
    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the metric of a network's outputs, (B, K) or (T, B, K); ShapeError for any other shape."""

    @property
    @abstractmethod
    def baseline(self) -> Baseline:
        """What the task's trivial predictor achieves: a network at this score has remembered nothing."""

    @property
    def references(self) -> dict[str, float]:
        """Scores of other simple predictors beside the baseline, by an identifier such as "seasonal_naive"."""
        return {}

    @abstractmethod
    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return the outputs of the predictor that `baseline` describes, shaped like a network's."""

    def solved(self, score: float) -> bool:
        """Tell whether a score means that the task is learned: it reaches the threshold. NaN never does."""
        return score >= self.solved_threshold if self.higher_is_better else score <= self.solved_threshold
