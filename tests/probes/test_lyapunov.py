"""Lyapunov exponents: of linear networks ln |eig(W)|, of scaled rotations ln g, of gated ones by their trace."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from rnnbench import Layer, probes
from rnnbench.probes._path import Path
from rnnbench.probes.base import Seeds
from rnnbench.probes.lyapunov import lyapunov_exponents


def exponents_of(layer: Layer, steps: int, burn_in: int = 100) -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((steps, 1, layer.input_size))
    return lyapunov_exponents(Path(layer, x, stretch=1), np.random.default_rng(1), burn_in)


@pytest.mark.parametrize("seed", range(3))
def test_of_a_linear_network_they_are_ln_of_its_eigenvalues(seed: int) -> None:
    """Within 2e-3 at 2000 steps, complex pairs included."""
    layer = Layer("rnn_linear", 1, 8, dtype="float64", backend="reference")
    layer.params["W_hh"] = np.random.default_rng(seed).standard_normal((8, 8)) / np.sqrt(8)
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(layer.params["W_hh"]))))[::-1]
    np.testing.assert_allclose(exponents_of(layer, 2000), expected, atol=2e-3)


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.2])
def test_of_a_scaled_rotation_all_are_ln_of_its_gain(gain: float) -> None:
    layer = Layer("rnn_linear", 2, 7, dtype="float64", backend="reference", gain=gain)
    np.testing.assert_allclose(exponents_of(layer, 60, burn_in=5), math.log(gain), atol=1e-12)


def test_of_gates_alone_they_are_ln_of_the_forget_gate_and_minus_infinity() -> None:
    """Without recurrent weights c is kept by sigmoid(b_f) a step, and h, which nothing reads, by nothing."""
    layer = Layer("lstm", 1, 3, dtype="float64", backend="reference", gate_bias=2.0)
    layer.params["W_hh"][:] = 0
    layer.params["W_xh"][:] = 0
    found = exponents_of(layer, 60, burn_in=5)
    np.testing.assert_allclose(found[:3], -math.log1p(math.exp(-2)), atol=1e-12)
    assert (found[3:] < -30).all()


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_their_sum_is_the_mean_log_determinant(cell: str) -> None:
    layer = Layer(cell, 2, 5, dtype="float64", backend="reference")
    x = np.random.default_rng(0).standard_normal((80, 1, 2))
    path, size = Path(layer, x, stretch=1), 5 * len(layer.cell.states)
    logs = [np.linalg.slogdet(path.transposed_jacobians_times(t, np.eye(size)[None])[0])[1] for t in range(10, 70)]
    assert exponents_of(layer, 80, burn_in=10).sum() == pytest.approx(np.mean(logs), rel=1e-9)


def test_the_probe_puts_the_eigenvalues_beside_the_exponents() -> None:
    probe = probes.get("lyapunov")
    options = {"cell": "rnn_linear", "hidden": 6, "length": 1500, "backend": "reference", "initialization": "glorot"}
    table: dict[str, list[float]] = {}
    for row in probe.measure(probe.Parameters(**options), Seeds(0, "lyapunov")):
        table.setdefault(row.quantity, []).append(row.value)
    np.testing.assert_allclose(table["lyapunov_exponent"], table["log_eigenvalue"], atol=2e-3)
    assert table["largest_exponent"] == [table["lyapunov_exponent"][0]]
    assert table["mean_exponent"][0] == pytest.approx(np.mean(table["lyapunov_exponent"]))


def test_a_tanh_network_of_large_gain_is_chaotic_and_of_small_gain_is_not() -> None:
    probe = probes.get("lyapunov")
    largest = {}
    for gain in (0.8, 2.0):
        rows = probe.measure(probe.Parameters(cell="rnn", gain=gain, length=400), Seeds(0, "lyapunov"))
        largest[gain] = next(row.value for row in rows if row.quantity == "largest_exponent")
    assert largest[0.8] < math.log(0.8)
    assert largest[2.0] > 0.05


def test_a_path_shorter_than_what_is_left_out_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected length above 2 burn_in = 200; found 200"):
        probes.get("lyapunov").Parameters(length=200)
