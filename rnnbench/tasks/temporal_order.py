"""The temporal-order task: in which order did two symbols appear?"""

from __future__ import annotations

import math

import numpy as np

from rnnbench.tasks._metrics import accuracy
from rnnbench.tasks.base import Baseline, Batch, Task

SYMBOLS = 2  # A and B: tokens 0 and 1
DISTRACTORS = 4  # c, d, e and f: tokens 2 to 5
ORDERS = SYMBOLS**2  # AA, AB, BA, BB


class TemporalOrder(Task):
    """Tell in which order two symbols appeared among distractors: AA, AB, BA or BB.

    Encoding: tokens (T, B) of 6 classes: A and B, and four distractors drawn uniformly. With tenth =
    T // 10, one of A and B replaces a distractor at a step of [tenth, 2 tenth), and one at a step of
    [T // 2, T // 2 + tenth).
    Target: after the last step, one of 4 classes, AA, AB, BA, BB (the published code swaps AB and BA).
    Loss: cross-entropy.
    Baseline: the four orders are equally likely: accuracy 1/4, loss ln 4.
    Solved: fewer than 1 % of 10,000 fresh sequences wrong. The source trains one network on many lengths;
    here all sequences have one.
    Source: Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks",
    section 4.1 (places of the symbols as in its published code), after Hochreiter & Schmidhuber 1997.
    """

    name = "temporal_order"
    wiring = "many-to-one"
    loss = "cross_entropy"
    metric = "accuracy"
    metric_unit = "fraction correct"
    higher_is_better = True
    solved_threshold = 0.99  # to be exceeded: fewer than 1 % wrong
    default_length = 100
    confirmation_size = 10_000
    minimum_length = 10  # shorter, a tenth has no step
    input_size = SYMBOLS + DISTRACTORS
    output_size = ORDERS
    baseline = Baseline(name="a uniform guess among the four orders", value=1 / ORDERS, loss=math.log(ORDERS))

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh sequences; places, symbols and distractors are independent."""
        tenth, sequences = self.length // 10, np.arange(batch_size)
        first, second = rng.integers(0, SYMBOLS, (2, batch_size))
        inputs = rng.integers(SYMBOLS, SYMBOLS + DISTRACTORS, (self.length, batch_size))
        inputs[tenth + rng.integers(0, tenth, batch_size), sequences] = first
        inputs[self.length // 2 + rng.integers(0, tenth, batch_size), sequences] = second
        return Batch(inputs=inputs, targets=SYMBOLS * first + second)

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the accuracy of outputs (B, 4)."""
        return accuracy(outputs, batch.targets)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return equal logits: the tie goes to AA, which is as good a guess as any."""
        return np.zeros((*batch.targets.shape, ORDERS), dtype=np.float32)

    def solved(self, score: float) -> bool:
        """Tell whether fewer than 1 % are wrong."""
        return score > self.solved_threshold
