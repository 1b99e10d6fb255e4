"""Character prose: predict the next character of real English text."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from rnnbench.datasets.prose import Prose
from rnnbench.tasks._metrics import cross_entropy
from rnnbench.tasks.base import Baseline, Batch, Task

HELD_OUT = 0.1  # the last tenth of the text
RARE = 10  # a character seen less often in training is "unknown", so that this class too is trained
UNKNOWN = 0
PRIOR = 10.0  # the bigram's prior, in characters: how soon counts outweigh the unigram


class Corpus(NamedTuple):
    """The text as tokens."""

    alphabet: str
    """token k is alphabet[k]; token 0 stands for every unknown character, shown as U+FFFD"""
    training: np.ndarray
    held_out: np.ndarray


@cache
def corpus() -> Corpus:
    """Return the dataset `prose` as tokens of an alphabet that only its training part decides."""
    code_points = Prose.load().code_points
    cut = code_points.size - int(HELD_OUT * code_points.size)
    seen, counts = np.unique(code_points[:cut], return_counts=True)
    known = seen[counts >= RARE]
    token_of = np.full(code_points.max() + 1, UNKNOWN)
    token_of[known] = np.arange(1, known.size + 1)
    tokens = token_of[code_points]
    return Corpus("\ufffd" + "".join(map(chr, known)), training=tokens[:cut], held_out=tokens[cut:])


class CharacterProse(Task):
    """Predict the next character of real English prose (the Python language reference).

    Encoding: tokens (T, B), windows of the text; one class per character that occurs at least 10 times in
    the training text, and class 0 for all others.
    Target: at every step the next character, (T, B).
    Loss: cross-entropy. Metric: the same in bits per character.
    Data: the dataset `prose`; its last tenth is held out and evaluated in windows that do not overlap.
    A network starts each window without a past, so longer windows score a little better. The text differs
    between Python releases: compare scores only where the dataset's fingerprint is the same.
    Baseline: the character frequencies of the training text, one added to every count (unigram).
    `bigram` is what the current character alone can tell: p(b | a) = (n(ab) + 10 p(b)) / (n(a) + 10), a
    Dirichlet prior around the unigram (MacKay & Peto 1995). Both are scored on all held-out windows.
    Solved: fewer bits than the bigram, so that the network uses more of the past than one character.
    Source: the task is Shannon 1951, "Prediction and Entropy of Printed English"; Graves 2013, "Generating
    Sequences With Recurrent Neural Networks", section 3, is its form for recurrent networks.
    """

    name = "character_prose"
    wiring = "many-to-many"
    data = (Prose,)
    application = "text generation"
    loss = "cross_entropy"
    metric = "bits per character"
    metric_unit = "bit/character"
    higher_is_better = False
    default_length = 100
    confirmation_size = 0  # the held-out part is all there is
    baseline_name = "the training text's character frequencies (unigram)"

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.alphabet, self._training, self._held_out = corpus()
        longest = self._held_out.size - 1
        if self.length > longest:
            raise self.wrong_length(f"at most {longest}, the characters held out")
        self.input_size = self.output_size = len(self.alphabet)
        self._window_starts = np.arange(longest // self.length) * self.length
        self._log_unigram, self._log_bigram = _log_probabilities(self._training, len(self.alphabet))

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return windows of the training text that start anywhere."""
        return self._windows(self._training, rng.integers(0, self._training.size - self.length, batch_size))

    def evaluation(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return windows of the held-out text, none of them overlapping: at most (its length - 1) // T."""
        return self._windows(self._held_out, rng.permutation(self._window_starts)[:batch_size])

    def _windows(self, tokens: np.ndarray, starts: np.ndarray) -> Batch:
        windows = tokens[starts + np.arange(self.length + 1)[:, None]]
        return Batch(inputs=windows[:-1], targets=windows[1:])

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the bits per character of logits (T, B, classes)."""
        return cross_entropy(outputs, batch.targets, batch.mask) / math.log(2)

    @property
    def baseline(self) -> Baseline:
        """Bits per character of one who knows how often each character occurs, and does not look."""
        targets = self._held_out[1 : self._window_starts.size * self.length + 1]
        return _in_bits(self.baseline_name, self._log_unigram[targets])

    @property
    def references(self) -> dict[str, float]:
        """The bigram's score."""
        return {"bigram": self.bigram.value}

    @property
    def bigram(self) -> Baseline:
        """Bits per character of one who looks at the current character and nothing else."""
        read = self._held_out[: self._window_starts.size * self.length + 1]
        return _in_bits("the current character's successors (bigram)", self._log_bigram[read[:-1], read[1:]])

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return the log-probabilities of the unigram at every step."""
        logits = self._log_unigram.astype(np.float32)
        return np.broadcast_to(logits, (*batch.targets.shape, self.output_size))

    def bigram_outputs(self, batch: Batch) -> np.ndarray:
        """Return the log-probabilities of the bigram at every step."""
        return self._log_bigram.astype(np.float32)[batch.inputs]

    @property
    def solved_threshold(self) -> float:  # type: ignore[override]
        """The bigram's score: what one character of memory achieves."""
        return self.bigram.value

    def solved(self, score: float) -> bool:
        """Tell whether the score beats the bigram's."""
        return score < self.solved_threshold


def _log_probabilities(tokens: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ln p(b), (classes,), and ln p(b | a), (classes, classes) with a first."""
    counts = np.bincount(tokens, minlength=classes) + 1
    unigram = counts / counts.sum()
    pairs = np.bincount(tokens[:-1] * classes + tokens[1:], minlength=classes**2).reshape(classes, classes)
    bigram = (pairs + PRIOR * unigram) / (pairs.sum(axis=1, keepdims=True) + PRIOR)
    return np.log(unigram), np.log(bigram)


def _in_bits(name: str, log_probabilities: np.ndarray) -> Baseline:
    nats = -float(np.mean(log_probabilities))
    return Baseline(name=name, value=nats / math.log(2), loss=nats)
