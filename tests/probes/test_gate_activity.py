"""Gate activity: gates that only their bias moves, quartiles and fractions of made-up gates."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rnnbench import Layer, probes
from rnnbench.probes._gates import gate_values
from rnnbench.probes.base import Seeds
from rnnbench.probes.gate_activity import gate_rows


@pytest.mark.parametrize(("cell", "gate"), [("lstm", "forget"), ("gru", "update"), ("gru_reset_before", "update")])
def test_a_gate_without_weights_is_the_sigmoid_of_its_bias(cell: str, gate: str) -> None:
    layer = Layer(cell, 2, 3, dtype="float64", gate_bias=2.0)
    layer.params["W_xh"][:] = layer.params["W_hh"][:] = 0
    values = gate_values(layer, np.ones((6, 4, 2)))
    assert values[gate].shape == (6, 4, 3)
    np.testing.assert_allclose(values[gate], 1 / (1 + math.exp(-2)), rtol=1e-15)


def test_gates_are_those_that_the_state_comes_from() -> None:
    """c_t = f c_{t-1} + i g and h_t = o tanh(c_t), step by step."""
    layer = Layer("lstm", 2, 3, dtype="float64")
    x = np.random.default_rng(0).standard_normal((7, 2, 2))
    gates, c, h = gate_values(layer, x), np.zeros((2, 3)), layer.forward(x).h
    for t in range(7):
        c = gates["forget"][t] * c + gates["input"][t] * gates["candidate"][t]
        np.testing.assert_allclose(gates["output"][t] * np.tanh(c), h[t], atol=1e-12)


def test_fractions_and_quartiles_of_a_made_up_gate() -> None:
    values = np.array([[[0.0, 0.05, 0.5, 0.95, 1.0]], [[0.1, 0.2, 0.3, 0.4, 0.5]]])
    table = {(row.quantity, row.index): row.value for row in gate_rows("forget", values)}
    assert table["forget_gate_left_saturated", 1] == pytest.approx(0.4)
    assert table["forget_gate_right_saturated", 1] == pytest.approx(0.4)
    assert table["forget_gate_left_saturated", 2] == table["forget_gate_right_saturated", 2] == 0
    assert table["forget_gate_lower_quartile", 2] == pytest.approx(0.2)
    assert table["forget_gate_upper_quartile", 2] == pytest.approx(0.4)
    assert table["forget_gate", 2] == pytest.approx(0.3)
    assert table["forget_gate_mean", None] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("cell", "gates"), [("rnn", set()), ("lstm", {"input", "forget", "output"}), ("gru", {"reset", "update"})]
)
def test_every_gate_between_0_and_1_is_there(cell: str, gates: set[str]) -> None:
    probe = probes.get("gate_activity")
    parameters = probe.Parameters(cell=cell, hidden=4, batch=3, length=8)
    rows = list(probe.measure(parameters, Seeds(0, "a trial")))
    means = {row.quantity.removesuffix("_gate_mean") for row in rows if row.quantity.endswith("_gate_mean")}
    assert means == gates
    assert [row.index for row in rows if row.quantity == "state_saturated"] == list(range(1, 9))


def test_training_changes_what_is_measured() -> None:
    probe = probes.get("gate_activity")
    found = []
    for steps in (0, 3):
        parameters = probe.Parameters(cell="lstm", hidden=4, batch=3, length=8, training_steps=steps)
        rows = probe.measure(parameters, Seeds(0, "a trial"))
        found.append(next(row.value for row in rows if row.quantity == "forget_gate_mean"))
    assert found[0] != found[1]
    assert found[0] == pytest.approx(found[1], abs=0.02)
