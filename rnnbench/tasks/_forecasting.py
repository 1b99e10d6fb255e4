"""Forecasting the next value of a real series: what such tasks share."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np

from rnnbench.datasets.base import Split
from rnnbench.tasks._metrics import expect_shape
from rnnbench.tasks.base import Baseline, Batch, Task


class Forecasting(Task):
    """Predict the next change of a series from a window of T steps.

    A subclass calls `_series` in its __init__. Inputs (T, B, F): features at the steps t - T + 1 ... t. Target: the
    change from t to t + 1 over the standard deviation of training changes, (B, 1). The score is the root of the
    mean squared error in the series' own unit, of the value and of the change alike. The last part of the series is
    held out; windows reach back into what was trained on, targets never do.

    The baseline is persistence, "tomorrow is as today": a change of zero. `references` are other naive forecasts.
    """

    loss = "mse"
    metric = "root mean squared error"
    higher_is_better = False
    wiring = "many-to-one"
    minimum_length = 1
    output_size = 1
    baseline_name = "persistence: no change"
    margin: ClassVar[float]
    """how much smaller than the best naive error a solved task's is, as a fraction of it"""

    def _series(
        self,
        values: np.ndarray,
        features: np.ndarray,
        held_out: int,
        known: np.ndarray | None = None,
        earliest: int = 1,
    ) -> None:
        """Set the series (N,), its features (N, F) and how many of its last changes are held out.

        `known` (N,) marks the values that were measured: a change is used where both its ends are. The first step
        has no change to show.
        """
        changes = np.diff(values)
        origins = np.arange(self.length, len(changes))
        if known is not None:
            origins = origins[known[origins] & known[origins + 1]]
        cut = len(changes) - held_out
        training = origins[origins < cut]
        if not training.size:
            raise self.wrong_length(f"at most {cut - 1}, for a window to train on")
        self._values, self._changes = values, changes
        self._scale = float(changes[training].std())
        self._split = Split(training, origins[origins >= cut])
        mean, deviation = features[: cut + 1].mean(axis=0), features[: cut + 1].std(axis=0)
        self._features = ((features - mean) / deviation).astype(np.float32)
        self.input_size = features.shape[1]

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return windows before the held-out part, drawn with repetition."""
        return self._windows(rng.choice(self._split.training, batch_size))

    def evaluation(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return windows with held-out targets, none of them twice."""
        return self._windows(rng.permutation(self._split.held_out)[:batch_size])

    def _windows(self, origins: np.ndarray) -> Batch:
        steps = origins + np.arange(1 - self.length, 1)[:, None]
        targets = (self._changes[origins] / self._scale)[:, None].astype(np.float32)
        return Batch(self._features[steps], targets)

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return the root mean squared error of outputs (B, 1), in the unit of the series."""
        expect_shape(outputs, batch.targets.shape)
        return self._scale * float(np.sqrt(np.mean((outputs.astype(np.float64) - batch.targets) ** 2)))

    @cached_property
    def baseline(self) -> Baseline:
        """Error of persistence on all held-out changes, and its loss."""
        batch = self._windows(self._split.held_out)
        error = self.score(self.baseline_outputs(batch), batch)
        return Baseline(name=self.baseline_name, value=error, loss=(error / self._scale) ** 2)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return no change."""
        return np.zeros_like(batch.targets)

    def _error_of(self, changes: np.ndarray) -> float:
        """Return the error of predicted changes (held-out,)."""
        return float(np.sqrt(np.mean((changes - self._changes[self._split.held_out]) ** 2)))

    @cached_property
    def solved_threshold(self) -> float:  # type: ignore[override]
        """The best naive error, less the margin."""
        return (1 - self.margin) * min(self.baseline.value, *self.references.values(), np.inf)


def time_of_year(days: np.ndarray) -> np.ndarray:
    """Return sine and cosine of the time of the year, (N, 2), for days since 1970."""
    phase = 2 * np.pi * days / 365.2425
    return np.stack([np.sin(phase), np.cos(phase)], axis=1)
