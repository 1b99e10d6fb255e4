"""Gestures: tracks of a hand, a frame a step or several."""

import numpy as np
import pytest

from rnnbench.datasets.base import MissingData
from rnnbench.tasks.gesture_recognition import GestureRecognition


@pytest.fixture(scope="module")
def frames():
    try:
        return GestureRecognition()
    except MissingData as error:
        pytest.skip(str(error))


def test_several_frames_a_step_are_the_same_track(frames):
    several = GestureRecognition(30)
    one_a_step, five_a_step = (task._chosen(np.arange(20)).inputs for task in (frames, several))
    np.testing.assert_array_equal(five_a_step.transpose(1, 0, 2).reshape(20, 150), one_a_step[:, :, 0].T)
    assert several.input_size == 5
    assert several.references == frames.references


def test_the_nearest_neighbour_is_as_good_as_the_archive_says(frames):
    """The UCR archive gives an error of 0.0867 for one nearest neighbour in Euclidean distance."""
    assert frames.references["nearest_neighbour"] == pytest.approx(1 - 0.0867, abs=1e-4)
