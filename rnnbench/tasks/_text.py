"""Text as padded tokens, for tasks that read or write words or characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Tokens(NamedTuple):
    """N texts side by side, time first."""

    values: np.ndarray
    """int64 (T, N); 0 past the end of a text"""
    lengths: np.ndarray
    """int64 (N,)"""

    @property
    def mask(self) -> np.ndarray:
        """True within the texts, (T, N)."""
        return np.arange(len(self.values))[:, None] < self.lengths


def tokenize(texts: Sequence[Sequence[str]], vocabulary: Sequence[str]) -> Tokens:
    """Return texts, each a sequence of symbols of the vocabulary, as numbers; KeyError for an unknown symbol."""
    number = {symbol: place for place, symbol in enumerate(vocabulary)}
    lengths = np.array([len(text) for text in texts])
    values = np.zeros((len(texts), lengths.max()), np.int64)
    values[np.arange(lengths.max()) < lengths[:, None]] = [number[symbol] for text in texts for symbol in text]
    return Tokens(np.ascontiguousarray(values.T), lengths)


def words(text: str) -> list[str]:
    """Return the words of a text, for lists that are easier to read as one."""
    return text.split()


def vocabulary(texts: Sequence[Sequence[str]]) -> list[str]:
    """Return every symbol that occurs, sorted."""
    return sorted({symbol for text in texts for symbol in text})
