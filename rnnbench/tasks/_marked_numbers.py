"""What the adding and the multiplication problem of Hochreiter & Schmidhuber 1997 have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from rnnbench.tasks._metrics import share_within
from rnnbench.tasks.base import Batch, Task

FIRST_WINDOW = 10  # the first marker is among the first ten steps
TOLERANCE = 0.04


class MarkedNumbers(Task):
    """Two marked numbers of a sequence are to be combined; see the subclasses for encoding and target."""

    wiring = "many-to-one"
    loss = "mse"
    metric = "answers within 0.04"
    metric_unit = "fraction correct"
    higher_is_better = True
    default_length = 100
    minimum_length = 20
    input_size = 2
    output_size = 1
    lowest: ClassVar[float]
    """The numbers are drawn from U(lowest, 1)."""
    answer: ClassVar[float]
    """The mean of the targets, which the baseline always answers."""

    @property
    def steps(self) -> int:
        """Number of time steps of the longest sequence: a tenth more than the shortest."""
        return self.length + self.length // 10

    @abstractmethod
    def combine(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the targets of sequences with these marked numbers."""

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh sequences; numbers, places and lengths are independent."""
        sequences = np.arange(batch_size)
        lengths = rng.integers(self.length, self.steps, batch_size, endpoint=True)
        first = rng.integers(1, FIRST_WINDOW, batch_size)
        second = rng.integers(1, self.length // 2 - 1, batch_size)
        second += second >= first  # any step of [1, T // 2) but the first marker's
        inputs = np.zeros((self.steps, batch_size, 2), dtype=np.float32)
        inputs[:, :, 0] = rng.uniform(self.lowest, 1, (self.steps, batch_size))
        inputs[first, sequences, 1] = inputs[second, sequences, 1] = 1
        inputs[0, :, 1] = inputs[lengths - 1, sequences, 1] = -1
        inputs[np.arange(self.steps)[:, None] >= lengths] = 0
        targets = self.combine(inputs[first, sequences, 0], inputs[second, sequences, 0])
        return Batch(inputs=inputs, targets=targets[:, None], lengths=lengths)

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the fraction of outputs (B, 1) whose absolute error is below 0.04."""
        return share_within(outputs, batch.targets, TOLERANCE)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return the mean of the targets' distribution for every sequence."""
        return np.full_like(batch.targets, self.answer)
