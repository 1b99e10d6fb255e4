from __future__ import annotations

import numpy as np
import pytest
from oracles.problems import CELLS, largest_error

from rnnbench import cells
from rnnbench.backends.base import Arrays
from rnnbench.errors import InputError
from rnnbench.initialization import SCHEMES, initialize

INPUTS, HIDDEN = 12, 20


def draw(cell: str, seed: int = 0, inputs: int = INPUTS, hidden: int = HIDDEN, **options: object) -> Arrays:
    return initialize(cells.get(cell), inputs, hidden, np.random.default_rng(seed), **options)


def gate_columns(params: Arrays, name: str, gate: int) -> np.ndarray:
    return params[name][..., gate * HIDDEN : (gate + 1) * HIDDEN]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("cell", CELLS)
class TestEveryScheme:
    def test_shapes_and_dtype(self, cell: str, scheme: str) -> None:
        params = draw(cell, scheme=scheme)
        shapes = {name: value.shape for name, value in params.items()}
        assert shapes == cells.get(cell).parameter_shapes(INPUTS, HIDDEN)
        assert {value.dtype for value in params.values()} == {np.dtype("float64")}

    def test_the_seed_decides(self, cell: str, scheme: str) -> None:
        first, second = draw(cell, scheme=scheme), draw(cell, seed=1, scheme=scheme)
        assert largest_error(draw(cell, scheme=scheme), first) == 0
        assert not np.array_equal(first["W_xh"], second["W_xh"])
        assert np.array_equal(first["W_hh"], second["W_hh"]) == (scheme == "identity")

    def test_gain_multiplies_the_recurrent_weights_alone(self, cell: str, scheme: str) -> None:
        params, larger = draw(cell, scheme=scheme), draw(cell, scheme=scheme, gain=1.5)
        np.testing.assert_array_equal(larger.pop("W_hh"), 1.5 * params.pop("W_hh"))
        assert largest_error(larger, params) == 0

    def test_gate_bias_goes_to_the_gate_that_keeps_memory(self, cell: str, scheme: str) -> None:
        params, moved = (draw(cell, scheme=scheme, gate_bias=bias) for bias in (0.0, 3.0))
        added = moved.pop("b_h") - params.pop("b_h")
        assert largest_error(moved, params) == 0
        keeps = cells.get(cell).memory_gate
        gates = added.reshape(-1, HIDDEN)
        for gate, values in zip(cells.get(cell).gates, gates, strict=True):
            np.testing.assert_allclose(values, 3.0 if gate == keeps else 0.0, atol=1e-15)

    def test_chrono_biases_spread_memory_over_its_time(self, cell: str, scheme: str) -> None:
        """Gates at sigmoid(b) forget over 1 + e^b steps: uniform from 2 to T. The gate that writes has the opposite."""
        known, time = cells.get(cell), 100
        plain, params = draw(cell, scheme=scheme, gate_bias=0.0), draw(cell, scheme=scheme, chrono=time)
        added = (params.pop("b_h") - plain.pop("b_h")).reshape(-1, HIDDEN)
        assert largest_error(params, plain) == 0
        biases = dict(zip(known.gates, added, strict=True))
        if known.memory_gate is not None:
            keeps = biases.pop(known.memory_gate)
            times = 1 + np.exp(keeps)
            assert 2 - 1e-9 <= times.min() < 25 < 75 < times.max() <= time + 1e-9
            if known.write_gate is not None:
                np.testing.assert_allclose(biases.pop(known.write_gate), -keeps, atol=1e-12)
        assert not any(np.abs(values).max() > 1e-12 for values in biases.values())


def test_the_gate_named_keeps_memory_when_its_bias_is_large() -> None:
    """A state survives a step of an LSTM and of a GRU whose gate bias is large, whatever the input."""
    rng = np.random.default_rng(0)
    for name in ("lstm", "gru", "gru_reset_before"):
        cell = cells.get(name)
        z = rng.standard_normal(len(cell.preactivations))
        z[cell.preactivations.index(cell.memory_gate)] = 40.0
        if name == "lstm":
            z[cell.preactivations.index("input")] = -40.0
        state = tuple(rng.standard_normal(len(cell.states)))
        following, _ = cell.forward_element(tuple(z), state)
        assert following[-1] == pytest.approx(state[-1], rel=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_orthogonal(cell: str) -> None:
    params = draw(cell, gate_bias=0.0)
    limit = np.sqrt(6 / (INPUTS + HIDDEN))
    for gate in range(len(cells.get(cell).gates)):
        rotation = gate_columns(params, "W_hh", gate)
        np.testing.assert_allclose(rotation.T @ rotation, np.eye(HIDDEN), atol=1e-14)
        weights = gate_columns(params, "W_xh", gate)
        assert 0.95 * limit < np.abs(weights).max() <= limit
        assert weights.std() == pytest.approx(limit / np.sqrt(3), rel=0.15)
    assert not any(value.any() for name, value in params.items() if name.startswith("b_"))


@pytest.mark.parametrize("cell", CELLS)
def test_glorot_and_identity(cell: str) -> None:
    glorot, identity = (draw(cell, scheme=scheme, gate_bias=0.0) for scheme in ("glorot", "identity"))
    for gate in range(len(cells.get(cell).gates)):
        np.testing.assert_array_equal(gate_columns(identity, "W_hh", gate), np.eye(HIDDEN))
        for name, rows in (("W_xh", INPUTS), ("W_hh", HIDDEN)):
            limit, weights = np.sqrt(6 / (rows + HIDDEN)), gate_columns(glorot, name, gate)
            assert 0.95 * limit < np.abs(weights).max() <= limit
            assert weights.std() == pytest.approx(limit / np.sqrt(3), rel=0.15)
    assert identity["W_xh"].std() == pytest.approx(1e-3, rel=0.2)
    assert not any(value.any() for params in (glorot, identity) for name, value in params.items() if name[0] == "b")


def test_a_chrono_time_too_short_is_refused() -> None:
    with pytest.raises(InputError, match="chrono is 2; expected a time of at least 3 steps"):
        draw("lstm", chrono=2)


def test_gates_are_drawn_apart() -> None:
    params = draw("lstm")
    for name in ("W_xh", "W_hh"):
        gates = [gate_columns(params, name, gate) for gate in range(4)]
        assert all(not np.array_equal(a, b) for k, a in enumerate(gates) for b in gates[:k])


def test_rotations_are_uniform() -> None:
    """Without the signs of R, the first column of Q has a first entry that is never positive (Mezzadri 2007)."""
    rotations = [draw("rnn", seed=seed, hidden=3)["W_hh"] for seed in range(400)]
    diagonal = np.array([np.diag(q) for q in rotations])
    # Entries of a uniform rotation have mean 0 and variance 1/H: five standard errors.
    assert np.abs(diagonal.mean(axis=0)).max() < 5 * np.sqrt(1 / 3 / 400)
    assert np.abs((diagonal**2).mean(axis=0) - 1 / 3).max() < 5 * np.sqrt(4 / 45 / 400)
    assert 0.4 < np.mean([np.linalg.det(q) > 0 for q in rotations]) < 0.6


@pytest.mark.parametrize("cell", CELLS)
def test_uniform_has_the_moments_of_pytorchs_default(cell: str) -> None:
    """PyTorch adds two biases of U(-k, k), k^2 = 1/H, but for the candidate of a GRU that resets after the product."""
    known = cells.get(cell)
    draws = [draw(cell, seed=seed, scheme="uniform", gate_bias=0.0) for seed in range(60)]
    limit = 1 / np.sqrt(HIDDEN)
    variance, fourth = limit**2 / 3, limit**4 / 5

    def check(values: np.ndarray, terms: int) -> None:
        values = values.ravel()
        assert np.abs(values).max() <= terms * limit
        assert np.abs(values.mean()) < 5 * np.sqrt(terms * variance / values.size)
        of_sum = terms * fourth + 3 * terms * (terms - 1) * variance**2
        error = np.sqrt((of_sum - (terms * variance) ** 2) / values.size)
        assert np.abs((values**2).mean() - terms * variance) < 5 * error

    for name in ("W_xh", "W_hh"):
        check(np.stack([params[name] for params in draws]), 1)
    for gate, gate_name in enumerate(known.gates):
        biases = np.stack([gate_columns(params, "b_h", gate) for params in draws])
        check(biases, 1 if gate_name in known.separate else 2)
    if known.separate:
        check(np.stack([params[known.separate_bias] for params in draws]), 1)


def test_an_unknown_scheme_names_the_nearest_one() -> None:
    with pytest.raises(InputError, match="unknown initialization 'unifrom': did you mean 'uniform'"):
        draw("rnn", scheme="unifrom")
