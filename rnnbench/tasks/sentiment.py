"""Sentiment: does a sentence praise or blame, when "not" turns a word around?"""

from __future__ import annotations

from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from rnnbench.datasets.vader_words import VaderWords
from rnnbench.tasks._metrics import accuracy, half_the_error
from rnnbench.tasks._text import tokenize
from rnnbench.tasks.base import Baseline, Batch, Task

SUFFIXES = ("ful", "ous", "ive", "able", "ible")  # words that end so are mostly adjectives
WEAKEST = 1.5  # valence, on the scale from -4 to 4
MODIFIERS = ((), ("not",), ("very",), ("not", "very"))
SUBJECTS = ["plot", "acting", "music", "ending", "dialogue", "cast", "camera", "script"]
BEFORE_BUT, AFTER_BUT = 0.5, 1.5  # what a clause counts there; 1 elsewhere


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
        weights = (BEFORE_BUT, AFTER_BUT) if clauses == 2 and joint == "but" else (1.0, 1.0)
        total = sum(weight * valence for weight, valence in zip(weights, valences, strict=False))
        if total:
            return text, total


class Cases(NamedTuple):
    """All held-out sentences but for their nouns, and what simple readers of them add up; a value a sentence."""

    probability: np.ndarray
    valence: np.ndarray
    plain: np.ndarray
    """sum of the adjectives' valences"""
    last: np.ndarray
    """valence of the last clause alone"""
    negated: np.ndarray
    """sum of the clauses' valences, "and" and "but" alike"""


@cache
def held_out_cases() -> Cases:
    """Return every held-out sentence with its probability: what is averaged over them has no sampling error."""
    valences, words = opinions().valences, np.arange(len(opinions().words))
    values = np.array([[clause_valence(valence, m) for m in MODIFIERS] for valence in valences])
    last = values[words, words % 4]
    first = np.stack([values[words, (words + other) % 4] for other in (1, 2, 3)]).ravel()
    plain_first = np.tile(valences, 3)
    one = Cases(np.full(len(words), 0.5 / len(words)), last, valences, last, last)
    pairs = first.size * last.size
    two = [
        Cases(
            np.full(pairs, 0.25 / pairs),
            np.add.outer(before * first, after * last).ravel(),
            np.add.outer(plain_first, valences).ravel(),
            np.tile(last, first.size),
            np.add.outer(first, last).ravel(),
        )
        for before, after in ((1.0, 1.0), (BEFORE_BUT, AFTER_BUT))
    ]
    cases = Cases(*map(np.concatenate, zip(one, *two, strict=True)))
    kept = Cases(*(values[cases.valence != 0] for values in cases))
    return kept._replace(probability=kept.probability / kept.probability.sum())


class Sentiment(Task):
    """Tell praise from blame in sentences such as "the plot was not very useful but the cast was lovable".

    Encoding: words as tokens (13, B), padded, with lengths; about 200 adjectives of the lexicon, 8 nouns and
    the words that join them.
    Target: after the last word, 0 for blame and 1 for praise: the sign of the sum of the adjectives' valences,
    by VADER's rules for "not" (times -0.74), "very" (0.293 stronger) and "but" (0.5 before it, 1.5 after it).
    Loss: cross-entropy.
    Data: synthetic sentences over the real valences of the dataset `vader_words`. Each adjective occurs in training
    with three of "", "not", "very" and "not very"; with the fourth it ends every held-out sentence: what "not"
    does to other words must carry over. Held-out sentences are fresh ones at every call.
    Baseline: the class frequencies of the held-out sentences. References know all valences, by VADER's lexicon: the
    sum without "not"; the last clause alone, with its "not"; both clauses with theirs, "but" taken for "and".
    Scores of all four are exact, over every sentence that there can be.
    Solved: half of the best reference's errors at most, so that neither the last clause alone nor a sum will do.
    Source: Hutto & Gilbert 2014, "VADER"; the sentences are this project's own.
    """

    name = "sentiment"
    wiring = "many-to-one"
    loss = "cross_entropy"
    metric = "accuracy"
    metric_unit = "fraction correct"
    higher_is_better = True
    application = "sentiment analysis"
    data = (VaderWords,)
    synthetic = True
    default_length = 13
    output_size = 2
    baseline_name = "always answer the commoner class"

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        if self.length != self.default_length:
            raise self.wrong_length(f"{self.default_length}, the padded length of its sentences")
        self.vocabulary = opinions().vocabulary
        self.input_size = len(self.vocabulary)

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh sentences, in which no word has the modifiers that are held out for it."""
        return self._batch([sentence(rng, held_out=False) for _ in range(batch_size)])

    def evaluation(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh sentences, each with a last clause that none of the training part has."""
        return self._batch([sentence(rng, held_out=True) for _ in range(batch_size)])

    def _batch(self, sentences: list[tuple[list[str], float]]) -> Batch:
        tokens = tokenize([text for text, _ in sentences], self.vocabulary)
        padded = np.zeros((self.length, len(sentences)), np.int64)
        padded[: len(tokens.values)] = tokens.values
        praise = np.array([valence > 0 for _, valence in sentences], np.int64)
        return Batch(padded, praise, lengths=tokens.lengths)

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the accuracy of outputs (B, 2)."""
        return accuracy(outputs, batch.targets)

    @property
    def _frequencies(self) -> np.ndarray:
        """Probabilities of blame and praise in held-out sentences."""
        cases = held_out_cases()
        praise = float(cases.probability[cases.valence > 0].sum())
        return np.array([1 - praise, praise])

    @property
    def baseline(self) -> Baseline:
        """Accuracy and loss of one who knows how common praise is, and reads nothing."""
        frequencies = self._frequencies
        entropy = -float(np.sum(frequencies * np.log(frequencies)))
        return Baseline(name=self.baseline_name, value=float(frequencies.max()), loss=entropy)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return the logarithms of the class frequencies for every sentence."""
        return np.broadcast_to(np.log(self._frequencies).astype(np.float32), (*batch.targets.shape, 2))

    @cached_property
    def references(self) -> dict[str, float]:
        """Accuracy of the signs of simpler sums than the true one."""
        cases = held_out_cases()

        def accuracy_of(sums: np.ndarray) -> float:
            return float(cases.probability @ ((sums > 0) == (cases.valence > 0)))

        return {
            "valences_without_negation": accuracy_of(cases.plain),
            "last_clause": accuracy_of(cases.last),
            "clauses_without_but": accuracy_of(cases.negated),
        }

    @property
    def solved_threshold(self) -> float:  # type: ignore[override]
        """Half of the best reference's errors."""
        return half_the_error(self.references)
