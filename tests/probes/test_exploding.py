"""Training at a gain that explodes: through time and not by the readout, what clipping bounds, what a divergence is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rnnbench import probes
from rnnbench.probes.base import Seeds
from rnnbench.probes.exploding import Norms
from rnnbench.probes.training import prepare


def measured(**options: object) -> dict[str, dict[int | None, float]]:
    probe = probes.get("exploding")
    small = {"length": 30, "hidden": 20, "batch": 8, "steps": 12, "optimizer": "sgd", "backend": "reference"}
    table: dict[str, dict[int | None, float]] = {}
    for row in probe.measure(probe.Parameters(**small | options), Seeds(0, "a trial")):
        table.setdefault(row.quantity, {})[row.index] = row.value
    return table


def test_what_explodes_is_the_gradient_through_time() -> None:
    """The same network at gains of 0.9 and 2.5: the readout's gradient keeps its bound, that of W_hh does not."""
    calm, explosive = measured(gain=0.9, hidden=50, length=50), measured(gain=2.5, hidden=50, length=50)
    bound = math.sqrt(2 * 50)  # |h| <= 1 in each of 50 units, and ||p - y|| <= sqrt 2
    for table in (calm, explosive):
        assert max(table["readout_gradient_norm"].values()) == table["largest_readout_gradient_norm"][None] < bound
    assert calm["recurrent_gradient_norm"][1] < 1.5
    assert calm["recurrent_gradient_norm_quantile"][100] < bound < explosive["recurrent_gradient_norm"][1] / 10
    assert not math.isfinite(calm["diverged_at_step"][None])


def test_norms_are_parts_of_the_whole() -> None:
    """Those of a network with its readout and bias alone, by hand: the squares of all norms add up."""
    probe = probes.get("exploding")
    p = probe.Parameters(length=20, hidden=6, batch=4, layers=2, steps=1, backend="reference", dtype="float64")
    task, network, _ = prepare(p, Seeds(0, "a trial"))
    batch = task.sample(np.random.default_rng(0), 4)
    found: list[Norms] = []
    network.observe = lambda gradients: found.append(Norms.of(gradients))
    network.loss_and_gradient(batch.inputs, batch.targets)
    parts = {name: np.linalg.norm(value) for name, value in network.gradients.items()}
    assert found[0].all == pytest.approx(np.linalg.norm(network.gradient), rel=1e-14)
    assert found[0].recurrent == pytest.approx(np.hypot(parts["layer0.W_hh"], parts["layer1.W_hh"]), rel=1e-14)
    assert found[0].readout == pytest.approx(parts["W_hy"], rel=1e-14)


def test_clipping_bounds_the_update_and_leaves_the_measured_norm() -> None:
    """A first step of gradient descent is as long as the rate times the norm, or times the bound."""
    options = {"steps": 1, "gain": 2.5, "length": 50, "hidden": 50, "learning_rate": 0.1}
    free, clipped = measured(**options), measured(**options, clip_norm=1.0)
    assert free["gradient_norm"] == clipped["gradient_norm"]
    assert free["gradient_norm"][1] > 10
    assert free["update_norm"][1] == pytest.approx(0.1 * free["gradient_norm"][1], rel=1e-4)
    assert clipped["update_norm"][1] == pytest.approx(0.1, rel=1e-4)
    assert (free["fraction_clipped"][None], clipped["fraction_clipped"][None]) == (0, 1)


def test_clipping_by_value_bounds_every_entry() -> None:
    table = measured(steps=1, clip_value=0.01, dtype="float64", learning_rate=0.1)
    weights = 20 * 20 + 6 * 20 + 20 + 20 * 4 + 4
    assert 0.1 * 0.01 < table["update_norm"][1] <= 0.1 * 0.01 * math.sqrt(weights) * (1 + 1e-12)


def test_a_divergence_ends_the_rows_and_is_one_of_them() -> None:
    """Squared errors and a rate of 3: the readout diverges, whatever the gain, which is why it is told apart."""
    table = measured(task="adding", gain=0.9, steps=200, learning_rate=3.0)
    last = int(table["diverged_at_step"][None])
    assert max(table["training_loss"]) == last < 200
    assert not math.isfinite(table["training_loss"][last] + table["gradient_norm"][last])
    assert table["final_loss"][None] == table["largest_loss"][None] == math.inf
    assert math.isfinite(table["recurrent_gradient_norm_quantile"][100])
    assert table["readout_gradient_norm"][last - 1] > 1e10 * table["recurrent_gradient_norm"][last - 1]


def test_without_a_divergence_the_summary_is_that_of_the_traces() -> None:
    table = measured(clip_norm=1.0)
    assert math.isnan(table["diverged_at_step"][None])
    recurrent = np.array(list(table["recurrent_gradient_norm"].values()))
    assert table["recurrent_gradient_norm_quantile"][100] == recurrent.max()
    assert table["recurrent_gradient_norm_quantile"][50] == pytest.approx(np.median(recurrent))
    norms = np.array(list(table["gradient_norm"].values()))
    assert table["mean_gradient_norm"][None] == pytest.approx(norms.mean())
    assert table["fraction_clipped"][None] == pytest.approx((norms > 1).mean())
    assert table["largest_loss"][None] == max(table["training_loss"].values())
    assert table["largest_update_norm"][None] == max(table["update_norm"].values())


def test_the_regulariser_changes_the_first_update_and_not_the_norms_of_the_loss() -> None:
    plain, regularized = measured(steps=1, gain=0.5), measured(steps=1, gain=0.5, regularization=4.0)
    for name in ("training_loss", "gradient_norm", "recurrent_gradient_norm", "readout_gradient_norm"):
        assert plain[name] == regularized[name]
    assert regularized["update_norm"][1] > 2 * plain["update_norm"][1]
