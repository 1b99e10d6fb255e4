"""The parity task: learned on short strings, tested on longer ones."""

from __future__ import annotations

import math

import numpy as np

from rnnbench.tasks._metrics import accuracy
from rnnbench.tasks.base import Baseline, Batch, Task

LONGEST_TRAINED = 40


class Parity(Task):
    """Tell whether a string of bits, longer than any that was trained on, holds an even or an odd number of ones.

    Encoding: inputs (T, B, 1), bits that are 0 or 1 with equal chance, and 0 after the end of a string. Strings to
    train on have U{1..40} bits, strings to evaluate U{41..T}. `length` is T, the longest string tested.
    Target: after the last bit, class 0 for even and 1 for odd.
    Loss: cross-entropy.
    Baseline: both classes are equally likely: accuracy 1/2, loss ln 2.
    Solved: at least 90 % of fresh strings of unseen lengths right.
    Source: Delétang et al. 2023, "Neural Networks and the Chomsky Hierarchy", parity check: trained on U{1..40}, tested
    up to 500, solved from 90 %.
    """

    name = "parity"
    wiring = "many-to-one"
    loss = "cross_entropy"
    metric = "accuracy"
    metric_unit = "fraction correct"
    higher_is_better = True
    solved_threshold = 0.9
    default_length = 100
    minimum_length = LONGEST_TRAINED + 1
    input_size = 1
    output_size = 2
    baseline = Baseline(name="a uniform guess between even and odd", value=1 / 2, loss=math.log(2))

    @property
    def training_steps(self) -> int:
        """Number of time steps in a batch to train on."""
        return LONGEST_TRAINED

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh strings of 1 to 40 bits."""
        return self._strings(rng, rng.integers(1, LONGEST_TRAINED, batch_size, endpoint=True), LONGEST_TRAINED)

    def evaluation(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh strings of 41 to T bits."""
        lengths = rng.integers(LONGEST_TRAINED + 1, self.length, batch_size, endpoint=True)
        return self._strings(rng, lengths, self.length)

    def _strings(self, rng: np.random.Generator, lengths: np.ndarray, steps: int) -> Batch:
        bits = rng.integers(0, 2, (steps, lengths.size)) * (np.arange(steps)[:, None] < lengths)
        return Batch(inputs=bits[:, :, None].astype(np.float32), targets=bits.sum(axis=0) % 2, lengths=lengths)

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the accuracy of outputs (B, 2)."""
        return accuracy(outputs, batch.targets)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return equal logits: the tie goes to even, which is as good a guess as odd."""
        return np.zeros((*batch.targets.shape, self.output_size), dtype=np.float32)
