import math

import numpy as np
import pytest
from pydantic import ValidationError

from rnnbench import Layer, probes
from rnnbench.probes.base import Seeds
from rnnbench.probes.gradient_decay import fitted_line, log_norms, theory_slope


def by_quantity(rows):
    table = {}
    for row in rows:
        table.setdefault(row.quantity, []).append(row.value)
    return table


def curve_of(layer, steps=60, batch=3):
    """Return the curve by lag (T,) of a layer that reads zeros, so that it stays at 0 and every slope is known."""
    trace = layer.forward(np.zeros((steps, batch, layer.input_size)))
    direction = np.random.default_rng(0).standard_normal((batch, layer.hidden_size))
    sequence = layer.backward(trace, d_state={"h": direction}).state_sequence
    rows = log_norms({name: value[::-1] for name, value in sequence.items()})
    while True:
        try:
            next(rows)
        except StopIteration as end:
            return np.median(end.value, axis=1)


@pytest.mark.parametrize("cell", ["rnn", "rnn_relu"])
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
    assert theory_slope(layer, 0.0) == pytest.approx(math.log(gain), abs=1e-12)


@pytest.mark.parametrize("bias", [0.0, 1.0, 3.0])
def test_an_lstm_without_recurrent_weights_forgets_by_its_gate(bias):
    """With W_hh = 0 and no input only the path through c is left, and each step multiplies it by sigmoid(b_f)."""
    layer = Layer("lstm", 2, 8, dtype="float64", backend="reference", gate_bias=bias)
    layer.params["W_hh"][:] = 0
    curve = curve_of(layer)
    slope = -math.log1p(math.exp(-bias))
    np.testing.assert_allclose(np.diff(curve[1:]), slope, atol=1e-12)
    assert theory_slope(layer, bias) == pytest.approx(slope, rel=1e-14)


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
