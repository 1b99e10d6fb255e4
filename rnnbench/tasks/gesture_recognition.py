"""Gesture recognition: is a gun drawn, or a finger pointed? From the path of a hand, tracked in video."""

from __future__ import annotations

import numpy as np

from rnnbench.datasets.base import Split
from rnnbench.datasets.gun_point import GunPoint
from rnnbench.tasks._examples import Classification
from rnnbench.tasks.base import Batch

FRAMES = 150


class GestureRecognition(Classification):
    """Tell a drawn gun from a pointed finger by the path of a hand over 150 frames of real video.

    Encoding: the horizontal place of the hand's centroid, each track of zero mean and unit variance: length 150 is a
    frame a step, inputs (150, B, 1); a length that divides 150 is several, length 30 inputs (30, B, 5).
    Target: after the last frame, one of 2 classes.
    Loss: cross-entropy.
    Data: the dataset `gun_point`; its own test part, 150 of 200 tracks, is held out.
    Baseline: the class frequencies of the held-out tracks.
    Solved: accuracy of at least 90 %; the nearest training track in Euclidean distance (a reference) has 91 %.
    Source: Ratanamahatana & Keogh 2005, "Three Myths about Dynamic Time Warping Data Mining".
    """

    name = "gesture_recognition"
    wiring = "many-to-one"
    application = "activity recognition from video"
    data = (GunPoint,)
    default_length = FRAMES
    confirmation_size = 0  # the held-out part is all there is
    length_meaning = "or a length that divides it, for several frames a step"
    solved_threshold = 0.9
    output_size = 2
    baseline_name = "always answer the commoner gesture"

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        series = GunPoint.load()
        self.input_size = FRAMES // self.length
        steps = series.values.reshape(-1, self.length, self.input_size)
        self._examples = Batch(np.ascontiguousarray(steps.transpose(1, 0, 2)), series.labels)
        self._split = Split(np.flatnonzero(~series.held_out), np.flatnonzero(series.held_out))

    def _accepts(self, length: int) -> bool:
        return FRAMES % length == 0

    @property
    def references(self) -> dict[str, float]:
        """Accuracy of the class of the nearest training track, in Euclidean distance."""
        tracks, labels = GunPoint.load().values[:, :, 0], self._examples.targets
        training, held_out = self._split
        distances = np.square(tracks[held_out, None] - tracks[None, training]).sum(axis=2)
        nearest = labels[training[distances.argmin(axis=1)]]
        return {"nearest_neighbour": float(np.mean(nearest == labels[held_out]))}
