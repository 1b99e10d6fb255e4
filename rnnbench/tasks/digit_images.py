"""Digit images: a handwritten digit is recognised from all its pixels at once."""

from __future__ import annotations

import numpy as np

from rnnbench.datasets.base import stratified_split
from rnnbench.datasets.digits import Digits
from rnnbench.tasks._examples import Classification
from rnnbench.tasks.base import Batch

CLASSES, PIXELS, INK, HELD_OUT_EVERY = 10, 64, 16, 5


class DigitImages(Classification):
    """Recognise a real handwritten digit from its 64 pixels in a single step: no sequence, for comparison.

    Encoding: the 8 x 8 image as one input (1, B, 64), intensities scaled to [0, 1].
    Target: the digit, one of 10 classes.
    Loss: cross-entropy.
    Data: the dataset `digits`, split as in `sequential_digits`: 355 of 1,797 images are held out.
    Baseline: the class frequencies of the held-out images.
    Solved: accuracy of at least 97 %, more than a linear classifier (logistic regression: 96.6 % on this split).
    Source: a multilayer perceptron on images, as in Rumelhart, Hinton & Williams 1986.
    """

    name = "digit_images"
    wiring = "one-to-one"
    application = "image classification"
    data = (Digits,)
    default_length = 1
    confirmation_size = 0  # the held-out part is all there is
    length_meaning = "one input an image"
    solved_threshold = 0.97
    input_size, output_size = PIXELS, CLASSES
    baseline_name = "always answer the commonest digit"

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        images, labels = Digits.load()
        pixels = (images / INK).astype(np.float32).reshape(1, -1, PIXELS)
        self._examples = Batch(pixels, labels.astype(np.int64))
        self._split = stratified_split(labels, HELD_OUT_EVERY)
