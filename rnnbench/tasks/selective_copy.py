"""Selective copying: tokens at random places are to be repeated in order, and noise is to be left out."""

from __future__ import annotations

import math

import numpy as np

from rnnbench.tasks._metrics import accuracy
from rnnbench.tasks.base import Baseline, Batch, Task

TOKENS = 16  # with noise and marker
SYMBOLS = TOKENS - 2  # tokens 0 to 13
NOISE = SYMBOLS
MARKER = SYMBOLS + 1
COPIED = 16


class SelectiveCopy(Task):
    """Repeat sixteen symbols that stood at random places among noise, in order.

    Encoding: tokens (T + 16, B) of 16 classes: T steps of noise with 16 symbols, drawn from 14, at random places;
    then 16 markers. `length` is T.
    Target: at each marker the next symbol, one of 14 classes; the mask leaves out the steps before.
    Loss: cross-entropy over the 16 answers.
    Baseline: a uniform guess among the symbols: accuracy 1/14, loss ln 14.
    Solved: at least 99 % of the answers right.
    Source: Gu & Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", section 4.1.1, with
    T = 4,096 and 16 symbols, and Feng et al. 2024, "Were RNNs All We Needed?" (minGRU); after the denoising task of
    Jing et al. 2019.
    """

    name = "selective_copy"
    wiring = "many-to-many"
    loss = "cross_entropy"
    metric = "recall"
    metric_unit = "fraction correct"
    higher_is_better = True
    solved_threshold = 0.99
    default_length = 64
    minimum_length = COPIED
    input_size = TOKENS
    output_size = SYMBOLS
    baseline = Baseline(name="a uniform guess among the symbols", value=1 / SYMBOLS, loss=math.log(SYMBOLS))

    @property
    def steps(self) -> int:
        """Number of time steps: the symbols among noise, and the answer."""
        return self.length + COPIED

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh sequences; every set of places is equally likely."""
        places = np.sort(rng.random((self.length, batch_size)).argsort(axis=0)[:COPIED], axis=0)
        symbols = rng.integers(0, SYMBOLS, (COPIED, batch_size))
        inputs = np.full((self.steps, batch_size), NOISE, dtype=np.int64)
        np.put_along_axis(inputs, places, symbols, axis=0)
        inputs[self.length :] = MARKER
        targets = np.zeros_like(inputs)
        targets[self.length :] = symbols
        mask = np.zeros(inputs.shape, dtype=bool)
        mask[self.length :] = True
        return Batch(inputs=inputs, targets=targets, mask=mask)

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the fraction of the 16 answers that are right; outputs (T + 16, B, 14)."""
        return accuracy(outputs, batch.targets, batch.mask)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return equal logits: the tie goes to symbol 0, which is as good a guess as any."""
        return np.zeros((*batch.targets.shape, self.output_size), dtype=np.float32)
