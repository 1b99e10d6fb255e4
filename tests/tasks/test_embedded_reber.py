"""The embedded Reber grammar, parsed by a regular expression."""

import re

import numpy as np
import pytest

from rnnbench.tasks.embedded_reber import EmbeddedReber

SYMBOLS = "BTPSXVE"
NODES = {0: "B", 1: "TP", 2: "SX", 3: "TV", 4: "XS", 5: "PV", 6: "E"}
ARROWS = {"0B": 1, "1T": 2, "1P": 3, "2S": 2, "2X": 4, "3T": 3, "3V": 5, "4X": 3, "4S": 6, "5P": 4, "5V": 6, "6E": 7}


def expected_sets(string):
    """Return the symbols that may follow each symbol of a whole string, by walking the grammar's graph."""
    outer, word = string[1], string[2:-2]
    sets, node = ["TP", "B"], 0
    for symbol in word:
        node = ARROWS[f"{node}{symbol}"]
        sets.append(NODES.get(node, outer))
    return [*sets, "E"]


def strings(batch):
    return [
        "".join(SYMBOLS[token] for token in tokens[mask]) + "E"
        for tokens, mask in zip(batch.inputs.T, batch.mask.T, strict=True)
    ]


@pytest.mark.parametrize("length", [8, 9, 40])
def test_targets_are_the_symbols_that_may_follow(length):
    batch = EmbeddedReber(length).sample(np.random.default_rng(0), 500)
    for string, targets, mask in zip(strings(batch), batch.targets.transpose(1, 0, 2), batch.mask.T, strict=True):
        assert re.fullmatch(r"B([TP])B[TPSXV]+E\1E", string)
        sets = ["".join(SYMBOLS[k] for k in np.flatnonzero(target)) for target in targets[mask]]
        assert [sorted(found) for found in sets] == [sorted(each) for each in expected_sets(string)]


def test_arrows_have_equal_chance_and_short_words_their_own():
    found = strings(EmbeddedReber(200).sample(np.random.default_rng(0), 20_000))
    for word in ("BTXSE", "BPVVE"):
        share = np.mean([string[2:-2] == word for string in found])
        assert share == pytest.approx(1 / 8, abs=5 * np.sqrt(0.11 / 20_000))
    assert np.mean([string[1] == "T" for string in found]) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("length", [8, 12])
def test_the_baseline_holds_to_three_decimals(length):
    """400,000 strings, in which half of the T and P are right within 0.001 for this seed."""
    task, rng = EmbeddedReber(length), np.random.default_rng(0)
    scores, losses = [], []
    for _ in range(4):
        batch = task.sample(rng, 100_000)
        outputs = task.baseline_outputs(batch)
        scores.append(task.score(outputs, batch))
        losses.append(((outputs - batch.targets) ** 2)[batch.mask].mean())
    assert np.mean(scores) == pytest.approx(1 / 2, abs=1e-3)
    assert np.mean(losses) == pytest.approx(task.baseline.loss, rel=5e-3)
