"""Products of Jacobians: of a linear network W^k, of others the product of matrices made by complex steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from oracles import equations

from rnnbench import Layer, probes
from rnnbench.probes._path import Path
from rnnbench.probes.base import Seeds


def measured(**options):
    probe = probes.get("jacobian_products")
    parameters = probe.Parameters(backend="reference", **options)
    table = {}
    for row in probe.measure(parameters, Seeds(parameters.seed, probe.name)):
        table.setdefault(row.quantity, {})[row.index] = row.value
    return table


def test_of_a_linear_network_they_are_powers_of_its_weights():
    options = {"cell": "rnn_linear", "hidden": 6, "length": 12, "lags": 60, "initialization": "glorot", "gain": 1.2}
    table = measured(**options)
    rng = Seeds(0, "jacobian_products").generator("weights")
    w = Layer("rnn_linear", 2, 6, "float64", "reference", rng, "glorot", 1.2).params["W_hh"]
    for k in range(1, 13):
        values = np.linalg.svd(np.linalg.matrix_power(w, k), compute_uv=False)
        if values[-1] < 1e-11 * values[0]:
            break
        assert table["log_largest_singular_value"][k] == pytest.approx(math.log(values[0]), abs=1e-9)
        assert table["log_median_singular_value"][k] == pytest.approx(np.median(np.log(values)), abs=1e-7)
        assert table["log_smallest_singular_value"][k] == pytest.approx(math.log(values[-1]), abs=1e-4)
        assert table["log_theory"][k] == pytest.approx(k * math.log(np.linalg.norm(w, 2)))
    assert k > 5


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.3])
def test_of_a_scaled_rotation_all_are_powers_of_its_gain(gain):
    table = measured(cell="rnn_linear", hidden=8, length=60, gain=gain)
    for k in table["log_condition"]:
        assert table["log_condition"][k] == pytest.approx(0, abs=1e-9)
        for name in ("log_largest_singular_value", "log_trajectory_bound", "log_theory"):
            assert table[name][k] == pytest.approx(k * math.log(gain), abs=1e-9)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "gru_reset_before"])
def test_a_transposed_jacobian_is_the_derivative_of_all_states_by_all_states(cell):
    """Against complex steps through the textbook's equations; of an LSTM both h and c, 2H by 2H."""
    rng = np.random.default_rng(0)
    layer = Layer(cell, 3, 4, dtype="float64", backend="reference")
    x = rng.standard_normal((5, 1, 3))
    path = Path(layer, x, stretch=1)
    names = layer.cell.states
    state = {name: value[0].astype(complex) for name, value in path.stretches[3][1].items()}
    jacobian = np.empty((4 * len(names), 4 * len(names)))
    for column, (name, unit) in enumerate((name, unit) for name in names for unit in range(4)):
        moved = {key: value.copy() for key, value in state.items()}
        moved[name][unit] += 1e-30j
        after = equations.STEPS[cell](layer.params, x[3, 0], moved)
        jacobian[:, column] = np.concatenate([after[key].imag for key in names]) / 1e-30
    size = len(jacobian)
    found = path.transposed_jacobians_times(3, np.eye(size)[None])
    np.testing.assert_allclose(found[0], jacobian.T, atol=1e-13)


@pytest.mark.parametrize(("cell", "gain"), [("rnn", 0.9), ("rnn", 1.6), ("lstm", 1.0), ("gru", 1.0)])
def test_bounds_hold(cell, gain):
    table = measured(cell=cell, hidden=8, length=40, gain=gain)
    for k, largest in table["log_largest_singular_value"].items():
        assert largest <= table["log_trajectory_bound"][k] + 1e-9
        assert table["log_smallest_singular_value"][k] <= table["log_median_singular_value"][k] <= largest
        if cell == "rnn":
            assert table["log_trajectory_bound"][k] <= table["log_theory"][k] + 1e-9
    assert ("log_theory" in table) == (cell == "rnn")


def test_saturation_keeps_a_network_below_its_bound_above_one():
    """sigma_max > 1 is necessary for gradients to explode, not sufficient (Pascanu et al. 2013)."""
    table = measured(cell="rnn", hidden=16, length=100, gain=1.05)
    assert table["log_theory"][100] > 4
    assert table["log_largest_singular_value"][100] < 0
