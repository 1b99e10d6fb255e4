"""MNIST: handwritten digits of 28 x 28 pixels; fetched, or put into the cache by hand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnbench.datasets._archives import Expected, read_archive
from rnnbench.datasets._fetching import WebFile
from rnnbench.datasets.base import Dataset

FILE = WebFile(
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
    "mnist.npz",
    "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
)
PARTS = {"train": 60_000, "test": 10_000}
SIDE, INK = 28, 255


class Images(NamedTuple):
    """A digit a row, the training part first."""

    images: np.ndarray
    """uint8 (N, 28, 28): ink, 0 to 255"""
    labels: np.ndarray
    """int64 (N,): the digit"""
    held_out: np.ndarray
    """bool (N,): the part that the source keeps for testing"""


class Mnist(Dataset[Images]):
    """70,000 handwritten digits of 28 x 28 pixels, of which 10,000 are the source's own test part.

    LeCun, Cortes & Burges 1998, "The MNIST database of handwritten digits"; the file and its checksum are those of
    Keras. The file is held to that checksum, so that the arrays need none of their own. Raises MissingData where it
    can neither be fetched nor is in the cache, InputError where its arrays are not those of MNIST.
    """

    name = "mnist"
    licence = "CC-BY-SA-3.0 (LeCun & Cortes)"
    source = f"Keras, {FILE.file_name}"
    sha256 = None

    @classmethod
    def read(cls) -> Images:
        """Read both parts from the file, which is fetched if it is not in the cache."""
        expected: Expected = {}
        for part, count in PARTS.items():
            expected[f"x_{part}"] = (np.uint8, (count, SIDE, SIDE))
            expected[f"y_{part}"] = (np.uint8, (count,))
        arrays = read_archive(cls.name, FILE.path(cls.name), expected)
        labels = np.concatenate([arrays[f"y_{part}"] for part in PARTS]).astype(np.int64)
        held_out = np.repeat([part == "test" for part in PARTS], list(PARTS.values()))
        return Images(np.concatenate([arrays[f"x_{part}"] for part in PARTS]), labels, held_out)
