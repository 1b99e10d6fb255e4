from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from oracles.differences import differences
from oracles.equations import Arrays
from oracles.problems import CELLS, flat_gradients, largest_error, relative_error

from rnnbench.errors import InputError, ShapeError
from rnnbench.layer import Layer, Stack, reverse

STEPS, BATCH, INPUTS, HIDDEN, LAYERS = 5, 3, 2, 3, 2
LENGTHS = np.array([3, 5, 1])
BACKENDS = ["reference", "cpu"]


def random_stack(cell: str, backend: str = "reference", **options: Any) -> Stack:
    """Return a stack in float64 in which no parameter is zero."""
    return Stack(cell, INPUTS, HIDDEN, LAYERS, dtype="float64", backend=backend, initialization="uniform", **options)


def random_arrays(stack: Stack) -> tuple[np.ndarray, Arrays, np.ndarray, Arrays]:
    """Return x, the initial states, and gradients by h and by the final states."""
    rng = np.random.default_rng(1)
    shape = (len(stack.layers), BATCH, HIDDEN)
    return (
        rng.standard_normal((STEPS, BATCH, INPUTS)),
        {name: rng.standard_normal(shape) for name in stack.cell.states},
        rng.standard_normal((STEPS, BATCH, HIDDEN * stack.directions)),
        {name: rng.standard_normal(shape) for name in stack.cell.states},
    )


def turned(x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return each sequence back to front, one after the other."""
    x = x.copy()
    for b, length in enumerate(lengths):
        x[:length, b] = x[:length, b][::-1].copy()
    return x


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", CELLS)
def test_both_directions_and_layers_run_as_by_hand(cell: str, backend: str, lengths: np.ndarray | None) -> None:
    stack = random_stack(cell, backend, bidirectional=True)
    x, state, _, _ = random_arrays(stack)
    ends = np.full(BATCH, STEPS) if lengths is None else lengths
    h, final = x, []
    for level in range(LAYERS):
        ahead, back = stack.layers[2 * level : 2 * level + 2]
        first = ahead.forward(h, {name: value[2 * level] for name, value in state.items()}, lengths)
        second = back.forward(turned(h, ends), {name: value[2 * level + 1] for name, value in state.items()}, lengths)
        h = np.concatenate([first.h, turned(second.h, ends)], axis=2)
        final += [first.state, second.state]
    trace = stack.forward(x, state, lengths)
    np.testing.assert_array_equal(trace.h, h)
    for name, value in trace.state.items():
        np.testing.assert_array_equal(value, np.stack([states[name] for states in final]))


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("backend", ["reference", pytest.param("cpu", marks=pytest.mark.compiled)])
def test_gradients_equal_finite_differences(
    cell: str, backend: str, bidirectional: bool, lengths: np.ndarray | None
) -> None:
    stack = random_stack(cell, backend, bidirectional=bidirectional)
    x, state, d_h, d_state = random_arrays(stack)
    params = {name: value.copy() for name, value in stack.params.items()}

    def loss(x: np.ndarray, state: Arrays, params: Arrays) -> float:
        stack.use_params(params)
        trace = stack.forward(x, state, lengths)
        return np.sum(d_h * trace.h) + sum(np.sum(d * trace.state[name]) for name, d in d_state.items())

    gradients = stack.backward(stack.forward(x, state, lengths), d_h, d_state)
    assert relative_error(gradients.x, differences(lambda value: loss(value, state, params), x)) <= 1e-8
    for name, found in gradients.state.items():
        expected = differences(lambda value, name=name: loss(x, state | {name: value}, params), state[name])
        assert relative_error(found, expected) <= 1e-8
    assert gradients.params.keys() == params.keys()
    for name in ("layer0.W_xh", "layer1.W_hh", *(["layer0.reverse.W_hh", "layer1.reverse.b_h"] * bidirectional)):
        expected = differences(lambda value, name=name: loss(x, state, params | {name: value}), params[name])
        assert relative_error(gradients.params[name], expected) <= 1e-8


@pytest.mark.parametrize("backend", BACKENDS)
def test_state_sequences_are_in_the_order_of_the_input(backend: str) -> None:
    stack = Stack("lstm", INPUTS, HIDDEN, bidirectional=True, dtype="float64", backend=backend)
    x, state, d_h, d_state = random_arrays(stack)
    found = stack.backward(stack.forward(x, state, LENGTHS), d_h, d_state).state_sequence
    ahead, back = stack.layers
    for k, (layer, turn) in enumerate([(ahead, lambda value, _: value), (back, turned)]):
        trace = layer.forward(turn(x, LENGTHS), {name: value[k] for name, value in state.items()}, LENGTHS)
        own = turn(d_h[:, :, k * HIDDEN : (k + 1) * HIDDEN], LENGTHS)
        expected = layer.backward(trace, own, {name: value[k] for name, value in d_state.items()}).state_sequence
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name][k], turn(value, LENGTHS))


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_layer_in_one_direction_is_a_layer(backend: str) -> None:
    stack = Stack("gru", INPUTS, HIDDEN, dtype="float64", backend=backend, seed=3)
    layer = Layer("gru", INPUTS, HIDDEN, dtype="float64", backend=backend, seed=3)
    assert largest_error(stack.params, {f"layer0.{name}": value for name, value in layer.params.items()}) == 0
    x, _, d_h, _ = random_arrays(stack)
    trace, alone = stack.forward(x), layer.forward(x)
    np.testing.assert_array_equal(trace.h, alone.h)
    np.testing.assert_array_equal(trace.state["h"][0], alone.state["h"])
    found, expected = stack.backward(trace, d_h), layer.backward(alone, d_h)
    assert {name: value.shape for name, value in found.state_sequence.items()} == {"h": (1, STEPS, BATCH, HIDDEN)}
    names = {f"params.layer0.{name}": value for name, value in expected.params.items()}
    flat = flat_gradients(found)
    assert largest_error({name: flat[name] for name in names}, names) == 0
    np.testing.assert_array_equal(found.x, expected.x)


def test_what_nobody_reads_can_be_left_out() -> None:
    stack = random_stack("lstm", bidirectional=True)
    x, state, d_h, d_state = random_arrays(stack)
    trace = stack.forward(x, state, LENGTHS)
    whole = stack.backward(trace, d_h, d_state)
    some = stack.backward(trace, d_h, d_state, state_sequence=False, input_gradient=False)
    assert some.x is None
    assert some.state_sequence is None
    assert largest_error(some.params, whole.params) == 0
    assert largest_error(some.state, whole.state) == 0


def test_gradients_that_are_not_given_are_zero() -> None:
    stack = random_stack("lstm")
    x, _, d_h, d_state = random_arrays(stack)
    trace = stack.forward(x)
    zeros = {name: np.zeros_like(value) for name, value in d_state.items()}
    expected = stack.backward(trace, np.zeros_like(d_h), d_state)
    assert largest_error(stack.backward(trace, d_state=d_state).params, expected.params) == 0
    expected = stack.backward(trace, d_h, zeros)
    assert largest_error(stack.backward(trace, d_h).params, expected.params) == 0


def test_parameters_are_named_by_layer_and_direction_and_are_the_layers_own() -> None:
    stack = random_stack("gru", bidirectional=True)
    prefixes = ["layer0.", "layer0.reverse.", "layer1.", "layer1.reverse."]
    assert list(stack.params) == [p + name for p in prefixes for name in ("W_xh", "W_hh", "b_h", "b_hn")]
    assert stack.params["layer0.W_xh"].shape == (INPUTS, 3 * HIDDEN)
    assert stack.params["layer1.reverse.W_xh"].shape == (2 * HIDDEN, 3 * HIDDEN)
    for prefix, layer in zip(prefixes, stack.layers, strict=True):
        assert all(stack.params[prefix + name] is value for name, value in layer.params.items())
    draws = [layer.params["W_hh"] for layer in stack.layers]
    assert not any(np.array_equal(a, b) for k, a in enumerate(draws) for b in draws[:k])


@pytest.mark.parametrize("backend", BACKENDS)
def test_layers_can_work_on_views_of_one_vector(backend: str) -> None:
    stack = random_stack("lstm", backend, bidirectional=True)
    x, *_ = random_arrays(stack)
    before = stack.forward(x).h
    vector = np.concatenate([value.ravel() for value in stack.params.values()])
    ends = np.cumsum([value.size for value in stack.params.values()])
    parts = np.split(vector, ends[:-1])
    views = {name: part.reshape(value.shape) for (name, value), part in zip(stack.params.items(), parts, strict=True)}
    stack.use_params(views)
    np.testing.assert_array_equal(stack.forward(x).h, before)
    assert all(np.shares_memory(value, vector) for value in stack.params.values())
    vector *= 0.5
    halved = random_stack("lstm", backend, bidirectional=True)
    halved.use_params({name: value / 2 for name, value in halved.params.items()})
    np.testing.assert_array_equal(stack.forward(x).h, halved.forward(x).h)


def test_reverse_leaves_padding_where_it_is() -> None:
    x = np.arange(15).reshape(5, 3, 1)
    np.testing.assert_array_equal(reverse(x, LENGTHS), turned(x, LENGTHS))
    np.testing.assert_array_equal(reverse(x, None), x[::-1])
    np.testing.assert_array_equal(reverse(reverse(x, LENGTHS), LENGTHS), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layers": 0}, "num_layers is 0; expected a whole number >= 1"),
        ({"hidden_size": 0}, "hidden_size is 0; expected a whole number >= 1"),
        ({"cell": "lsmt"}, "unknown cell 'lsmt': did you mean 'lstm'?"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Stack(**{"cell": "lstm", "input_size": 1, "hidden_size": 1, **options})


def test_shapes_that_do_not_fit_are_named() -> None:
    stack = random_stack("rnn", bidirectional=True)
    x, state, d_h, d_state = random_arrays(stack)
    trace = stack.forward(x, state)
    with pytest.raises(ShapeError, match=re.escape("x has shape (5, 2); expected (T, B, I) with I = 2")):
        stack.forward(x[:, 0])
    with pytest.raises(ShapeError, match=re.escape("'h' has shape (2, 3, 3); expected (L*D, B, H) with L*D = 4")):
        stack.forward(x, {"h": state["h"][:2]})
    with pytest.raises(ShapeError, match=re.escape("state 'h' has shape (2, 3); expected (B, H) = (3, 3)")):
        stack.forward(x, {"h": state["h"][:, :2]})
    with pytest.raises(ShapeError, match=re.escape("'h' has shape (1, 3, 3); expected (L*D, B, H) with L*D = 4")):
        stack.backward(trace, d_h, {"h": d_state["h"][:1]})
    with pytest.raises(ShapeError, match=re.escape("d_h has shape (5, 3, 3); expected that of h, (5, 3, 6)")):
        stack.backward(trace, d_h[:, :, :3])
    with pytest.raises(InputError, match="d_state has 'm'; a rnn has the states h"):
        stack.backward(trace, d_h, {"m": d_state["h"]})
