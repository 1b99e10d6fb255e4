"""The copy-memory task with eleven delimiters, as a widely used implementation has it."""

from __future__ import annotations

import numpy as np

from rnnbench.tasks.base import Batch
from rnnbench.tasks.copy_memory import COPIED, DELIMITER, CopyMemory


class CopyMemoryBai(CopyMemory):
    """Repeat ten symbols after a wait; delimiters go on while the answer is due.

    Encoding: tokens (T + 20, B) as in `copy_memory`, but with delimiters in the places of the last ten blanks: eleven
    delimiters in all, so that the answer has not to be counted out.
    Target: at every step one of 9 classes: T + 10 blanks, then the ten symbols.
    Loss: cross-entropy, the mean over all T + 20 steps.
    Baseline: as in `copy_memory`: recall 1/8, loss 10 ln 8 / (T + 20).
    Solved: recall of at least 99 %.
    Source: Bai, Kolter & Koltun 2018, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for
    Sequence Modeling", section 4 and its published code, after Arjovsky et al. 2016.
    """

    name = "copy_memory_bai"

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh sequences."""
        batch = super().sample(rng, batch_size)
        batch.inputs[-COPIED:] = DELIMITER
        return batch
