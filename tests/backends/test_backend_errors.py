"""What does not fit is refused before anything runs, and the message names both sides."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from oracles.problems import layer_for, problem

from rnnbench import backends
from rnnbench.backends.base import Trace
from rnnbench.errors import InputError, ShapeError
from rnnbench.layer import Layer

STEPS, BATCH, INPUTS, HIDDEN = 4, 2, 3, 5
GOOD = {"x": (STEPS, BATCH, INPUTS), "h": (BATCH, HIDDEN), "c": (BATCH, HIDDEN)}


@pytest.fixture(params=["reference", "cpu"])
def layer(request: pytest.FixtureRequest) -> Layer:
    return layer_for(problem("lstm", STEPS, BATCH, INPUTS, HIDDEN), request.param)


def forward(layer: Layer, lengths: Any = None, **shapes: tuple[int, ...]) -> Trace:
    arrays = {name: np.zeros(shape) for name, shape in {**GOOD, **shapes}.items()}
    state = {"h": arrays["h"], "c": arrays["c"]}
    return layer.backend.forward(layer.cell, layer.params, arrays["x"], state, lengths)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"x": (4, 3)}, "x has shape (4, 3); expected (T, B, I) with I = 3"),
        ({"x": (4, 2, 7)}, "x (4, 2, 7) has 7 features, the layer expects 3"),
        ({"x": (0, 2, 3)}, "x has shape (0, 2, 3); expected at least one step and one sequence"),
        ({"x": (4, 0, 3)}, "x has shape (4, 0, 3); expected at least one step and one sequence"),
        ({"h": (3, 5)}, "state 'h' has shape (3, 5); expected (B, H) = (2, 5)"),
        ({"c": (2, 6)}, "state 'c' has shape (2, 6); expected (B, H) = (2, 5)"),
        ({"c": (5,)}, "state 'c' has shape (5,); expected (B, H) = (2, 5)"),
    ],
)
def test_shapes(layer: Layer, shapes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ShapeError, match=re.escape(message)):
        forward(layer, **shapes)


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([4], ShapeError, "lengths has shape (1,); expected (B,) = (2,)"),
        ([[4, 4]], ShapeError, "lengths has shape (1, 2); expected (B,) = (2,)"),
        ([0, 4], InputError, "lengths lie in [0, 4]; expected [1, 4], the steps of x"),
        ([1, 5], InputError, "lengths lie in [1, 5]; expected [1, 4], the steps of x"),
    ],
)
def test_lengths(layer: Layer, lengths: list, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        forward(layer, np.array(lengths))


def test_a_state_that_is_missing(layer: Layer) -> None:
    with pytest.raises(InputError, match="state lacks 'c'; a lstm has the states h, c"):
        layer.forward(np.zeros(GOOD["x"]), {"h": np.zeros(GOOD["h"])})


@pytest.mark.parametrize(
    ("d_h", "d_state", "error", "message"),
    [
        ((4, 2, 6), {}, ShapeError, "d_h has shape (4, 2, 6); expected that of h, (4, 2, 5)"),
        ((4, 2), {}, ShapeError, "d_h has shape (4, 2); expected that of h, (4, 2, 5)"),
        ((4, 2, 5), {"c": (1, 5)}, ShapeError, "d_state 'c' has shape (1, 5); expected (B, H) = (2, 5)"),
        ((4, 2, 5), {"m": (2, 5)}, InputError, "d_state has 'm'; a lstm has the states h, c"),
    ],
)
def test_gradients(
    layer: Layer, d_h: tuple[int, ...], d_state: dict[str, tuple], error: type[Exception], message: str
) -> None:
    trace = forward(layer)
    with pytest.raises(error, match=re.escape(message)):
        layer.backward(trace, np.zeros(d_h), {name: np.zeros(shape) for name, shape in d_state.items()})


def test_an_unknown_backend_names_the_nearest_one() -> None:
    with pytest.raises(
        InputError, match=r"unknown backend 'cpuu': did you mean 'cpu'\? known: cpu, cuda, cuda_fast, reference"
    ):
        backends.get("cpuu")


@pytest.mark.parametrize("backend", sorted(backends.entries()))
def test_every_backend_keeps_the_protocol(backend: str) -> None:
    found = backends.get(backend)
    assert backends.get(found) is found
    assert found.name == backend
    assert found.allocate((2, 3), np.dtype("float64")).shape == (2, 3)
    assert found.describe(layer_for(problem("gru", 1, 1, 1, 1), backend).cell, 4, 2, np.dtype("float32"))
    assert found.synchronize() is None


@pytest.mark.parametrize("convert", [np.asarray, np.ndarray.tolist], ids=["array", "list"])
def test_lengths_may_be_a_list(layer: Layer, convert: Callable) -> None:
    lengths = convert(np.array([2, 4]))
    trace = layer.forward(np.ones(GOOD["x"]), lengths=lengths)
    assert not trace.h[2:, 0].any()
    assert trace.h[2:, 1].all()


def test_a_state_that_the_cell_does_not_have(layer: Layer) -> None:
    x = np.zeros((2, 1, layer.input_size))
    with pytest.raises(InputError, match=r"state has 'cc'; a .* has the states"):
        layer.forward(x, layer.zero_state(1) | {"cc": np.zeros((1, layer.hidden_size))})


def test_lengths_that_are_no_integers(layer: Layer) -> None:
    with pytest.raises(InputError, match="lengths are float64; expected integers"):
        layer.forward(np.zeros((2, 1, layer.input_size)), lengths=np.array([1.5]))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [("W_hh", (3, 20), r"W_hh has shape \(3, 20\); expected \(5, 20\)"), ("b_h", (5,), r"b_h has shape \(5,\)")],
)
def test_parameters_of_a_wrong_shape(layer: Layer, name: str, shape: tuple[int, ...], message: str) -> None:
    layer.params[name] = np.zeros(shape)
    with pytest.raises(ShapeError, match=message):
        layer.forward(np.zeros((2, 1, layer.input_size)))


def test_a_parameter_that_is_missing(layer: Layer) -> None:
    del layer.params["b_h"]
    with pytest.raises(InputError, match="parameters are W_hh, W_xh; a lstm has W_hh, W_xh, b_h"):
        layer.forward(np.zeros((2, 1, layer.input_size)))


def test_states_and_gradients_may_be_lists(layer: Layer) -> None:
    zeros = [[0.0] * layer.hidden_size]
    trace = layer.forward(np.zeros((2, 1, layer.input_size)), {"h": zeros, "c": zeros})
    assert np.isfinite(layer.backward(trace, d_state={"h": zeros}).x).all()


@pytest.mark.parametrize("size", ["3", 3.0, float("nan"), 0])
def test_sizes_that_are_no_whole_numbers(size: Any) -> None:
    with pytest.raises(InputError, match="input_size is"):
        Layer("lstm", size, 4)


@pytest.mark.parametrize(("option", "value"), [("cell", 5), ("backend", None), ("gain", float("nan"))])
def test_options_that_are_no_names_or_numbers(option: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{option} is"):
        Layer(**{"cell": "lstm", "input_size": 2, "hidden_size": 3, option: value})
