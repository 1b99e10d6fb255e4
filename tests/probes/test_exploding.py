"""Training at a gain that explodes: what clipping bounds, and what a divergence looks like in the rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rnnbench import probes
from rnnbench.probes.base import Seeds


def measured(**options: object) -> dict[str, dict[int | None, float]]:
    probe = probes.get("exploding")
    small = {"length": 30, "hidden": 20, "batch": 8, "steps": 12, "gain": 2.0, "learning_rate": 0.1, "optimizer": "sgd"}
    table: dict[str, dict[int | None, float]] = {}
    for row in probe.measure(probe.Parameters(**small | options), Seeds(0, "a trial")):
        table.setdefault(row.quantity, {})[row.index] = row.value
    return table


def test_clipping_bounds_the_update_and_leaves_the_measured_norm() -> None:
    """A first step of gradient descent is as long as the rate times the norm, or times the bound."""
    free, clipped = measured(steps=1), measured(steps=1, clip_norm=1.0)
    assert free["gradient_norm"] == clipped["gradient_norm"]
    assert free["gradient_norm"][1] > 10
    assert free["update_norm"][1] == pytest.approx(0.1 * free["gradient_norm"][1], rel=1e-4)
    assert clipped["update_norm"][1] == pytest.approx(0.1, rel=1e-4)
    assert (free["fraction_clipped"][None], clipped["fraction_clipped"][None]) == (0, 1)


def test_clipping_by_value_bounds_every_entry() -> None:
    table = measured(steps=1, clip_value=0.01, dtype="float64")
    weights = 20 * 20 + 2 * 20 + 20 + 20 + 1
    assert 0.1 * 0.01 < table["update_norm"][1] <= 0.1 * 0.01 * math.sqrt(weights) * (1 + 1e-12)


def test_a_divergence_ends_the_rows_and_is_one_of_them() -> None:
    table = measured(steps=200, learning_rate=3.0)
    last = int(table["diverged_at_step"][None])
    assert max(table["training_loss"]) == last < 200
    assert not math.isfinite(table["training_loss"][last] + table["gradient_norm"][last])
    assert table["final_loss"][None] == table["largest_loss"][None] == math.inf
    assert math.isfinite(table["gradient_norm_quantile"][100])


def test_without_a_divergence_the_summary_is_that_of_the_traces() -> None:
    table = measured(clip_norm=1.0, learning_rate=0.01)
    assert math.isnan(table["diverged_at_step"][None])
    norms = np.array(list(table["gradient_norm"].values()))
    assert table["gradient_norm_quantile"][100] == norms.max()
    assert table["gradient_norm_quantile"][50] == pytest.approx(np.median(norms))
    assert table["mean_gradient_norm"][None] == pytest.approx(norms.mean())
    assert table["fraction_clipped"][None] == pytest.approx((norms > 1).mean())
    assert table["largest_loss"][None] == max(table["training_loss"].values())


def test_the_regulariser_changes_the_gradient_from_the_first_step() -> None:
    plain, regularized = measured(steps=1), measured(steps=1, regularization=4.0)
    assert plain["training_loss"] == regularized["training_loss"]
    assert plain["gradient_norm"] != regularized["gradient_norm"]
