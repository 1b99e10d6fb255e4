"""Japanese vowels: nine men say "ae", as linear prediction coefficients; fetched inside a wheel."""

from __future__ import annotations

from rnnbench.datasets import _series
from rnnbench.datasets._series import Series
from rnnbench.datasets._wheels import AEON
from rnnbench.datasets.base import Dataset


class JapaneseVowels(Dataset[Series]):
    """640 utterances of two Japanese vowels by nine male speakers, 12 coefficients a frame, 7 to 29 frames.

    Coefficients of the LPC cepstrum, 12 channels (Kudo, Toyama & Shimbo 1999, "Multidimensional Curve Classification
    Using Passing-Through Regions"). 270 utterances are for training, 30 a speaker, and 370 for testing, 24 to 88 a
    speaker. The class is the speaker. Raises MissingData where the wheel that holds them cannot be fetched.
    """

    name = "japanese_vowels"
    licence = "CC BY 4.0 (UCI); aeon's copy in a BSD-3-Clause package"
    source = f"UCI Japanese Vowels, in the wheel {AEON.requirement}"
    sha256 = "8dd8de8055b9645e67169f36ea68b5801df3dccb79ca02e72de2e067d1043424"

    @classmethod
    def read(cls) -> Series:
        """Read both parts from the wheel, which is fetched if it is not in the cache."""
        folder = "aeon/datasets/data/JapaneseVowels/JapaneseVowels_"
        return _series.parse(*AEON.read(cls.name, [f"{folder}TRAIN.ts", f"{folder}TEST.ts"]))
