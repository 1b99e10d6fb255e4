"""The digits are what scikit-learn ships, and their split is stratified and the same for ever."""

import sys

import numpy as np
import pytest

from rnnbench.datasets.base import stratified_split
from rnnbench.datasets.digits import Digits
from rnnbench.errors import InputError


def test_shapes_and_ranges():
    images, labels = Digits.load()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == labels.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 16)
    assert sorted(set(labels.tolist())) == list(range(10))


def test_without_scikit_learn_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InputError, match=r"'digits'.*scikit-learn.*python -m pip install 'rnnbench\[data\]'"):
        Digits.read()


def slow_stratified_split(labels, every):
    """Deal the examples of each class in order; the last of each round of `every` is held out."""
    training, held_out, seen = [], [], {}
    for index, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        (held_out if seen[label] % every == 0 else training).append(index)
    return training, held_out


@pytest.mark.parametrize("every", [2, 5])
def test_split_equals_a_slow_one(every):
    labels = Digits.load().labels.tolist()
    split = stratified_split(np.array(labels), every)
    assert (split.training.tolist(), split.held_out.tolist()) == slow_stratified_split(labels, every)


def test_split_of_few_examples_holds_out_nothing():
    split = stratified_split(np.array([7, 3, 7]), every=5)
    assert split.training.tolist() == [0, 1, 2]
    assert split.held_out.size == 0
