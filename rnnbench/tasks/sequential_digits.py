"""Sequential digits: a handwritten digit is seen a pixel, or a row of pixels, at a time."""

from __future__ import annotations

import numpy as np

from rnnbench.datasets.base import stratified_split
from rnnbench.datasets.digits import Digits
from rnnbench.tasks._metrics import accuracy
from rnnbench.tasks.base import Baseline, Batch, Task

CLASSES = 10
PIXELS = 64
ROWS = 8
INK = 16  # the largest intensity in the data
HELD_OUT_EVERY = 5


class SequentialDigits(Task):
    """Recognise a real handwritten digit from its pixels, seen one by one.

    Encoding: the 8 x 8 image from left to right and top to bottom, intensities scaled to [0, 1]:
    length 64 is a pixel a step, inputs (64, B, 1); length 8 is a row a step, inputs (8, B, 8).
    Target: after the last step, the digit, one of 10 classes.
    Loss: cross-entropy.
    Data: the dataset `digits`; every fifth image of each class (355 of 1,797) is held out, whatever the
    seed. Training draws from the other 1,442 with repetition.
    Baseline: always naming the commonest class of the held-out images; its loss is that of answering with
    the held-out class frequencies, their entropy.
    Solved: accuracy of at least 97 %, more than a linear classifier that sees all 64 pixels at once
    (logistic regression: 96.6 % on the same split).
    Source: Le, Jaitly & Hinton 2015, "A Simple Way to Initialize Recurrent Networks of Rectified Linear
    Units", section 4.2, do this to the 784 pixels of MNIST; results on 64 pixels do not compare with theirs.
    """

    name = "sequential_digits"
    wiring = "many-to-one"
    data = (Digits,)
    loss = "cross_entropy"
    metric = "accuracy"
    metric_unit = "fraction correct"
    higher_is_better = True
    solved_threshold = 0.97
    default_length = PIXELS
    confirmation_size = 0  # the held-out part is all there is
    output_size = CLASSES

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        if self.length not in (PIXELS, ROWS):
            raise self.wrong_length(f"{PIXELS} (a pixel a step) or {ROWS} (a row of {ROWS} pixels a step)")
        self.input_size = PIXELS // self.length
        images, labels = Digits.load()
        scaled = (images / INK).astype(np.float32)
        self._sequences = scaled.reshape(-1, self.length, self.input_size)  # (N, T, I)
        self._labels = labels.astype(np.int64)
        self._split = stratified_split(labels, HELD_OUT_EVERY)
        held_out = self._labels[self._split.held_out]
        self._frequencies = np.bincount(held_out, minlength=CLASSES) / held_out.size

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return training images, drawn with repetition."""
        return self._batch(rng.choice(self._split.training, batch_size))

    def evaluation(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return held-out images, none of them twice: at most 355."""
        return self._batch(rng.permutation(self._split.held_out)[:batch_size])

    def _batch(self, chosen: np.ndarray) -> Batch:
        time_major = self._sequences[chosen].transpose(1, 0, 2)
        return Batch(inputs=np.ascontiguousarray(time_major), targets=self._labels[chosen])

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the accuracy of outputs (B, 10)."""
        return accuracy(outputs, batch.targets)

    @property
    def baseline(self) -> Baseline:
        """Accuracy and loss of one who knows how often each digit occurs, and does not look."""
        entropy = -np.sum(self._frequencies * np.log(self._frequencies))
        commonest = int(self._frequencies.argmax())
        return Baseline(
            name=f"always answer the commonest digit, {commonest}",
            value=float(self._frequencies[commonest]),
            loss=float(entropy),
        )

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return the logarithms of the class frequencies for every image."""
        logits = np.log(self._frequencies).astype(np.float32)
        return np.broadcast_to(logits, (*batch.targets.shape, CLASSES))
