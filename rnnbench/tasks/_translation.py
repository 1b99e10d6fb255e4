"""Translation from one sequence of symbols to another, of another length: what such tasks share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnbench.datasets.base import Split
from rnnbench.tasks._examples import ExamplesTask
from rnnbench.tasks._metrics import exact_match
from rnnbench.tasks._text import tokenize, vocabulary
from rnnbench.tasks.base import Batch

END = "<end>"
"""The last symbol of every answer, token 0."""


class Corpus(NamedTuple):
    """Pairs of texts as tokens, and the symbols that tokens stand for."""

    examples: Batch
    split: Split
    sources: list[str]
    answers: list[str]


def corpus(pairs: Sequence[tuple[Sequence[str], Sequence[str]]], held_out: np.ndarray) -> Corpus:
    """Return pairs (source, answer) as tokens; `held_out` (N,) marks those that are never trained on."""
    answered = [[*answer, END] for _, answer in pairs]
    sources = vocabulary([source for source, _ in pairs])
    answers = [END, *vocabulary([answer for _, answer in pairs])]
    read, written = tokenize([source for source, _ in pairs], sources), tokenize(answered, answers)
    examples = Batch(read.values, written.values, mask=written.mask, lengths=read.lengths)
    return Corpus(examples, Split(np.flatnonzero(~held_out), np.flatnonzero(held_out)), sources, answers)


class Translation(ExamplesTask):
    """A sequence-to-sequence task scored by exact match: a translation counts when all of it is right."""

    wiring = "sequence-to-sequence"
    application = "machine translation"
    synthetic = True
    metric = "exact match"
    metric_unit = "fraction exact"

    def _read(self, corpus: Corpus) -> None:
        self._examples, self._split, self.source_symbols, self.answer_symbols = corpus
        self.input_size, self.output_size = len(self.source_symbols), len(self.answer_symbols)

    @property
    def answer_steps(self) -> int:
        """Number of steps of the longest answer, its end included."""
        return len(self._examples.targets)

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the fraction of answers that are right from the first symbol to the end; outputs (T, B, K)."""
        assert batch.mask is not None
        return exact_match(outputs, batch.targets, batch.mask)
