"""GunPoint: the path of a hand, tracked in video; fetched inside a wheel."""

from __future__ import annotations

from rnnbench.datasets import _series
from rnnbench.datasets._series import Series
from rnnbench.datasets._wheels import AEON
from rnnbench.datasets.base import Dataset


class GunPoint(Dataset[Series]):
    """200 tracks of a hand that draws a replica gun, or only points a finger: 150 frames of video each.

    The horizontal place of the centroid of the right hand, one channel, each series of zero mean and unit variance,
    of two actors (Ratanamahatana & Keogh 2005; the UCR archive). 50 series are for training, 150 for testing.
    Class 0 draws the gun, 1 points. Raises MissingData where the wheel that holds them cannot be fetched.
    """

    name = "gun_point"
    licence = "none stated (UCR archive); aeon's copy in a BSD-3-Clause package"
    source = f"UCR GunPoint, in the wheel {AEON.requirement}"
    sha256 = "5f970595e7a541bcc6d05738221e506261263cb0cda1b536e08f9dcf4ee78f69"

    @classmethod
    def read(cls) -> Series:
        """Read both parts from the wheel, which is fetched if it is not in the cache."""
        folder = "aeon/datasets/data/GunPoint/GunPoint_"
        return _series.parse(*AEON.read(cls.name, [f"{folder}TRAIN.ts", f"{folder}TEST.ts"]))
