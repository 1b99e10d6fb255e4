"""Character prose, read back as text, and its two baselines counted by hand."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from rnnbench.datasets.prose import Prose, Text
from rnnbench.errors import InputError
from rnnbench.tasks.character_prose import CharacterProse, corpus

UNKNOWN = "\ufffd"


@pytest.fixture(scope="module")
def task():
    return CharacterProse(100)


@pytest.fixture(scope="module")
def texts():
    """The training and the held-out text, rare characters replaced."""
    text = "".join(map(chr, Prose.load().code_points))
    cut = len(text) - len(text) // 10
    counts = Counter(text[:cut])
    text = "".join(character if counts[character] >= 10 else UNKNOWN for character in text)
    return text[:cut], text[cut:]


def decode(task, tokens):
    return "".join(task.alphabet[token] for token in tokens)


def test_windows_are_text_and_targets_the_next_characters(task, texts):
    batches = (task.sample(np.random.default_rng(0), 20), task.evaluation(np.random.default_rng(0), 20))
    for text, batch in zip(texts, batches, strict=True):
        for inputs, targets in zip(batch.inputs.T, batch.targets.T, strict=True):
            assert decode(task, [*inputs, targets[-1]]) in text
            assert targets[:-1].tolist() == inputs[1:].tolist()


def test_the_alphabet_is_what_the_training_text_has_often_enough(task, texts):
    training, _ = texts
    assert list(task.alphabet) == [UNKNOWN, *sorted(set(training) - {UNKNOWN})]
    assert 0 < training.count(UNKNOWN) < 0.001 * len(training)


def test_the_held_out_text_has_no_say_in_the_alphabet(monkeypatch):
    text = "a" * 180 + "b" * 20  # b occurs only in the last tenth
    code_points = np.array([ord(character) for character in text], dtype=np.uint32)
    monkeypatch.setattr(Prose, "load", lambda: Text(code_points))
    alphabet, training, held_out = corpus.__wrapped__()
    assert alphabet == UNKNOWN + "a"
    assert training.tolist() == [1] * 180
    assert held_out.tolist() == [0] * 20


@pytest.mark.parametrize("length", [1, 100, 999])
def test_evaluation_covers_the_held_out_text_once(texts, length):
    _, held_out = texts
    task = CharacterProse(length)
    batch = task.evaluation(np.random.default_rng(0), 10**6)
    read = Counter(decode(task, tokens) for tokens in batch.inputs.T)
    whole_windows = (len(held_out) - 1) // length
    assert read == Counter(held_out[length * i : length * (i + 1)] for i in range(whole_windows))


def test_baselines_equal_a_count_by_hand(task, texts):
    training, held_out = texts
    counts = Counter(training)
    total = len(training) + len(task.alphabet)
    unigram = {character: (counts[character] + 1) / total for character in task.alphabet}
    pairs = Counter(itertools.pairwise(training))
    befores = Counter(training[:-1])

    def bigram(before, after):
        return (pairs[before, after] + 10 * unigram[after]) / (befores[before] + 10)

    read = held_out[: (len(held_out) - 1) // 100 * 100 + 1]
    unigram_bits = [-math.log2(unigram[after]) for after in read[1:]]
    bigram_bits = [-math.log2(bigram(before, after)) for before, after in itertools.pairwise(read)]
    assert task.baseline.value == pytest.approx(math.fsum(unigram_bits) / len(unigram_bits), rel=1e-12)
    assert task.bigram.value == pytest.approx(math.fsum(bigram_bits) / len(bigram_bits), rel=1e-12)


def test_both_predictors_are_distributions_and_earn_what_is_stated(task):
    batch = task.evaluation(np.random.default_rng(0), 10**6)
    for outputs, stated in (
        (task.baseline_outputs(batch), task.baseline),
        (task.bigram_outputs(batch), task.bigram),
    ):
        assert np.exp(outputs[:3], dtype=np.float64).sum(axis=-1) == pytest.approx(1, abs=1e-5)
        assert task.score(outputs, batch) == pytest.approx(stated.value, abs=1e-6)
        assert stated.loss == pytest.approx(stated.value * math.log(2))


def test_beating_the_bigram_solves_the_task_and_equalling_it_does_not(task):
    assert task.bigram.value < task.baseline.value
    assert task.solved(task.bigram.value - 1e-9)
    assert not task.solved(task.bigram.value)


def test_a_window_longer_than_the_held_out_text_is_refused(texts):
    longest = len(texts[1]) - 1
    assert CharacterProse(longest).evaluation(np.random.default_rng(0), 5).inputs.shape == (longest, 1)
    with pytest.raises(InputError, match=f"length = {longest + 1}, expected at most {longest}"):
        CharacterProse(longest + 1)
