"""The embedded Reber grammar: the second symbol comes back as the last but one."""

from __future__ import annotations

import numpy as np

from rnnbench.tasks._next_symbols import NextSymbols
from rnnbench.tasks.base import Baseline, Batch

SYMBOLS = "BTPSXVE"
B, T, P, S, X, V, E = range(7)
ARROWS = np.array(
    [
        [(B, 1), (B, 1)],
        [(T, 2), (P, 3)],
        [(S, 2), (X, 4)],
        [(T, 3), (V, 5)],
        [(X, 3), (S, 6)],
        [(P, 4), (V, 6)],
        [(E, 7), (E, 7)],
    ]
)
"""From each node of the grammar, two arrows of equal chance: a symbol and the node it leads to. Node 7 is the end."""
NODES = len(ARROWS)
FRAME = 3  # steps around a word of the grammar: B, T or P, and T or P again; the closing E is only predicted
SHORTEST_WORD = 5


class EmbeddedReber(NextSymbols):
    """Predict a string of a small grammar, in which the second symbol is needed again at the end.

    Encoding: tokens (T, B) of 7 classes, B, T, P, S, X, V and E: a string is B, then T or P, then a word of the Reber
    grammar, then the same of T and P again, then E. The closing E is not read, as nothing follows it. `length` is T,
    the steps of the longest string read; longer strings are drawn again.
    Target: at every step (T, B, 7): may this symbol follow?
    Loss: mean squared error over the steps of the strings.
    Baseline: who knows the grammar and forgot the second symbol guesses T: half of the strings are right, and the
    loss is that of two wrong outputs of seven in half of the strings.
    Solved: all of 2,000 fresh strings right at every step.
    Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", experiment 1, which asks for all strings of a
    test set; after Smith & Zipser 1989 and Cleeremans et al. 1989.
    """

    name = "embedded_reber"
    solved_threshold = 1.0
    default_length = 40
    minimum_length = SHORTEST_WORD + FRAME
    input_size = output_size = len(SYMBOLS)

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh strings."""
        outer = rng.choice([T, P], batch_size)
        words, nodes, word_lengths = _words(rng, batch_size, self.length - FRAME)
        sequences, lengths = np.arange(batch_size), word_lengths + FRAME
        inputs = np.zeros((self.length, batch_size), dtype=np.int64)
        targets = np.zeros((self.length, batch_size, len(SYMBOLS)), dtype=np.float32)
        inputs[0], inputs[1] = B, outer
        targets[0][:, [T, P]] = 1
        targets[1, :, B] = 1
        inputs[2 : 2 + len(words)] = words
        targets[2 : 2 + len(words)] = FOLLOWING[nodes]
        targets[lengths - 2, sequences, outer] = 1
        inputs[lengths - 1, sequences] = outer
        targets[lengths - 1, sequences, E] = 1
        mask = np.arange(self.length)[:, None] < lengths
        return Batch(inputs=inputs, targets=targets, mask=mask, lengths=lengths)

    @property
    def baseline(self) -> Baseline:
        """Score and loss of one who forgot the second symbol."""
        steps = _mean_word_length(self.length - FRAME) + FRAME
        return Baseline(name="the grammar, and T for the symbol forgotten", value=1 / 2, loss=1 / len(SYMBOLS) / steps)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return the right answers, but for the last but one, where it is always T."""
        assert batch.lengths is not None
        outputs = batch.targets.copy()
        forgotten = (batch.lengths - 2, np.arange(batch.lengths.size))
        outputs[forgotten] = np.eye(len(SYMBOLS))[T]
        return outputs


def _following() -> np.ndarray:
    """Return for each node, and for the end, which symbols may follow, (8, 7) of 0 and 1."""
    table = np.zeros((NODES + 1, len(SYMBOLS)), dtype=np.float32)
    for node, arrows in enumerate(ARROWS):
        table[node, arrows[:, 0]] = 1
    return table


FOLLOWING = _following()


def _words(rng: np.random.Generator, count: int, longest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return words of the Reber grammar: symbols and the nodes they lead to, (longest, count), and lengths (count,)."""
    symbols = np.zeros((longest, count), dtype=np.int64)
    nodes = np.full((longest, count), NODES)
    lengths = np.zeros(count, dtype=np.int64)
    missing = np.arange(count)
    while missing.size:
        node = np.zeros(missing.size, dtype=np.int64)
        symbols[:, missing], nodes[:, missing] = 0, NODES
        for step in range(longest):
            going = np.flatnonzero(node < NODES)
            if not going.size:
                break
            symbol, following = ARROWS[node[going], rng.integers(0, 2, going.size)].T
            node[going] = following
            symbols[step, missing[going]], nodes[step, missing[going]] = symbol, following
            lengths[missing[going]] = step + 1
        missing = missing[node < NODES]
    return symbols, nodes, lengths


def _mean_word_length(longest: int) -> float:
    """Return the mean length of words that are not longer than `longest`."""
    at = np.eye(NODES + 1)[0]
    total = ended = 0.0
    for length in range(1, longest + 1):
        following = np.zeros(NODES + 1)
        for node, arrows in enumerate(ARROWS):
            np.add.at(following, arrows[:, 1], at[node] / 2)
        total, ended, at = (
            total + length * following[NODES],
            ended + following[NODES],
            following * (np.arange(NODES + 1) < NODES),
        )
        if at.sum() < 1e-18:
            break
    return total / ended
