"""Tasks on examples that are all at hand: some to train on, others held out and only ever evaluated."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np

from rnnbench.datasets.base import Split
from rnnbench.tasks._metrics import accuracy, cross_entropy
from rnnbench.tasks.base import Baseline, Batch, Task


class ExamplesTask(Task):
    """A task on N examples of one padded length. A subclass sets `_examples` and `_split` in its __init__.

    The held-out examples are the same for every seed. The baseline is what its outputs score on all of them.
    """

    loss = "cross_entropy"
    higher_is_better = True
    length_meaning: ClassVar[str] = "the padded length of its examples"

    _examples: Batch
    _split: Split

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        if not self._accepts(self.length):
            raise self.wrong_length(f"{self.default_length}, {self.length_meaning}")

    def _accepts(self, length: int) -> bool:
        """Tell whether examples can have this length: all but a few tasks have one only."""
        return length == self.default_length

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return training examples, drawn with repetition."""
        return self._chosen(rng.choice(self._split.training, batch_size))

    def evaluation(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return held-out examples, none of them twice."""
        return self._chosen(rng.permutation(self._split.held_out)[:batch_size])

    def _chosen(self, chosen: np.ndarray) -> Batch:
        e, many = self._examples, self._examples.targets.ndim > 1
        return Batch(
            inputs=np.ascontiguousarray(e.inputs[:, chosen]),
            targets=np.ascontiguousarray(e.targets[:, chosen]) if many else e.targets[chosen],
            mask=None if e.mask is None else e.mask[:, chosen],
            lengths=None if e.lengths is None else e.lengths[chosen],
        )

    @cached_property
    def baseline(self) -> Baseline:
        """Score and loss of `baseline_outputs` on all held-out examples."""
        batch = self._chosen(self._split.held_out)
        outputs = self.baseline_outputs(batch)
        loss = cross_entropy(outputs, batch.targets, batch.mask)
        return Baseline(name=self.baseline_name, value=self.score(outputs, batch), loss=loss)


class Classification(ExamplesTask):
    """One answer an example, scored by accuracy; the baseline knows how often each held-out class occurs."""

    metric = "accuracy"
    metric_unit = "fraction correct"

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the accuracy of outputs (B, K)."""
        return accuracy(outputs, batch.targets)

    @cached_property
    def _frequencies(self) -> np.ndarray:
        held_out = self._examples.targets[self._split.held_out]
        return np.bincount(held_out, minlength=self.output_size) / held_out.size

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return the logarithms of the held-out class frequencies for every example."""
        logits = np.log(self._frequencies).astype(np.float32)
        return np.broadcast_to(logits, (*batch.targets.shape, self.output_size))


def half_certain(tokens: np.ndarray, classes: int) -> np.ndarray:
    """Return logits (..., K) of one who puts half of the probability on `tokens` (...), and spreads the other half."""
    return np.log(0.5 * np.eye(classes)[tokens] + 0.5 / classes).astype(np.float32)
