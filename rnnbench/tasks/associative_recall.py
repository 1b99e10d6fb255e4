"""Associative recall: pairs are shown, and then asked for."""

from __future__ import annotations

import math

import numpy as np

from rnnbench.tasks._metrics import accuracy
from rnnbench.tasks.base import Baseline, Batch, Task

VALUES = 8
PARTS = 3  # a pair takes two steps to be shown and one to be asked for


class AssociativeRecall(Task):
    """Remember which value each key was shown with, for as many keys as the length has room for.

    Encoding: tokens (T, B) of P keys and 8 values, P = T // 3. The P keys, in random order, are shown each followed by
    a value, 2P steps; then all keys are asked for once, in another random order, P steps. Values are drawn with
    repetition. What remains of T is left out: a batch has 3P steps.
    Target: at each question the value that was shown with the key, one of 8 classes; the mask leaves out the rest.
    Loss: cross-entropy over the questions.
    Baseline: a uniform guess among the values: accuracy 1/8, loss ln 8.
    Solved: at least 99 % of the questions answered right.
    Source: the multi-query associative recall (MQAR) of Arora et al. 2023, "Zoology: Measuring and Improving Recall in
    Efficient Language Models", with a small vocabulary and no filling between questions; one question only: Ba et al.
    2016, "Using Fast Weights to Attend to the Recent Past".
    """

    name = "associative_recall"
    wiring = "many-to-many"
    loss = "cross_entropy"
    metric = "accuracy"
    metric_unit = "fraction correct"
    higher_is_better = True
    solved_threshold = 0.99
    default_length = 12
    minimum_length = 2 * PARTS  # with a single pair there is nothing to look up
    output_size = VALUES
    baseline = Baseline(name="a uniform guess among the values", value=1 / VALUES, loss=math.log(VALUES))

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.pairs = self.length // PARTS
        self.input_size = self.pairs + VALUES  # keys first

    @property
    def steps(self) -> int:
        """Number of time steps: a multiple of three."""
        return PARTS * self.pairs

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh sequences."""
        size = (self.pairs, batch_size)
        keys, questions = rng.random(size).argsort(axis=0), rng.random(size).argsort(axis=0)
        values = rng.integers(0, VALUES, size)
        value_of = np.empty_like(values)
        np.put_along_axis(value_of, keys, values, axis=0)
        inputs = np.empty((self.steps, batch_size), dtype=np.int64)
        shown = 2 * self.pairs
        inputs[0:shown:2], inputs[1:shown:2], inputs[shown:] = keys, self.pairs + values, questions
        targets = np.zeros_like(inputs)
        targets[shown:] = np.take_along_axis(value_of, questions, axis=0)
        mask = np.zeros(inputs.shape, dtype=bool)
        mask[shown:] = True
        return Batch(inputs=inputs, targets=targets, mask=mask)

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the fraction of questions answered right; outputs (3P, B, 8)."""
        return accuracy(outputs, batch.targets, batch.mask)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return equal logits: the tie goes to value 0, which is as good a guess as any."""
        return np.zeros((*batch.targets.shape, self.output_size), dtype=np.float32)
