"""Handwritten digits, 8 x 8 pixels, from scikit-learn's wheel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnbench.datasets.base import Dataset, MissingData


class Images(NamedTuple):
    """Images and what they show."""

    images: np.ndarray
    """uint8 (1797, 8, 8): rows of pixels, intensity 0 (paper) to 16 (ink)"""
    labels: np.ndarray
    """uint8 (1797,): the digit, 0 to 9"""


class Digits(Dataset[Images]):
    """1,797 handwritten digits of 8 x 8 pixels (UCI optical recognition, by way of scikit-learn).

    The test part of Alpaydin & Kaynak 1998, "Optical Recognition of Handwritten Digits"
    (https://doi.org/10.24432/C50P49): 13 writers, none of them identified in the data, so that a split
    cannot separate the writers. Raises MissingData when scikit-learn is not installed.
    """

    name = "digits"
    licence = "BSD-3-Clause (scikit-learn's copy); CC BY 4.0 (UCI)"
    source = "sklearn.datasets.load_digits"
    sha256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"

    @classmethod
    def read(cls) -> Images:
        """Read the images that scikit-learn ships; no network is needed."""
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise MissingData(
                "dataset 'digits' needs scikit-learn, which is not installed: "
                "expected after `python -m pip install 'rnnbench[data]'`"
            ) from None
        data = load_digits()
        return Images(images=data.images.astype(np.uint8), labels=data.target.astype(np.uint8))
