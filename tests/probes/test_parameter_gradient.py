"""Shares of the steps in a parameter's gradient: they add up to it, and of a linear network they are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rnnbench import Layer, probes
from rnnbench.probes._path import Path
from rnnbench.probes.base import Seeds
from rnnbench.probes.parameter_gradient import log_shares, parameter_shares


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "gru_reset_before"])
def test_the_shares_of_all_steps_add_up_to_the_gradient(cell: str) -> None:
    """The same weights act at every step."""
    rng = np.random.default_rng(0)
    layer = Layer(cell, 2, 4, dtype="float64", backend="reference")
    x, d_h = rng.standard_normal((9, 3, 2)), rng.standard_normal((3, 4))
    expected = layer.backward(layer.forward(x), d_state={"h": d_h}).params
    start = {name: np.zeros((3, 4)) for name in layer.cell.states} | {"h": d_h}
    shares, scales = parameter_shares(Path(layer, x, stretch=1), start)
    assert shares.keys() == expected.keys()
    for name, parts in shares.items():
        assert parts.shape == (9, expected[name].size)
        total = (parts * np.exp(scales)[:, None]).sum(axis=0)
        np.testing.assert_allclose(total, expected[name].ravel(), atol=1e-13)


def test_of_a_linear_network_a_share_is_the_state_times_the_cotangent_pulled_back() -> None:
    """g_t = h_{t-1}^T (v W^T ... W^T), T - t factors; far beyond what float64 can hold."""
    rng = np.random.default_rng(0)
    layer = Layer("rnn_linear", 1, 5, dtype="float64", backend="reference", gain=0.3)
    x, v = rng.standard_normal((900, 1, 1)), rng.standard_normal((1, 5))
    shares, scales = parameter_shares(Path(layer, x, stretch=1), {"h": v})
    h = layer.forward(x).h
    rotation = layer.params["W_hh"] / 0.3
    log_norms, _ = log_shares(shares["W_hh"], scales)
    pulled = v
    for lag in range(899):
        assert log_norms[lag] - log_norms[0] == pytest.approx(
            lag * math.log(0.3)
            + math.log(np.linalg.norm(h[898 - lag]) * np.linalg.norm(pulled))
            - math.log(np.linalg.norm(h[898]) * np.linalg.norm(v)),
            abs=1e-8,
        )
        pulled = pulled @ rotation.T
    assert log_norms[899] == -np.inf, "before the first step there is no state to multiply"
    assert log_norms[898] < -1000


def test_steps_count_until_all_earlier_ones_add_less_than_a_hundredth() -> None:
    """Shares of 1, 1/10, 1/100, ...: the rest from lag 2 on is 1/100 of the sum, from lag 3 on 1/1000."""
    shares = 10.0 ** -np.arange(8)[:, None]
    log_norms, remaining = log_shares(shares, np.zeros(8))
    assert int(np.argmax(remaining < 0.01)) == 3 - int(remaining[2] < 0.01)
    np.testing.assert_allclose(np.diff(log_norms), -math.log(10))
    assert remaining[0] == 1
    assert remaining[-1] == 0


def test_the_probe_yields_every_parameter() -> None:
    probe = probes.get("parameter_gradient")
    parameters = probe.Parameters(cell="gru", hidden=4, batch=3, length=30, backend="reference")
    table: dict[str, list[float]] = {}
    for row in probe.measure(parameters, Seeds(0, "a trial")):
        table.setdefault(row.quantity, []).append(row.value)
    for name in ("W_xh", "W_hh", "b_h", "b_hn"):
        assert len(table[f"log_gradient_share_{name}"]) == 30
        assert 1 <= table[f"steps_that_count_{name}"][0] <= 30
