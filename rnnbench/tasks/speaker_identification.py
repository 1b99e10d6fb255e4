"""Speaker identification: who said this vowel?"""

from __future__ import annotations

import numpy as np

from rnnbench.datasets.base import Split
from rnnbench.datasets.japanese_vowels import JapaneseVowels
from rnnbench.tasks._examples import Classification
from rnnbench.tasks.base import Batch


class SpeakerIdentification(Classification):
    """Tell which of nine men said "ae", from 7 to 29 frames of real speech.

    Encoding: inputs (29, B, 12), the LPC cepstrum coefficients of each frame as they are, padded, with lengths.
    Target: after the last frame, one of 9 speakers.
    Loss: cross-entropy.
    Data: the dataset `japanese_vowels`; its own test part, 370 of 640 utterances, is held out.
    Baseline: the speaker frequencies of the held-out utterances.
    Solved: accuracy of at least 93 %; the source reports 94.1 % for its own classifier.
    Source: Kudo, Toyama & Shimbo 1999, "Multidimensional Curve Classification Using Passing-Through Regions".
    """

    name = "speaker_identification"
    wiring = "many-to-one"
    application = "speech"
    data = (JapaneseVowels,)
    default_length = 29
    confirmation_size = 0  # the held-out part is all there is
    solved_threshold = 0.93
    input_size, output_size = 12, 9
    baseline_name = "always answer the commonest speaker"

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        series = JapaneseVowels.load()
        self._examples = Batch(series.values.transpose(1, 0, 2), series.labels, lengths=series.lengths)
        self._split = Split(np.flatnonzero(~series.held_out), np.flatnonzero(series.held_out))
