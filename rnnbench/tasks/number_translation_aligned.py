"""Aligned number translation: what becomes of translation where answers keep in step with what is read."""

from __future__ import annotations

import numpy as np

from rnnbench.tasks.base import Batch
from rnnbench.tasks.number_translation import NumberTranslation


class AlignedNumberTranslation(NumberTranslation):
    """Say a number in French while its English words are being read: the wrong wiring for the job, for comparison.

    Encoding: words as tokens (9, B), then a token for silence, as the answers are longer than what is read.
    Target: the French words and an end, (9, B), the first of them at the first step, when one word has been read.
    Loss: cross-entropy. Metric: exact match, as in `number_translation`.
    Data: synthetic, the same numbers as there, the same 1,000 held out.
    Baseline: word by word with a dictionary, as there.
    Solved: at least 99 % of the held-out numbers exactly right. It cannot be: who has read "one" does not know yet
    whether to say "un", "cent" (one hundred) or "mille" (one thousand).
    Source: Sutskever, Vinyals & Le 2014, section 2, on why such problems want an encoder and a decoder.
    """

    name = "number_translation_aligned"
    wiring = "many-to-many"
    application = ""
    default_length = 9
    baseline_name = "word by word, with a dictionary"

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        e = self._examples
        assert e.lengths is not None
        read = np.full(e.targets.shape, self.silence)
        read[: len(e.inputs)] = np.where(np.arange(len(e.inputs))[:, None] < e.lengths, e.inputs, self.silence)
        self._examples = Batch(read, e.targets, mask=e.mask)
        self.input_size += 1

    @property
    def silence(self) -> int:
        """The token after the last word."""
        return len(self.source_symbols)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return logits of the translation word by word, cut to the steps of an answer."""
        lengths = (batch.inputs != self.silence).sum(axis=0)
        return super().baseline_outputs(Batch(batch.inputs, batch.targets, batch.mask, lengths))
