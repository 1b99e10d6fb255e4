import math

import numpy as np
import pytest
from pydantic import ValidationError

from rnnbench import Layer, probes
from rnnbench.probes._gates import log_gates_only
from rnnbench.probes._path import Path, log_delta_norms
from rnnbench.probes.base import Seeds
from rnnbench.probes.gradient_decay import fitted_line, theory


def by_quantity(rows):
    table = {}
    for row in rows:
        table.setdefault(row.quantity, []).append(row.value)
    return table


def curve_of(layer, steps=60, batch=3, stretch=7):
    """Return the curve by lag (T,) of a layer that reads zeros, so that it stays at 0 and every slope is known."""
    direction = np.random.default_rng(0).standard_normal((batch, layer.hidden_size))
    path = Path(layer, np.zeros((steps, batch, layer.input_size)), stretch)
    start = {name: np.zeros_like(direction) for name in layer.cell.states} | {"h": direction}
    logs = log_delta_norms(path, start)[""]
    return np.median(logs - logs[0], axis=1)


@pytest.mark.parametrize("cell", ["rnn", "rnn_relu", "rnn_linear"])
@pytest.mark.parametrize("gain", [0.5, 0.9, 1.0, 1.1])
def test_a_scaled_rotation_at_rest_shrinks_by_its_gain_a_step(cell, gain):
    """At h = 0 tanh has slope 1, so every Jacobian is g Q^T and the norm falls by exactly ln g a step."""
    layer = Layer(cell, 2, 8, dtype="float64", backend="reference", gain=gain)
    if cell == "rnn_relu":
        layer.params["b_h"][:] = 1e-300  # just above the kink
        layer.params["W_hh"] = gain * np.eye(8)
    curve = curve_of(layer)
    np.testing.assert_allclose(curve, np.arange(60) * math.log(gain), atol=1e-10)
    fit = {row.quantity: row.value for row in fitted_line(curve)}
    assert fit["decay_slope"] == pytest.approx(math.log(gain), abs=1e-12)
    if gain < 1:
        assert fit["half_life"] == pytest.approx(-math.log(2) / math.log(gain), rel=1e-10)
    if gain > 1:
        assert math.isnan(fit["half_life"])
    np.testing.assert_allclose(theory(layer, 60), np.arange(60) * math.log(gain), atol=1e-11)


@pytest.mark.parametrize("bias", [0.0, 1.0, 3.0])
def test_an_lstm_without_recurrent_weights_forgets_by_its_gate(bias):
    """With W_hh = 0 and no input only the path through c is left, and each step multiplies it by sigmoid(b_f)."""
    layer = Layer("lstm", 2, 8, dtype="float64", backend="reference", gate_bias=bias)
    layer.params["W_hh"][:] = 0
    curve = curve_of(layer)
    slope = -math.log1p(math.exp(-bias))
    np.testing.assert_allclose(np.diff(curve[1:]), slope, atol=1e-12)
    np.testing.assert_allclose(theory(layer, 60), slope * np.arange(60), rtol=1e-13)


@pytest.mark.parametrize(("bias", "half_life"), [(0.0, 1.0), (1.0, 2.21), (3.0, 14.3), (5.0, 103.0)])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_path_through_the_gates_alone_halves_as_its_bias_says(cell, bias, half_life):
    """ln 2 / -ln sigmoid(b): of gates that only their bias moves."""
    layer = Layer(cell, 2, 8, dtype="float64", backend="reference", gate_bias=bias)
    fit = {row.quantity: row.value for row in fitted_line(theory(layer, 150))}
    assert fit["half_life"] == pytest.approx(half_life, rel=0.005)
    gate = np.full((150, 3, 8), 1 / (1 + math.exp(-bias)))
    direction = np.random.default_rng(0).standard_normal((3, 8))
    np.testing.assert_allclose(log_gates_only(gate, direction)[:, 1], theory(layer, 150), atol=1e-11)


def test_of_gates_that_differ_the_slowest_is_left():
    """Two units that keep 1/2 and 9/10 a step: the norm of what v = (3, 4) becomes."""
    gate = np.broadcast_to([0.5, 0.9], (40, 1, 2))
    lags = np.arange(40)
    expected = np.log(np.hypot(3 * 0.5**lags, 4 * 0.9**lags) / 5)
    np.testing.assert_allclose(log_gates_only(gate, np.array([[3.0, -4.0]]))[:, 0], expected, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norms_far_below_the_floor_of_the_dtype_are_measured(dtype):
    """A rotation scaled by 1/2: after 1200 steps 2^-1200, which float64 cannot hold, nor float32 after 150."""
    layer = Layer("rnn_linear", 1, 6, dtype=dtype, gain=0.5)
    curve = curve_of(layer, steps=1200, stretch=10)
    np.testing.assert_allclose(curve, np.arange(1200) * math.log(0.5), rtol=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "gru_reset_before"])
@pytest.mark.parametrize("stretch", [1, 4, 100])
def test_stretches_change_nothing(cell, stretch):
    """Gone back in stretches or at once, the norms are those of the layer's own state sequence."""
    rng = np.random.default_rng(0)
    layer = Layer(cell, 2, 5, dtype="float64", backend="reference")
    x, start = rng.standard_normal((13, 3, 2)), {"h": rng.standard_normal((3, 5))}
    sequence = layer.backward(layer.forward(x), d_state=start).state_sequence
    zeros = {name: np.zeros((3, 5)) for name in layer.cell.states}
    logs = log_delta_norms(Path(layer, x, stretch), zeros | start)
    whole = np.concatenate(list(sequence.values()), axis=2)
    np.testing.assert_allclose(logs[""][::-1], np.log(np.linalg.norm(whole, axis=2)), rtol=1e-12)
    for name in layer.cell.states:
        np.testing.assert_allclose(np.exp(logs[name][::-1]), np.linalg.norm(sequence[name], axis=2), rtol=1e-12)


def test_the_fit_covers_the_lags_it_says():
    curve = np.concatenate([np.full(20, 100.0), -0.5 * np.arange(20, 300)])
    curve[201:] = 7.0
    fit = {row.quantity: row.value for row in fitted_line(curve)}
    assert fit == pytest.approx(
        {"decay_slope": -0.5, "half_life": 2 * math.log(2), "fit_r2": 1, "fit_first_lag": 20, "fit_last_lag": 200}
    )


def test_rnn_gradients_stay_below_the_bound_and_below_lag_0():
    probe = probes.get("gradient_decay")
    for gain in (0.9, 1.2):
        parameters = probe.Parameters(cell="rnn", hidden=8, batch=4, data="adding", length=40, gain=gain)
        table = by_quantity(probe.measure(parameters, Seeds(0, "a trial")))
        upper, theory = np.array(table["log_gradient_norm_upper_quartile"]), np.array(table["log_theory"])
        assert (upper <= theory + 1e-12).all()
        assert theory[0] == upper[0] == 0


def test_quartiles_surround_the_median_and_lstm_parts_make_the_whole():
    probe = probes.get("gradient_decay")
    parameters = probe.Parameters(cell="lstm", hidden=8, batch=1, data="adding", length=40)
    table = {name: np.array(values) for name, values in by_quantity(probe.measure(parameters, Seeds(0, "a"))).items()}
    assert (table["log_gradient_norm_lower_quartile"] <= table["log_gradient_norm"]).all()
    assert (table["log_gradient_norm"] <= table["log_gradient_norm_upper_quartile"]).all()
    h, c = table["log_gradient_norm_h"][1:], table["log_gradient_norm_c"]
    np.testing.assert_allclose(np.logaddexp(2 * h, 2 * c) / 2, table["log_gradient_norm"][1:], atol=1e-12)


def test_lengths_the_data_cannot_have_are_refused():
    with pytest.raises(ValidationError, match="sequential_digits"):
        probes.get("gradient_decay").Parameters(data="sequential_digits", length=50)


def test_a_cell_without_a_memory_gate_has_no_gate_bias():
    parameters = probes.get("gradient_decay").Parameters
    assert parameters(cell="rnn", gate_bias=3.0) == parameters(cell="rnn", gate_bias=0.0)
    assert parameters(cell="gru", gate_bias=3.0) != parameters(cell="gru", gate_bias=0.0)


EXPECTED = [  # half-life in steps at H = 64 on adding inputs, T = 300, the median over four seeds
    ("rnn", {"gain": 0.5}, 1.0),
    ("rnn", {"gain": 0.9}, 5.1),
    ("rnn", {"gain": 1.0}, 11.9),
    ("rnn", {"initialization": "uniform"}, 1.5),
    ("lstm", {"initialization": "uniform", "gate_bias": 0.0}, 1.5),
    ("lstm", {"gate_bias": 0.0}, 2.4),
    ("lstm", {"gate_bias": 1.0}, 17.5),
    ("lstm", {"chrono": 300}, 142),
    ("gru", {"initialization": "uniform", "gate_bias": 0.0}, 1.6),
    ("gru", {"gate_bias": 0.0}, 2.3),
    ("gru", {"gate_bias": 1.0}, 4.7),
    ("gru", {"gate_bias": 3.0}, 26),
    ("gru", {"chrono": 300}, 145),
]


def median_slope(cell, setting):
    probe, found = probes.get("gradient_decay"), []
    for seed in range(4):
        parameters = probe.Parameters(cell=cell, hidden=64, batch=8, data="adding", length=300, seed=seed, **setting)
        rows = probe.measure(parameters, Seeds(seed, probe.name))
        found += [row.value for row in rows if row.quantity == "decay_slope"]
    return np.median(found)


@pytest.mark.compiled
@pytest.mark.parametrize(("cell", "setting", "half_life"), EXPECTED, ids=str)
def test_half_lives_at_initialisation_are_those_expected(cell, setting, half_life):
    """Within 15 % of what another program found from other random numbers."""
    assert -math.log(2) / median_slope(cell, setting) == pytest.approx(half_life, rel=0.15)


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("cell", "setting", "slope"),
    [
        ("rnn", {"gain": 1.1}, -0.032),
        ("rnn", {"gain": 1.5}, 0.055),
        ("lstm", {"gate_bias": 3.0}, 0.011),
        ("lstm", {"gate_bias": 5.0}, 0.011),
    ],
    ids=str,
)
def test_slopes_near_zero_are_those_expected(cell, setting, slope):
    """Within 0.02 nats a step: where growth and saturation nearly cancel, the size of the inputs moves the slope."""
    assert median_slope(cell, setting) == pytest.approx(slope, abs=0.02)
