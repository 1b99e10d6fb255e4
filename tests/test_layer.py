from __future__ import annotations

import re

import numpy as np
import pytest
from oracles.problems import CELLS, flat_gradients, flat_trace, largest_error, layer_for, problem, run

from rnnbench import cells
from rnnbench.backends import get
from rnnbench.errors import InputError, ShapeError
from rnnbench.layer import Layer

SIZES = {"steps": 4, "batch": 2, "inputs": 3, "hidden": 5}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_parameters_have_the_cells_shapes(cell: str, dtype: str) -> None:
    layer = Layer(cell, 3, 5, dtype=dtype)
    shapes = {name: value.shape for name, value in layer.params.items()}
    assert shapes == cells.get(cell).parameter_shapes(3, 5)
    assert {value.dtype for value in layer.params.values()} == {np.dtype(dtype)}


def test_sizes_of_gated_cells_are_in_the_known_ratio() -> None:
    def count(cell: str) -> int:
        return sum(value.size for value in Layer(cell, 7, 11).params.values())

    assert count("rnn") == 11 * (11 + 7 + 1)
    assert count("lstm") == 4 * count("rnn")
    assert count("gru_reset_before") == 3 * count("rnn")
    assert count("gru") == 3 * count("rnn") + 11


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("cell", CELLS)
class TestDefaults:
    def test_the_state_starts_from_zero(self, cell: str, backend: str) -> None:
        given = problem(cell, **SIZES)
        layer = layer_for(given, backend)
        zero = layer.zero_state(SIZES["batch"])
        assert {name: value.shape for name, value in zero.items()} == dict.fromkeys(layer.cell.states, (2, 5))
        without, with_zero = layer.forward(given.x), layer.forward(given.x, zero)
        assert largest_error(flat_trace(without), flat_trace(with_zero)) == 0

    def test_gradients_that_are_not_given_are_zero(self, cell: str, backend: str) -> None:
        given = problem(cell, **SIZES)
        layer = layer_for(given, backend)
        trace = layer.forward(given.x, given.state)
        nothing = flat_gradients(layer.backward(trace))
        assert all(not value.any() for value in nothing.values())
        zero = {name: np.zeros_like(value) for name, value in given.d_state.items()}
        explicit = layer.backward(trace, given.d_h, zero)
        assert largest_error(flat_gradients(layer.backward(trace, given.d_h)), flat_gradients(explicit)) == 0
        explicit = layer.backward(trace, np.zeros_like(given.d_h), given.d_state)
        found = layer.backward(trace, d_state=given.d_state)
        assert largest_error(flat_gradients(found), flat_gradients(explicit)) == 0

    def test_some_of_the_final_states_may_have_a_gradient(self, cell: str, backend: str) -> None:
        given = problem(cell, **SIZES)
        layer = layer_for(given, backend)
        trace = layer.forward(given.x, given.state)
        for name, value in given.d_state.items():
            others = {other: np.zeros_like(value) for other in given.d_state}
            explicit = layer.backward(trace, given.d_h, others | {name: value})
            found = layer.backward(trace, given.d_h, {name: value})
            assert largest_error(flat_gradients(found), flat_gradients(explicit)) == 0

    def test_the_caller_keeps_its_arrays(self, cell: str, backend: str) -> None:
        given, untouched = problem(cell, **SIZES, lengths=True), problem(cell, **SIZES, lengths=True)
        layer = layer_for(given, backend)
        trace, gradients = run(layer, given)
        np.testing.assert_array_equal(given.x, untouched.x)
        np.testing.assert_array_equal(given.d_h, untouched.d_h)
        for part in ("state", "d_state", "params"):
            assert largest_error(getattr(given, part), getattr(untouched, part)) == 0
        assert largest_error(layer.params, untouched.params) == 0
        before = {name: value.copy() for name, value in flat_gradients(gradients).items()}
        layer.backward(trace, 2 * given.d_h)
        assert largest_error(flat_gradients(gradients), before) == 0


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_inputs_may_lie_anyhow_in_memory_and_have_another_dtype(backend: str) -> None:
    given = problem("lstm", **SIZES)
    layer = layer_for(given, backend)
    _, expected = run(layer, given)
    given.x = given.x.transpose(2, 0, 1).copy().transpose(1, 2, 0)
    given.d_h = np.asfortranarray(given.d_h)
    given.state = {name: np.repeat(value, 2, axis=0)[::2] for name, value in given.state.items()}
    _, found = run(layer, given)
    assert largest_error(flat_gradients(found), flat_gradients(expected)) == 0
    whole = np.arange(24).reshape(4, 2, 3)
    assert largest_error(flat_trace(layer.forward(whole)), flat_trace(layer.forward(whole.astype(float)))) == 0


def test_the_backend_and_cell_may_be_objects() -> None:
    layer = Layer(cells.get("gru"), 1, 1, backend=get("reference"))
    assert layer.cell is cells.get("gru")
    assert layer.backend is get("reference")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "gruu"}, "unknown cell 'gruu': did you mean 'gru'?"),
        ({"backend": "referense"}, "unknown backend 'referense': did you mean 'reference'?"),
        ({"initialization": "ortogonal"}, "unknown initialization 'ortogonal': did you mean 'orthogonal'?"),
        ({"input_size": 0}, "input_size is 0; expected a whole number >= 1"),
        ({"hidden_size": -1}, "hidden_size is -1; expected a whole number >= 1"),
        ({"dtype": "float16"}, "dtype is float16; expected float32 or float64"),
        ({"dtype": "int32"}, "dtype is int32; expected float32 or float64"),
        ({"dtype": "flaot32"}, "expected float32 or float64"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Layer(**{"cell": "gru", "input_size": 1, "hidden_size": 1, **options})


@pytest.mark.parametrize("shape", [(4, 3), (3,), (4, 2, 3, 1)])
def test_x_has_three_axes(shape: tuple[int, ...]) -> None:
    message = re.escape(f"x has shape {shape}; expected (T, B, I) with I = 3")
    with pytest.raises(ShapeError, match=message):
        Layer("rnn", 3, 2).forward(np.zeros(shape))
