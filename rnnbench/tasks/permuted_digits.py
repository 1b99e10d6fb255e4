"""Permuted digits: pixels in a fixed random order, so that what belongs together is far apart."""

from __future__ import annotations

import numpy as np

from rnnbench.tasks.sequential_digits import PIXELS, SequentialDigits

ORDER = np.random.RandomState(0).permutation(PIXELS)  # of the generator whose numbers NumPy promises never to change


class PermutedDigits(SequentialDigits):
    """Recognise a real handwritten digit from its pixels in a fixed random order.

    Encoding: inputs (64, B, 1), the pixels of `sequential_digits` in one random order, the same for every image,
    every seed and every version.
    Target: after the last step, the digit, one of 10 classes.
    Loss: cross-entropy.
    Data: the dataset `digits`, split as in `sequential_digits`.
    Baseline: always naming the commonest class of the held-out images.
    Solved: accuracy of at least 97 %, as in `sequential_digits`: a linear classifier does not see the order.
    Source: Le, Jaitly & Hinton 2015, "A Simple Way to Initialize Recurrent Networks of Rectified Linear
    Units", section 4.2, do this to the 784 pixels of MNIST; results on 64 pixels do not compare with theirs.
    """

    name = "permuted_digits"

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        if self.length != PIXELS:
            raise self.wrong_length(f"{PIXELS} (a pixel a step)")
        self._sequences = self._sequences[:, ORDER]
