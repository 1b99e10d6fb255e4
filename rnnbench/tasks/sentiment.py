"""Sentiment: does a sentence praise or blame, when "not" turns a word around?"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from rnnbench.datasets.base import Split
from rnnbench.datasets.vader_words import VaderWords
from rnnbench.tasks._examples import Classification
from rnnbench.tasks._text import tokenize
from rnnbench.tasks.base import Batch

SUFFIXES = ("ful", "ous", "ive", "able", "ible")  # words that end so are mostly adjectives
WEAKEST = 1.5  # valence, on the scale from -4 to 4
MODIFIERS = ((), ("not",), ("very",), ("not", "very"))
SUBJECTS = ["plot", "acting", "music", "ending", "dialogue", "cast", "camera", "script"]
HELD_OUT = 1000  # sentences


class Opinions(NamedTuple):
    """Words with an opinion, and all words that sentences are made of."""

    words: list[str]
    valences: np.ndarray
    vocabulary: list[str]


@cache
def opinions() -> Opinions:
    """Return the adjectives of the dataset `vader_words`."""
    words, valences = VaderWords.load()
    kept = np.array([word.endswith(SUFFIXES) for word in words]) & (np.abs(valences) >= WEAKEST)
    chosen = [str(word) for word in words[kept]]
    vocabulary = sorted({*chosen, *SUBJECTS, "the", "was", "not", "very", "and", "but"})
    return Opinions(chosen, valences[kept], vocabulary)


def clause_valence(valence: float, modifiers: tuple[str, ...]) -> float:
    """Return the valence of "was ... word", by VADER's constants: very adds 0.293, not multiplies by -0.74."""
    stronger = valence + np.sign(valence) * 0.293 if "very" in modifiers else valence
    return float(-0.74 * stronger if "not" in modifiers else stronger)


def sentence(rng: np.random.Generator, held_out: bool) -> tuple[list[str], float]:
    """Return the words of a sentence of one or two clauses, and its valence, which is never 0.

    The n-th word has the modifiers n mod 4 in no sentence of the training part, and does in the last clause of a
    held-out sentence. After "but" a clause counts 1.5, before it 0.5, as in VADER.
    """
    o = opinions()
    while True:
        clauses = int(rng.integers(1, 3))
        joint = "but" if rng.random() < 0.5 else "and"
        text, valences = [], []
        for clause in range(clauses):
            word = int(rng.integers(len(o.words)))
            unseen = held_out and clause == clauses - 1
            modifiers = MODIFIERS[(word + (0 if unseen else int(rng.integers(1, 4)))) % 4]
            text += [*([joint] if clause else []), "the", SUBJECTS[rng.integers(len(SUBJECTS))], "was"]
            text += [*modifiers, o.words[word]]
            valences.append(clause_valence(o.valences[word], modifiers))
        weights = (0.5, 1.5) if clauses == 2 and joint == "but" else (1.0, 1.0)
        total = sum(weight * valence for weight, valence in zip(weights, valences, strict=False))
        if total:
            return text, total


@cache
def held_out() -> tuple[list[list[str]], np.ndarray]:
    """Return the held-out sentences and their valences, the same for every seed."""
    rng = np.random.default_rng(0)
    texts, valences = zip(*(sentence(rng, held_out=True) for _ in range(HELD_OUT)), strict=True)
    return list(texts), np.array(valences)


class Sentiment(Classification):
    """Tell praise from blame in sentences such as "the plot was not very useful but the cast was lovable".

    Encoding: words as tokens (13, B), padded, with lengths; about 200 adjectives of the lexicon, 8 nouns and
    the words that join them.
    Target: after the last word, 0 for blame and 1 for praise: the sign of the sum of the adjectives' valences,
    by VADER's rules for "not" (times -0.74), "very" (0.293 stronger) and "but" (0.5 before it, 1.5 after it).
    Loss: cross-entropy.
    Data: synthetic sentences over the real valences of the dataset `vader_words`. Each adjective occurs in training
    with three of "", "not", "very" and "not very"; with the fourth it ends all 1,000 held-out sentences: what "not"
    does to other words must carry over.
    Baseline: the class frequencies of the held-out sentences. A reference adds up the valences and ignores "not".
    Solved: accuracy of at least 90 %.
    Source: Hutto & Gilbert 2014, "VADER"; the sentences are this project's own.
    """

    name = "sentiment"
    wiring = "many-to-one"
    application = "sentiment analysis"
    data = (VaderWords,)
    synthetic = True
    default_length = 13
    solved_threshold = 0.9
    output_size = 2
    baseline_name = "always answer the commoner class"

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.vocabulary = opinions().vocabulary
        self.input_size = len(self.vocabulary)
        self._examples = self._batch(*held_out())
        self._split = Split(np.arange(0), np.arange(HELD_OUT))

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh sentences, in which no word has the modifiers that are held out for it."""
        texts, valences = zip(*(sentence(rng, held_out=False) for _ in range(batch_size)), strict=True)
        return self._batch(list(texts), np.array(valences))

    def _batch(self, texts: list[list[str]], valences: np.ndarray) -> Batch:
        tokens = tokenize(texts, self.vocabulary)
        padded = np.zeros((self.length, len(texts)), np.int64)
        padded[: len(tokens.values)] = tokens.values
        return Batch(padded, (valences > 0).astype(np.int64), lengths=tokens.lengths)

    @property
    def references(self) -> dict[str, float]:
        """Accuracy of the sign of the plain sum of the valences, "not" and "but" ignored."""
        texts, valences = held_out()
        valence = dict(zip(opinions().words, opinions().valences, strict=True))
        sums = np.array([sum(valence.get(word, 0.0) for word in text) for text in texts])
        return {"valences_without_negation": float(np.mean((sums > 0) == (valences > 0)))}
