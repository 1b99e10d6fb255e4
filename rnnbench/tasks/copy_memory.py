"""The copy-memory task: ten symbols are to be repeated after a long wait."""

from __future__ import annotations

import math

import numpy as np

from rnnbench.tasks._metrics import accuracy
from rnnbench.tasks.base import Baseline, Batch, Task

SYMBOLS = 8  # tokens 0 to 7
BLANK = 8
DELIMITER = 9
COPIED = 10  # how many symbols are to be remembered


class CopyMemory(Task):
    """Repeat ten symbols, in order, a given number of steps after they were shown.

    Encoding: tokens (T + 20, B) of 10 classes: ten symbols drawn from 0 to 7, T - 1 blanks, one delimiter,
    ten blanks. `length` is T, the wait, as in the source; a batch has T + 20 steps.
    Target: at every step one of 9 classes: T + 10 blanks, then the ten symbols.
    Loss: cross-entropy, the mean over all T + 20 steps.
    Metric: recall, the fraction of the last ten answers that are right; the blanks, which anybody gets
    right, do not count.
    Baseline: blanks, then a uniform guess among the 8 symbols: recall 1/8, and a loss of
    10 ln 8 / (T + 20) (`baseline.loss`), the plateau that published learning curves show.
    Solved: recall of at least 99 %.
    Source: Arjovsky, Shah & Bengio 2016, "Unitary Evolution Recurrent Neural Networks", section 5.1. Other
    tasks of the same name have one blank or eleven delimiters, or count only the last ten steps in the loss.
    """

    name = "copy_memory"
    wiring = "many-to-many"
    loss = "cross_entropy"
    metric = "recall"
    metric_unit = "fraction correct"
    higher_is_better = True
    solved_threshold = 0.99
    default_length = 100
    input_size = SYMBOLS + 2
    output_size = SYMBOLS + 1

    @property
    def steps(self) -> int:
        """Number of time steps: the symbols, the wait with its delimiter, and the answer."""
        return self.length + 2 * COPIED

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh sequences."""
        symbols = rng.integers(0, SYMBOLS, (COPIED, batch_size))
        inputs = np.full((self.steps, batch_size), BLANK, dtype=np.int64)
        inputs[:COPIED] = symbols
        inputs[-COPIED - 1] = DELIMITER
        targets = np.full_like(inputs, BLANK)
        targets[-COPIED:] = symbols
        return Batch(inputs=inputs, targets=targets)

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the recall of outputs (T + 20, B, 9)."""
        copied = np.zeros(batch.targets.shape, dtype=bool)
        copied[-COPIED:] = True
        return accuracy(outputs, batch.targets, copied)

    @property
    def baseline(self) -> Baseline:
        """Recall and loss of one who knows the rules but not the symbols."""
        guess = COPIED * math.log(SYMBOLS) / self.steps
        return Baseline(name="blanks, then a uniform guess among the symbols", value=1 / SYMBOLS, loss=guess)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return logits: certain of the blanks, then indifferent among the symbols."""
        outputs = np.zeros((*batch.targets.shape, self.output_size), dtype=np.float32)
        outputs[:-COPIED, :, BLANK] = 100
        outputs[-COPIED:, :, BLANK] = -100
        return outputs
