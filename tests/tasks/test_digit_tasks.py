"""Digits as one input: images, and captions letter by letter."""

import numpy as np
import pytest

from rnnbench.tasks.digit_captions import NAMES, DigitCaptions
from rnnbench.tasks.digit_images import DigitImages
from rnnbench.tasks.sequential_digits import SequentialDigits


def test_both_hold_out_what_the_sequential_task_holds_out():
    held_out = SequentialDigits()._split.held_out
    for kind in (DigitImages, DigitCaptions):
        np.testing.assert_array_equal(kind()._split.held_out, held_out)


def test_an_image_is_all_its_pixels_in_one_step():
    task, pixels = DigitImages(), SequentialDigits(64)
    batch, read = task._chosen(np.arange(20)), pixels._batch(np.arange(20))
    np.testing.assert_array_equal(batch.inputs[0], read.inputs[:, :, 0].T)
    np.testing.assert_array_equal(batch.targets, read.targets)


def test_captions_are_the_names_of_the_digits():
    task, images = DigitCaptions(), DigitImages()
    batch, labels = task._chosen(np.arange(200)), images._chosen(np.arange(200)).targets
    for tokens, mask, label in zip(batch.targets.T, batch.mask.T, labels, strict=True):
        letters = [task.answer_symbols[token] for token in tokens[mask]]
        assert letters == [*NAMES[label], "<end>"]
    assert set(labels) == set(range(10))
    assert task.answer_steps == len("three") + 1


def test_the_caption_baseline_is_right_as_often_as_its_digit_occurs():
    task = DigitCaptions()
    assert task.baseline.value == pytest.approx(DigitImages().baseline.value)
