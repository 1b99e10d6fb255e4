"""A cell written in a user's file, as a Cell object, runs on every backend as the registered ones do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from oracles import equations
from oracles.equations import Arrays, gate_matrices, logistic
from oracles.problems import flat_gradients, flat_trace, largest_error, layer_for, problem, run

from rnnbench.arithmetic import Scalar, sigmoid, sigmoid_slope, tanh, tanh_slope, where
from rnnbench.backends.cuda import toolkit
from rnnbench.backends.cuda.simulator import Simulator
from rnnbench.cells.base import Cell, Scalars
from rnnbench.layer import Layer

FORGET, CANDIDATE = range(2)


def mixed(a: Scalar, b: Scalar, share: Scalar) -> Scalar:
    """A helper of the user's own."""
    return a + share * (b - a)


def minimal_forward(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    f, n = sigmoid(z[FORGET]), tanh(z[CANDIDATE])
    return (mixed(state[0], n, f),), (f, n)


def minimal_backward(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    f, n = saved
    d_f = d_state[0] * (n - previous[0]) * sigmoid_slope(f)
    return (d_f, d_state[0] * f * tanh_slope(n)), (d_state[0] * (1.0 - f),)


def minimal_operand(z: Scalars, state: Scalars) -> Scalar:
    return sigmoid(z[FORGET]) * state[0]


def minimal_operand_backward(d_operand: Scalar, previous: Scalars, saved: Scalars) -> tuple[Scalar, Scalars, Scalars]:
    f = saved[FORGET]
    return f * previous[0], (d_operand * previous[0] * sigmoid_slope(f), 0.0), (d_operand * f,)


MINIMAL_GATED_UNIT = Cell(
    name="minimal_gated_unit",
    summary="h' = (1-f) h + f tanh(W x + U (f h)) (Zhou et al. 2016)",
    gates=("forget", "candidate"),
    saved=("forget", "candidate"),
    late=("candidate",),
    forward_element=minimal_forward,
    backward_element=minimal_backward,
    operand_element=minimal_operand,
    operand_backward_element=minimal_operand_backward,
)


def hard_sigmoid(x: Scalar) -> Scalar:
    return where(x >= 2.0, 1.0, where(x <= -2.0, 0.0, 0.25 * x + 0.5))


def hard_sigmoid_slope(y: Scalar) -> Scalar:
    below = 1.0 > y  # noqa: SIM300 - a number may stand on either side
    return where(y > 0.0, where(below, 0.25 + 0.0 * y, 0.0), 0.0 * y)


def magnitude(x: Scalar) -> Scalar:
    return where(x < 0.0, -x, x)


def softsign(x: Scalar) -> Scalar:
    return x / (1 + magnitude(x))


def softsign_slope(y: Scalar) -> Scalar:
    remainder = 1 - magnitude(y)
    return remainder * remainder


def hard_forward(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    gate = hard_sigmoid(z[0] + 0.5 * z[2])
    n = softsign(z[1])
    m = 0.5 * state[1] + gate * n
    return (softsign(m), m), (gate, n)


def hard_backward(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    gate, n = saved
    d_m = d_state[1] + d_state[0] * softsign_slope(state[0])
    d_gate = d_m * n * hard_sigmoid_slope(gate)
    return (d_gate, d_m * gate * softsign_slope(n), 0.5 * d_gate), (0.0, 0.5 * d_m)


HARD_MEMORY = Cell(
    name="hard_memory",
    summary="m' = m/2 + g n, h' = softsign(m'): every operator, comparison and kind of literal, two states",
    gates=("candidate", "gate"),
    states=("h", "m"),
    saved=("gate", "candidate"),
    separate=("gate",),
    separate_bias="b_recurrent",
    forward_element=hard_forward,
    backward_element=hard_backward,
)


def minimal_step(params: Arrays, x: np.ndarray, state: Arrays) -> Arrays:
    (w_xf, w_hf, b_f), (w_xn, w_hn, b_n) = gate_matrices(params, 2)
    h = state["h"]
    f = logistic(x @ w_xf + h @ w_hf + b_f)
    return {"h": (1 - f) * h + f * np.tanh(x @ w_xn + (f * h) @ w_hn + b_n)}


def hard_step(params: Arrays, x: np.ndarray, state: Arrays) -> Arrays:
    (w_xn, w_hn, b_n), (w_xg, w_hg, b_g) = gate_matrices(params, 2)
    h = state["h"]

    def soft(z: np.ndarray) -> np.ndarray:
        return z / (1 + z * np.sign(z.real))

    linear = (x @ w_xg + b_g + (h @ w_hg + params["b_recurrent"]) / 2) / 4 + 0.5
    gate = np.where(linear.real > 1, 1, np.where(linear.real < 0, 0, linear))
    m = state["m"] / 2 + gate * soft(x @ w_xn + h @ w_hn + b_n)
    return {"h": soft(m), "m": m}


CUSTOM = [
    pytest.param(MINIMAL_GATED_UNIT, minimal_step, id="late"),
    pytest.param(HARD_MEMORY, hard_step, id="separate"),
]


@pytest.mark.parametrize("backend", ["reference", "cpu", "cuda"])
@pytest.mark.parametrize(("cell", "step"), CUSTOM)
def test_equals_its_oracle(cell: Cell, step: Callable, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolkit, "device", Simulator)
    monkeypatch.setitem(equations.STEPS, cell.name, step)
    given = problem(cell, steps=4, batch=2, inputs=2, hidden=3, lengths=True)
    trace, gradients = run(layer_for(given, backend, cell=cell), given)
    h, final = equations.forward(given)
    expected = {"h": h.real, **{f"state.{name}": value.real for name, value in final.items()}}
    assert largest_error(flat_trace(trace), expected) <= 1e-12
    assert largest_error(flat_gradients(gradients), equations.gradients(given)) <= 1e-12


@pytest.mark.parametrize(("cell", "step"), CUSTOM)
def test_float32_agrees_with_the_reference(cell: Cell, step: Callable) -> None:
    given = problem(cell, steps=5, batch=3, inputs=3, hidden=9, lengths=True)
    trace, gradients = run(layer_for(given, "cpu", "float32", cell), given)
    expected_trace, expected = run(layer_for(given, "reference", cell=cell), given)
    assert largest_error(flat_trace(trace), flat_trace(expected_trace)) <= 1e-5
    assert largest_error(flat_gradients(gradients), flat_gradients(expected)) <= 1e-4


def test_a_layer_takes_the_cell_itself() -> None:
    layer = Layer(MINIMAL_GATED_UNIT, input_size=2, hidden_size=3)
    assert layer.cell is MINIMAL_GATED_UNIT
    assert {name: value.shape for name, value in layer.params.items()} == {
        "W_xh": (2, 6),
        "W_hh": (3, 6),
        "b_h": (6,),
    }


def leaky(rate: float) -> Cell:
    """A cell made by a factory, with a helper and a number of its closure: h' = (1-a) h + a tanh(z)."""

    def blend(old: Scalar, new: Scalar) -> Scalar:
        return old + rate * (new - old)

    def forward(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
        n = tanh(z[0])
        return (blend(state[0], n),), (n,)

    def backward(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
        return (rate * d_state[0] * tanh_slope(saved[0]),), ((1.0 - rate) * d_state[0],)

    return Cell("leaky", "h' = (1-a) h + a tanh(z)", ("hidden",), forward, backward, saved=("candidate",))


def test_cells_of_a_factory_keep_their_own_constants() -> None:
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    found = []
    for rate in (0.5, 0.1):
        traces = [Layer(leaky(rate), 3, 4, "float64", backend).forward(x) for backend in ("cpu", "reference")]
        np.testing.assert_allclose(traces[0].h, traces[1].h, rtol=1e-13, atol=1e-15)
        found.append(traces[0].h)
    assert abs(found[0] - found[1]).max() > 0.01


def test_a_cell_whose_source_cannot_be_read_runs_too() -> None:
    names: dict = {"tanh": tanh, "tanh_slope": tanh_slope, "__name__": "typed_in"}
    exec(
        "def forward(z, state):\n    return (tanh(z[0]),), ()\n"
        "def backward(d_state, state, previous, saved):\n    return (d_state[0] * tanh_slope(state[0]),), (0.0,)\n",
        names,
    )
    cell = Cell("typed_in", "the vanilla RNN, typed at a prompt", ("hidden",), names["forward"], names["backward"])
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    typed, shipped = (Layer(kind, 3, 4, "float64") for kind in (cell, "rnn"))
    np.testing.assert_array_equal(typed.forward(x).h, shipped.forward(x).h)


def test_a_cell_that_is_singular_at_rest_keeps_its_real_units_clean() -> None:
    """The units that fill the last block see z = 0, where this cell divides by zero; no real gradient may tell."""

    def forward(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
        return (1.0 / z[0],), ()

    def backward(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
        return (0.0 - d_state[0] * state[0] * state[0],), (0.0,)

    cell = Cell("inverse", "h' = 1/z", ("hidden",), forward, backward)
    x = np.random.default_rng(0).uniform(1, 2, (3, 2, 3))
    found = []
    for backend in ("cpu", "reference"):
        layer = Layer(cell, 3, 5, "float64", backend)
        layer.params["W_hh"] *= 0.1
        layer.params["b_h"] += 20.0
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append(layer.backward(layer.forward(x), np.ones((3, 2, 5))))
    for name, value in found[1].params.items():
        np.testing.assert_allclose(found[0].params[name], value, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found[0].x, found[1].x, rtol=1e-12, atol=1e-15)


def test_constants_of_any_kind_are_part_of_the_compiled_code() -> None:
    """Cells that differ in a NumPy scalar, or in a module's attribute, must not share machine code."""
    from types import ModuleType

    from rnnbench.backends.functions import source_tag

    settings = ModuleType("settings")

    def by_scalar(rate: np.float32) -> Callable:
        return lambda z, state: ((rate * z[0],), ())

    def by_module(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
        return (settings.rate * z[0],), ()

    assert source_tag(by_scalar(np.float32(0.5))) != source_tag(by_scalar(np.float32(2.0)))
    assert source_tag(by_scalar(np.float32(0.5))) == source_tag(by_scalar(np.float32(0.5)))
    tags = []
    for rate in (0.5, 2.0):
        settings.rate = rate
        source_tag.cache_clear()
        tags.append(source_tag(by_module))
    assert tags[0] != tags[1]
