"""Dyck-1: brackets of one kind, which take a counter to be closed."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from rnnbench.tasks._next_symbols import NextSymbols
from rnnbench.tasks.base import Baseline, Batch

OPEN, CLOSE = 0, 1
LONGEST_TRAINED = 50


class Dyck1(NextSymbols):
    """Say at every step of a string of brackets whether one may be closed; strings are longer than those trained on.

    Encoding: tokens (T, B) of 2 classes, an opening bracket 0 and a closing one 1: both with equal chance while a
    bracket is open, an opening one when none is. Strings to train on have 50 steps, strings to evaluate `length`.
    Target: at every step (T, B, 2): may an opening bracket follow (always), may a closing one (while one is open)?
    Loss: mean squared error.
    Baseline: who sees the last bracket only says after an opening one that it can be closed, and after a closing one
    that another can: right unless the depth comes back to 0, so that it has C(2m, m) / 4^m of the strings right,
    m = T // 2. Its outputs are frequencies, its loss is their variance.
    Solved: at least 99 % of fresh strings right at every step.
    Source: Suzgun et al. 2019, "LSTM Networks Can Perform Dynamic Counting": trained to length 50, tested to 100; here
    strings need not end at depth 0.
    """

    name = "dyck_1"
    solved_threshold = 0.99
    default_length = 100
    minimum_length = LONGEST_TRAINED + 1
    input_size = 2
    output_size = 2

    @property
    def training_steps(self) -> int:
        """Number of time steps in a batch to train on."""
        return LONGEST_TRAINED

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh strings of 50 steps."""
        return _strings(rng, LONGEST_TRAINED, batch_size)

    def evaluation(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh strings of `length` steps."""
        return _strings(rng, self.length, batch_size)

    @property
    def baseline(self) -> Baseline:
        """Score and loss of one who sees the last bracket only."""
        closing, last = _closing(self.length)
        return Baseline(
            name="what may follow the last bracket (bigram)",
            value=float(_at_zero(self.length // 2 + 1)[-1]),
            loss=closing * last * (1 - last) / self.output_size,
        )

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return 1 for an opening bracket; for a closing one 1 after an opening one, else how often it may follow."""
        outputs = np.ones((*batch.inputs.shape, self.output_size), dtype=np.float32)
        outputs[batch.inputs == CLOSE, CLOSE] = 1 - _closing(self.length)[1]
        return outputs


def _strings(rng: np.random.Generator, steps: int, count: int) -> Batch:
    """Return strings of brackets: their depth is the distance of a symmetric random walk from where it began."""
    walk = np.cumsum(rng.integers(0, 2, (steps, count)) * 2 - 1, axis=0)
    depth = np.abs(walk)
    closes = np.diff(depth, axis=0, prepend=0) < 0
    targets = np.ones((steps, count, 2), dtype=np.float32)
    targets[:, :, CLOSE] = depth > 0
    return Batch(inputs=np.where(closes, CLOSE, OPEN).astype(np.int64), targets=targets)


def _at_zero(count: int) -> np.ndarray:
    """Return the chance C(2k, k) / 4^k that the walk is at 0 after 2k steps, for k below `count`.

    It is the chance not to have come back to 0 in 2k steps as well (Feller 1968, lemma III.3.1).
    """
    k = np.arange(count)
    return np.exp(gammaln(2 * k + 1) - 2 * gammaln(k + 1) - 2 * k * np.log(2))


def _closing(steps: int) -> tuple[float, float]:
    """Return the share of closing brackets among all, and of those that close the last open one among them."""
    at_zero = _at_zero(steps // 2 + 1)
    before = at_zero[: (steps + 1) // 2].sum()  # steps that start at depth 0, where a bracket cannot but open
    closing = (steps - before) / 2
    return float(closing / steps), float(at_zero[1:].sum() / closing)
