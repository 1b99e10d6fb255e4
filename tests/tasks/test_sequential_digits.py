"""Sequential digits, put together again and looked up in the dataset."""

from collections import Counter

import numpy as np
import pytest

from rnnbench.datasets.digits import Digits
from rnnbench.errors import InputError
from rnnbench.tasks.sequential_digits import SequentialDigits


@pytest.fixture(scope="module")
def label_of():
    images, labels = Digits.load()
    table = {tuple(image.ravel().tolist()): int(label) for image, label in zip(images, labels, strict=True)}
    assert len(table) == len(labels)  # no image occurs twice: none can be on both sides of the split
    return table


def pixels(batch):
    """Return each image as 64 intensities from 0 to 16, in the order in which a network sees them."""
    return [
        tuple(int(16 * value) for step in sequence for value in step) for sequence in np.moveaxis(batch.inputs, 1, 0)
    ]


@pytest.mark.parametrize(("length", "features"), [(64, 1), (8, 8)])
@pytest.mark.parametrize("method", ["sample", "evaluation"])
def test_sequences_are_real_images_with_their_labels(label_of, length, features, method):
    task = SequentialDigits(length)
    assert task.input_size == features
    batch = getattr(task, method)(np.random.default_rng(0), 50)
    assert [label_of[image] for image in pixels(batch)] == batch.targets.tolist()


def test_held_out_images_are_never_trained_on(label_of):
    task, rng = SequentialDigits(8), np.random.default_rng(0)
    held_out = pixels(task.evaluation(rng, 10**6))
    trained = {image for _ in range(4) for image in pixels(task.sample(rng, 2_500))}
    assert len(set(held_out)) == len(held_out) == 355
    assert len(trained) > 1_400
    assert not trained & set(held_out)
    assert set(pixels(SequentialDigits(8).evaluation(np.random.default_rng(1), 10**6))) == set(held_out)


def test_classes_are_held_out_in_proportion():
    everything = Counter(Digits.load().labels.tolist())
    held_out = Counter(SequentialDigits().evaluation(np.random.default_rng(0), 10**6).targets.tolist())
    assert {label: count // 5 for label, count in everything.items()} == held_out


def test_the_baseline_is_the_share_of_the_commonest_digit():
    targets = SequentialDigits().evaluation(np.random.default_rng(0), 10**6).targets.tolist()
    (_, count), *_ = Counter(targets).most_common()
    assert SequentialDigits().baseline.value == count / len(targets)


def test_a_linear_classifier_of_all_pixels_does_not_solve_the_task():
    from sklearn.linear_model import LogisticRegression

    images, labels = Digits.load()
    task, flat = SequentialDigits(8), images.reshape(-1, 64) / 16
    batch = task.evaluation(np.random.default_rng(0), 10**6)
    held_out = set(pixels(batch))
    training = np.array([tuple(image.ravel().tolist()) not in held_out for image in images])
    model = LogisticRegression(max_iter=500).fit(flat[training], labels[training])
    accuracy = task.score(model.predict_proba(np.moveaxis(batch.inputs, 1, 0).reshape(-1, 64)), batch)
    assert 0.96 < accuracy < 0.97
    assert not task.solved(accuracy)


@pytest.mark.parametrize("length", [1, 16, 65])
def test_other_lengths_are_refused_with_the_two_that_work(length):
    with pytest.raises(InputError, match=rf"length = {length}, expected 64 \(a pixel a step\) or 8 \(a row"):
        SequentialDigits(length)
