"""English words with their valence, from the wheel of vaderSentiment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnbench.datasets._wheels import installed_folder
from rnnbench.datasets.base import Dataset


class Valences(NamedTuple):
    """A word and how people rated it, a row each, in the order of the lexicon."""

    words: np.ndarray
    """str (N,)"""
    valences: np.ndarray
    """float64 (N,): the mean of ten people's ratings, -4 (most negative) to 4 (most positive)"""


class VaderWords(Dataset[Valences]):
    """The words of VADER's lexicon that are made of letters alone, with their valence.

    Hutto & Gilbert 2014, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text".
    Emoticons and abbreviations with signs are left out; of a word that is listed twice the last
    rating is kept, as VADER does. Raises MissingData when vaderSentiment is not installed.
    """

    name = "vader_words"
    licence = "MIT"
    source = "vaderSentiment, vader_lexicon.txt"
    sha256 = None

    @classmethod
    def read(cls) -> Valences:
        """Read the lexicon in the package, which is not imported."""
        path = installed_folder(cls.name, "vaderSentiment", "vaderSentiment") / "vader_lexicon.txt"
        rows = [line.split("\t")[:2] for line in path.read_text(encoding="utf-8").splitlines() if line]
        kept = {word: float(valence) for word, valence in rows if word.isascii() and word.isalpha()}
        return Valences(np.array(list(kept)), np.array(list(kept.values())))
