"""The prose is the interpreter's own documentation, every paragraph once."""

import platform
from pydoc_data.topics import topics

import pytest

from rnnbench.datasets.prose import KNOWN_SHA256, Prose


@pytest.fixture(scope="module")
def text():
    return "".join(map(chr, Prose.load().code_points))


def test_fingerprint_is_the_recorded_one():
    release = platform.python_version()
    if release not in KNOWN_SHA256:
        pytest.skip(f"no fingerprint recorded for Python {release}")
    assert Prose.fingerprint() == KNOWN_SHA256[release]


def test_every_paragraph_of_the_documentation_occurs_exactly_once(text):
    kept = text.split("\n\n")
    assert len(set(kept)) == len(kept)
    for topic in topics.values():
        assert set(topic.strip().split("\n\n")) <= set(kept)


def test_it_is_enough_english_to_learn_from(text):
    assert len(text) > 300_000
    assert text.count(" the ") > len(text) / 200


def test_the_held_out_part_is_not_a_copy_of_the_rest(text):
    # With the documentation's own repetitions 11 % of these windows occur in the first nine tenths (Python
    # 3.11.7); the 2 % that are left are rules of tables and stock phrases.
    span, cut = 50, len(text) * 9 // 10
    training = {text[start : start + span] for start in range(cut - span + 1)}
    windows = [text[start : start + span] for start in range(cut, len(text) - span + 1)]
    assert sum(window in training for window in windows) < 0.05 * len(windows)
