"""The language a^n b^n: as many b as there were a."""

from __future__ import annotations

import numpy as np

from rnnbench.tasks._next_symbols import NextSymbols
from rnnbench.tasks.base import Baseline, Batch

A, B, END = range(3)
LONGEST_TRAINED = 20  # n


class AnBn(NextSymbols):
    """Count: after n times a come n times b, and then the string ends; n is larger than any that was trained on.

    Encoding: tokens (T, B) of 2 classes, a (0) and b (1), n of each. Strings to train on have n of U{1..20}, strings to
    evaluate n of U{21..T // 2}. `length` is T, the longest string tested.
    Target: at every step (T, B, 3): may a follow, may b, may the string end? After a: a or b; after b: b, and after the
    last b the end.
    Loss: mean squared error over the steps of the strings.
    Baseline: who sees the last symbol only never knows the last b from the others: no string is right. Its outputs
    are frequencies: with q = 1 / E[n] the share of b that are the last, its loss is q (1 - q) / 3.
    Solved: at least 99 % of fresh strings right at every step.
    Source: Gers & Schmidhuber 2001, "LSTM Recurrent Networks Learn Simple Context-Free and Context-Sensitive
    Languages"; Weiss, Goldberg & Yahav 2018, "On the Practical Computational Power of Finite Precision RNNs
    for Language Recognition", compare LSTM and GRU.
    """

    name = "a_n_b_n"
    solved_threshold = 0.99
    default_length = 100
    minimum_length = 2 * LONGEST_TRAINED + 2
    input_size = 2
    output_size = 3

    @property
    def training_steps(self) -> int:
        """Number of time steps in a batch to train on."""
        return 2 * LONGEST_TRAINED

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh strings with n of 1 to 20."""
        return _strings(rng.integers(1, LONGEST_TRAINED, batch_size, endpoint=True), self.training_steps)

    def evaluation(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh strings with n of 21 to T // 2."""
        counts = rng.integers(LONGEST_TRAINED + 1, self.length // 2, batch_size, endpoint=True)
        return _strings(counts, self.steps)

    @property
    def baseline(self) -> Baseline:
        """Score and loss of one who sees the last symbol only."""
        last = self._last_among_b
        return Baseline(name="what may follow the last symbol (bigram)", value=0.0, loss=last * (1 - last) / 3)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return a or b after an a; after a b, how often each of b and the end follows."""
        last = self._last_among_b
        follow = np.array([[1, 1, 0], [0, 1 - last, last]], dtype=np.float32)
        return follow[batch.inputs]

    @property
    def _last_among_b(self) -> float:
        return 2 / (LONGEST_TRAINED + 1 + self.length // 2)


def _strings(counts: np.ndarray, steps: int) -> Batch:
    places, lengths = np.arange(steps)[:, None], 2 * counts
    in_string = places < lengths
    reads_b = (places >= counts) & in_string
    targets = np.zeros((steps, counts.size, 3), dtype=np.float32)
    targets[:, :, A] = in_string & ~reads_b
    targets[:, :, B] = in_string & (places != lengths - 1)
    targets[:, :, END] = places == lengths - 1
    return Batch(inputs=np.where(reads_b, B, A).astype(np.int64), targets=targets, mask=in_string, lengths=lengths)
