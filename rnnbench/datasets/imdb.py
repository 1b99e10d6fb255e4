"""IMDB: film reviews that praise or pan; fetched, or put into the cache by hand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnbench.datasets._archives import Expected, read_archive
from rnnbench.datasets._fetching import WebFile
from rnnbench.datasets.base import Dataset

FILE = WebFile(
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/imdb.npz",
    "imdb.npz",
    "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
)
PARTS = {"train": 25_000, "test": 25_000}


class Reviews(NamedTuple):
    """All reviews one after the other, the training part first: review n is words[starts[n] : starts[n + 1]]."""

    words: np.ndarray
    """int32 (W,): the rank of each word by how often it occurs; 1 is the commonest"""
    starts: np.ndarray
    """int64 (N + 1,)"""
    labels: np.ndarray
    """int64 (N,): 1 for praise, 0 for a pan"""
    held_out: np.ndarray
    """bool (N,): the part that the source keeps for testing"""


class Imdb(Dataset[Reviews]):
    """50,000 film reviews, half praise and half pans; 25,000 are the source's own test part.

    Maas et al. 2011, "Learning Word Vectors for Sentiment Analysis"; the file, of words as ranks, and its checksum are
    those of Keras. The lists in it are pickled, and unpickled only after the file had that checksum. Raises
    MissingData where it can neither be fetched nor is in the cache, InputError where its arrays are not those of IMDB.
    """

    name = "imdb"
    licence = "none stated; the authors ask to be cited (Maas et al. 2011)"
    source = f"Keras, {FILE.file_name}"
    sha256 = None

    @classmethod
    def read(cls) -> Reviews:
        """Read both parts from the file, which is fetched if it is not in the cache."""
        expected: Expected = {}
        for part, count in PARTS.items():
            expected[f"x_{part}"] = (np.object_, (count,))
            expected[f"y_{part}"] = (np.int64, (count,))
        arrays = read_archive(cls.name, FILE.path(cls.name), expected, pickled=True)
        reviews = [np.asarray(review, np.int32) for part in PARTS for review in arrays[f"x_{part}"]]
        starts = np.concatenate([[0], np.cumsum([len(review) for review in reviews])])
        labels = np.concatenate([arrays[f"y_{part}"] for part in PARTS])
        held_out = np.repeat([part == "test" for part in PARTS], list(PARTS.values()))
        return Reviews(np.concatenate(reviews), starts, labels, held_out)
