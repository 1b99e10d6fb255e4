"""Digit captions: an image of a digit is captioned with its name, letter by letter."""

from __future__ import annotations

import numpy as np

from rnnbench.datasets.base import stratified_split
from rnnbench.datasets.digits import Digits
from rnnbench.tasks._examples import ExamplesTask, half_certain
from rnnbench.tasks._metrics import exact_match
from rnnbench.tasks._text import tokenize, vocabulary
from rnnbench.tasks._translation import END
from rnnbench.tasks.base import Batch

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
PIXELS, INK, HELD_OUT_EVERY = 64, 16, 5


class DigitCaptions(ExamplesTask):
    """Write under a real handwritten digit what it is: z, e, r, o, end.

    Encoding: the 8 x 8 image as one input (1, B, 64), intensities scaled to [0, 1].
    Target: the letters of the digit's English name and an end, (6, B), one of 16 classes at each step.
    Loss: cross-entropy under teacher forcing. Metric: exact match of what the network writes by itself.
    Data: the dataset `digits`, split as in `sequential_digits`: 355 of 1,797 images are held out.
    Baseline: always the name of the commonest held-out digit, with half of the probability on it.
    Solved: at least 95 % of the captions exactly right.
    Source: image captioning as in Vinyals et al. 2015, "Show and Tell", in the small.
    """

    name = "digit_captions"
    wiring = "one-to-many"
    application = "image captioning"
    data = (Digits,)
    metric = "exact match"
    metric_unit = "fraction exact"
    default_length = 1
    confirmation_size = 0  # the held-out part is all there is
    length_meaning = "one input an image"
    solved_threshold = 0.95
    input_size = PIXELS
    baseline_name = "always write the commonest digit's name"

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        images, labels = Digits.load()
        self.answer_symbols = [END, *vocabulary(NAMES)]
        self.output_size = len(self.answer_symbols)
        self._captions = tokenize([[*name, END] for name in NAMES], self.answer_symbols)
        pixels = (images / INK).astype(np.float32).reshape(1, -1, PIXELS)
        self._examples = Batch(pixels, self._captions.values[:, labels], mask=self._captions.mask[:, labels])
        self._split = stratified_split(labels, HELD_OUT_EVERY)
        self._commonest = int(np.bincount(labels[self._split.held_out]).argmax())

    @property
    def answer_steps(self) -> int:
        """Number of steps of the longest caption, its end included."""
        return len(self._captions.values)

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the fraction of captions that are right from the first letter to the end; outputs (T, B, K)."""
        assert batch.mask is not None
        return exact_match(outputs, batch.targets, batch.mask)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return logits of the commonest digit's name for every image."""
        logits = half_certain(self._captions.values[:, self._commonest], self.output_size)
        return np.broadcast_to(logits[:, None], (*batch.targets.shape, self.output_size))
