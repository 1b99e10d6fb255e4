"""The adding task: two numbers, far apart, are to be summed."""

from __future__ import annotations

import numpy as np

from rnnbench.tasks._metrics import mean_squared_error
from rnnbench.tasks.base import Baseline, Batch, Task


class Adding(Task):
    """Sum the two marked numbers of a long sequence of random ones.

    Encoding: inputs (T, B, 2); feature 0 is drawn from U(0, 1) at every step, feature 1 marks one step of
    the first half, [0, T // 2), and one of the second, [T // 2, T), with a 1 and is 0 elsewhere.
    Target: after the last step, the sum of the two marked numbers, (B, 1).
    Loss: mean squared error.
    Baseline: always answering the mean, 1, costs the variance of a sum of two U(0, 1): 2 · 1/12 = 1/6.
    Solved: a mean squared error of at most 1/600, a hundredth of that variance.
    Source: Arjovsky, Shah & Bengio 2016, "Unitary Evolution Recurrent Neural Networks", section 5.2; the
    task goes back to Hochreiter & Schmidhuber 1997, whose version has other ranges and lengths.
    """

    name = "adding"
    wiring = "many-to-one"
    loss = "mse"
    metric = "mean squared error"
    metric_unit = "mse"
    higher_is_better = False
    default_length = 100
    minimum_length = 2  # a marker in each half
    solved_threshold = 1 / 600  # 99 % of the variance is explained
    input_size = 2
    output_size = 1
    baseline = Baseline(name="always answer the mean, 1", value=1 / 6, loss=1 / 6)

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh sequences; the numbers are independent of where the markers are."""
        half, sequences = self.length // 2, np.arange(batch_size)
        first = rng.integers(0, half, batch_size)
        second = rng.integers(half, self.length, batch_size)
        inputs = np.zeros((self.length, batch_size, 2), dtype=np.float32)
        inputs[:, :, 0] = rng.random((self.length, batch_size), dtype=np.float32)
        inputs[first, sequences, 1] = inputs[second, sequences, 1] = 1
        total = inputs[first, sequences, 0] + inputs[second, sequences, 0]
        return Batch(inputs=inputs, targets=total[:, None])

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the mean squared error of outputs (B, 1)."""
        return mean_squared_error(outputs, batch.targets)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return the mean of the targets' distribution, 1, for every sequence."""
        return np.ones_like(batch.targets)
