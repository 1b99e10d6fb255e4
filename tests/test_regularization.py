"""Pascanu's regulariser: its gradient against finite differences, a rotation that costs nothing, who is refused."""

from __future__ import annotations

import numpy as np
import pytest

from rnnbench import tasks
from rnnbench.errors import InputError
from rnnbench.network import Architecture, Network
from rnnbench.probes.base import Seeds
from rnnbench.regularization import penalty
from rnnbench.training import make_network


def make(cell: str = "rnn", **options: object) -> tuple[Network, dict[str, np.ndarray]]:
    task, seeds = tasks.get("adding")(12), Seeds(0, "regularization")
    network = make_network(Architecture(cell, 6, dtype="float64", **options), task, seeds.generator("weights"))
    batch = task.sample(seeds.generator("data"), 5)
    return network, {"inputs": batch.inputs, "targets": batch.targets}


def test_the_gradient_is_that_of_omega_with_cotangents_and_slopes_held() -> None:
    rng = np.random.default_rng(0)
    w_hh, d_z = rng.standard_normal((4, 4)), rng.standard_normal((7, 3, 4))
    slope = rng.uniform(0.1, 1, (7, 3, 4))
    omega, gradient = penalty(w_hh, d_z, slope)
    q = np.einsum("tbi,ji->tbj", d_z, w_hh) * slope
    ratio = np.sqrt((q**2).sum(axis=2) / (d_z**2).sum(axis=2))
    assert omega == pytest.approx(((ratio - 1) ** 2).sum(axis=0).mean(), rel=1e-13)
    for place in np.ndindex(w_hh.shape):
        moved = [w_hh.copy(), w_hh.copy()]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        difference = (penalty(moved[0], d_z, slope)[0] - penalty(moved[1], d_z, slope)[0]) / 2e-6
        assert gradient[place] == pytest.approx(difference, abs=1e-7)


def test_a_rotation_without_nonlinearity_keeps_every_norm_and_costs_nothing() -> None:
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    omega, gradient = penalty(rotation, rng.standard_normal((6, 2, 5)), np.ones((6, 2, 5)))
    assert omega == pytest.approx(0, abs=1e-25)
    np.testing.assert_allclose(gradient, 0, atol=1e-14)


def test_a_gradient_that_is_zero_has_no_direction_to_keep() -> None:
    omega, gradient = penalty(np.eye(3), np.zeros((4, 2, 3)), np.ones((4, 2, 3)))
    assert omega == 0
    assert not gradient.any()


def test_it_reaches_the_recurrent_weights_alone_and_in_proportion() -> None:
    network, batch = make()
    found = {}
    for weight in (0.0, 1.0, 2.0):
        network.regularization = weight
        loss = network.loss_and_gradient(**batch)
        found[weight] = loss, {name: value.copy() for name, value in network.gradients.items()}
    assert found[0.0][0] == found[2.0][0]
    for name, plain in found[0.0][1].items():
        once, twice = (found[weight][1][name] - plain for weight in (1.0, 2.0))
        assert bool(once.any()) == (name == "layer0.W_hh")
        np.testing.assert_allclose(twice, 2 * once, atol=1e-14)


def test_a_step_along_it_lowers_omega() -> None:
    """A small step against the gradient of Omega alone, at a gain that shrinks every gradient."""
    rng = np.random.default_rng(0)
    w_hh = 0.5 * np.linalg.qr(rng.standard_normal((6, 6)))[0]
    d_z, slope = rng.standard_normal((9, 4, 6)), rng.uniform(0.5, 1, (9, 4, 6))
    omega, gradient = penalty(w_hh, d_z, slope)
    assert penalty(w_hh - 1e-3 * gradient, d_z, slope)[0] < omega


@pytest.mark.parametrize(("cell", "options"), [("lstm", {}), ("gru", {}), ("rnn", {"bidirectional": True})])
def test_what_it_is_not_defined_for_is_refused(cell: str, options: dict[str, bool]) -> None:
    network, batch = make(cell, **options)
    network.regularization = 1.0
    with pytest.raises(InputError, match="expected one gate, one state and one direction"):
        network.loss_and_gradient(**batch)
