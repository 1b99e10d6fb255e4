"""Weights from and to torch.nn modules, and parity with them in float64, to rounding."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from oracles.problems import largest_error, relative_error

import rnnbench
from rnnbench.errors import InputError
from rnnbench.interchange.torch import CELLS
from rnnbench.layer import Layer, Stack

torch = pytest.importorskip("torch", reason="PyTorch is not installed; see the extra peers")

STEPS, BATCH, INPUTS, HIDDEN = 6, 3, 4, 5
KINDS = {
    "rnn": (torch.nn.RNN, {"nonlinearity": "tanh"}),
    "rnn_relu": (torch.nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (torch.nn.LSTM, {}),
    "gru": (torch.nn.GRU, {}),
}
SHAPES = {
    "plain": {},
    "no bias": {"bias": False},
    "batch first": {"batch_first": True},
    "two layers": {"num_layers": 2},
    "bidirectional": {"bidirectional": True},
    "both": {"num_layers": 2, "bidirectional": True, "bias": False},
}


def module_of(cell: str, dtype: str = "float64", **options: Any) -> Any:
    kind, own = KINDS[cell]
    torch.manual_seed(0)
    return kind(INPUTS, HIDDEN, dtype=getattr(torch, dtype), **own, **options)


def states_of(module: Any, seed: int) -> list[np.ndarray]:
    """Return random states (L*D, B, H): h, and c for an LSTM."""
    rng = np.random.default_rng(seed)
    shape = (module.num_layers * (2 if module.bidirectional else 1), BATCH, HIDDEN)
    return list(rng.standard_normal((2 if module.mode == "LSTM" else 1, *shape)))


def run_torch(module: Any, x: np.ndarray, state: list[np.ndarray], d_h: np.ndarray, d_state: list) -> dict[str, Any]:
    """Return h and the final states, and the gradients by x and by the initial states."""
    turn = (lambda value: value.transpose(0, 1)) if module.batch_first else (lambda value: value)
    given = torch.from_numpy(x).requires_grad_()
    initial = [torch.from_numpy(value).requires_grad_() for value in state]
    output, final = module(turn(given), tuple(initial) if len(initial) > 1 else initial[0])
    final = final if isinstance(final, tuple) else (final,)
    torch.autograd.backward([turn(output), *final], [torch.from_numpy(value) for value in (d_h, *d_state)])
    values = {"h": turn(output), "x": given.grad}
    values |= {f"final {k}": value for k, value in enumerate(final)}
    values |= {f"initial {k}": value.grad for k, value in enumerate(initial)}
    return {name: value.detach().numpy() for name, value in values.items()}


def run_ours(ours: Layer | Stack, x: np.ndarray, state: list[np.ndarray], d_h: np.ndarray, d_state: list) -> tuple:
    """Return the same, and the gradients by the parameters."""
    names = ours.cell.states
    single = isinstance(ours, Layer)

    def states(values: list[np.ndarray]) -> dict[str, np.ndarray]:
        return {name: value[0] if single else value for name, value in zip(names, values, strict=True)}

    trace = ours.forward(x, states(state))
    gradients = ours.backward(trace, d_h, states(d_state))
    values = {"h": trace.h, "x": gradients.x}
    for k, name in enumerate(names):
        values[f"final {k}"] = trace.state[name][None] if single else trace.state[name]
        values[f"initial {k}"] = gradients.state[name][None] if single else gradients.state[name]
    return values, gradients.params


def expected_parameter_gradients(module: Any) -> dict[str, np.ndarray]:
    """Return PyTorch's parameter gradients by our names; both of its biases get the gradient of our one."""
    found = {}
    plain = module.num_layers == 1 and not module.bidirectional
    for name, parameter in module.named_parameters():
        kind, level, *ends = re.fullmatch(r"(\w+?)_l(\d+)(_reverse)?", name).groups()
        prefix = "" if plain else f"layer{level}." + ("reverse." if ends[0] else "")
        gradient = parameter.grad.numpy()
        if kind in ("weight_ih", "weight_hh"):
            found[prefix + {"weight_ih": "W_xh", "weight_hh": "W_hh"}[kind]] = gradient.T
        elif kind == "bias_ih":
            found[prefix + "b_h"] = gradient
        elif module.mode == "GRU":
            found[prefix + "b_hn"] = gradient[2 * HIDDEN :]
    return found


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", KINDS)
def test_from_torch_computes_what_pytorch_computes(cell: str, shape: str, backend: str) -> None:
    module = module_of(cell, **SHAPES[shape])
    ours = rnnbench.from_torch(module, backend)
    rng = np.random.default_rng(0)
    directions = 2 if module.bidirectional else 1
    arguments = (
        rng.standard_normal((STEPS, BATCH, INPUTS)),
        states_of(module, 1),
        rng.standard_normal((STEPS, BATCH, HIDDEN * directions)),
        states_of(module, 2),
    )
    found, params = run_ours(ours, *arguments)
    assert largest_error(found, run_torch(module, *arguments)) <= 1e-12
    expected = expected_parameter_gradients(module)
    assert expected
    for name, value in expected.items():
        assert relative_error(params[name], value) <= 1e-12, name
    assert module.bias <= (params.keys() == expected.keys())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", KINDS)
def test_there_and_back_again(cell: str, shape: str, dtype: str) -> None:
    module = module_of(cell, dtype, **SHAPES[shape])
    ours = rnnbench.from_torch(module)
    assert isinstance(ours, Layer) == (module.num_layers == 1 and not module.bidirectional)
    assert ours.cell.name == cell
    assert ours.dtype == dtype
    back = rnnbench.to_torch(ours)
    assert type(back) is type(module)
    assert back.mode == module.mode
    assert (back.num_layers, back.bidirectional) == (module.num_layers, module.bidirectional)
    again = rnnbench.from_torch(back)
    assert {value.dtype for value in again.params.values()} == {np.dtype(dtype)}
    assert largest_error(again.params, ours.params) == 0


@pytest.mark.parametrize("cell", KINDS)
def test_to_torch_computes_what_the_layer_computes(cell: str) -> None:
    layer = Layer(cell, INPUTS, HIDDEN, dtype="float64", backend="reference", initialization="uniform")
    module = rnnbench.to_torch(layer)
    rng = np.random.default_rng(0)
    x, d_h = rng.standard_normal((STEPS, BATCH, INPUTS)), rng.standard_normal((STEPS, BATCH, HIDDEN))
    arguments = x, states_of(module, 1), d_h, states_of(module, 2)
    assert largest_error(run_torch(module, *arguments), run_ours(layer, *arguments)[0]) <= 1e-12


def test_the_weights_are_copies() -> None:
    module = module_of("lstm")
    layer = rnnbench.from_torch(module)
    before = {name: value.copy() for name, value in layer.params.items()}
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert largest_error(layer.params, before) == 0
    back = rnnbench.to_torch(layer)
    for value in layer.params.values():
        value[:] = 0
    assert all(parameter.abs().max() > 0 for name, parameter in back.named_parameters() if "bias_hh" not in name)


def test_every_mode_of_pytorch_is_read() -> None:
    assert set(CELLS.values()) == set(KINDS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.nn.Linear(2, 2), "Linear is not one of torch.nn.RNN, LSTM, GRU"),
        (lambda: torch.nn.LSTMCell(2, 2), "LSTMCell is not one of torch.nn.RNN, LSTM, GRU"),
        (lambda: "lstm", "str is not one of torch.nn.RNN, LSTM, GRU"),
        (lambda: torch.nn.LSTM(2, 4, proj_size=3), "proj_size is 3; only modules without a projection (0)"),
        (lambda: torch.nn.GRU(2, 4, 2, dropout=0.5), "dropout is 0.5; only modules without dropout between layers"),
        (lambda: torch.nn.RNN(2, 4).half(), "the module's weights are torch.float16; expected float32 or float64"),
    ],
)
def test_what_cannot_be_read_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        rnnbench.from_torch(make())


def test_a_cell_that_pytorch_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="PyTorch has no counterpart of the cell 'gru_reset_before'; it has rnn"):
        rnnbench.to_torch(Layer("gru_reset_before", 1, 1))
