"""Weights from and to PyTorch's nn.RNN, nn.LSTM and nn.GRU.

PyTorch keeps W (G*H, I) where we keep its transpose, and two biases where one is enough: b_h = b_ih + b_hh, but
for the candidate of a GRU, whose recurrent bias b_hn stays apart. Gate orders are the same.
Source: the equations in PyTorch's documentation of the three modules.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnbench.backends.base import Arrays, Backend
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError
from rnnbench.interchange.biases import folded, unfolded
from rnnbench.layer import Layer, Stack

CELLS = {"RNN_TANH": "rnn", "RNN_RELU": "rnn_relu", "LSTM": "lstm", "GRU": "gru"}


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise InputError("PyTorch is not installed; python -m pip install '.[peers]' in a clone of rnnbench") from error
    return torch


def from_torch(module: Any, backend: str | Backend = "cpu") -> Layer | Stack:
    """Return a Layer (one layer, one direction) or else a Stack with the module's weights and dtype.

    Inputs stay time-major (T, B, I), also where the module has batch_first. Raises InputError for a module of another
    kind, for projections (proj_size) and for dropout, which have no counterpart here.
    """
    torch = _torch()
    if not isinstance(module, torch.nn.RNNBase) or module.mode not in CELLS:
        raise InputError(f"{type(module).__name__} is not one of torch.nn.RNN, LSTM, GRU")
    if module.proj_size:
        raise InputError(f"proj_size is {module.proj_size}; only modules without a projection (0) can be read")
    if module.dropout and module.num_layers > 1:
        raise InputError(f"dropout is {module.dropout}; only modules without dropout between layers can be read")
    first = module.weight_ih_l0
    if first.dtype not in (torch.float32, torch.float64):
        raise InputError(f"the module's weights are {first.dtype}; expected float32 or float64")
    sizes = (CELLS[module.mode], module.input_size, module.hidden_size)
    dtype = str(first.dtype).removeprefix("torch.")
    if module.num_layers == 1 and not module.bidirectional:
        layer = Layer(*sizes, dtype=dtype, backend=backend)
        layer.params = _read(module, "l0", layer.cell)
        return layer
    stack = Stack(*sizes, module.num_layers, module.bidirectional, dtype, backend)
    for (_, layer), suffix in zip(stack._prefixes(), _suffixes(stack), strict=True):
        layer.params = _read(module, suffix, layer.cell)
    return stack


def to_torch(source: Layer | Stack) -> Any:
    """Return the torch.nn module of a Layer or Stack, time-major, with all of b_h in bias_ih.

    Raises InputError for a cell that PyTorch does not have.
    """
    torch = _torch()
    modes = {name: mode for mode, name in CELLS.items()}
    name = source.cell.name
    if name not in modes:
        raise InputError(f"PyTorch has no counterpart of the cell '{name}'; it has {', '.join(modes)}")
    kind = {"rnn": torch.nn.RNN, "rnn_relu": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[name]
    options = {"nonlinearity": "relu"} if name == "rnn_relu" else {}
    layers = [source] if isinstance(source, Layer) else source.layers
    suffixes = ["l0"] if isinstance(source, Layer) else _suffixes(source)
    module = kind(
        source.input_size,
        source.hidden_size,
        num_layers=1 if isinstance(source, Layer) else source.num_layers,
        bidirectional=isinstance(source, Stack) and source.directions == 2,
        dtype=getattr(torch, str(source.dtype)),
        **options,
    )
    with torch.no_grad():
        for layer, suffix in zip(layers, suffixes, strict=True):
            for key, value in _written(layer).items():
                getattr(module, f"{key}_{suffix}").copy_(torch.from_numpy(value))
    return module


def _suffixes(stack: Stack) -> list[str]:
    ends = ["", "_reverse"][: stack.directions]
    return [f"l{level}{end}" for level in range(stack.num_layers) for end in ends]


def _read(module: Any, suffix: str, cell: Cell) -> Arrays:
    def array(name: str) -> np.ndarray:
        return getattr(module, f"{name}_{suffix}").detach().cpu().numpy().copy()

    params = {
        "W_xh": np.ascontiguousarray(array("weight_ih").T),
        "W_hh": np.ascontiguousarray(array("weight_hh").T),
    }
    width = params["W_hh"].shape[1]
    bias, recurrent = (
        (array("bias_ih"), array("bias_hh")) if module.bias else np.zeros((2, width), params["W_hh"].dtype)
    )
    return params | folded(cell, bias, recurrent)


def _written(layer: Layer) -> Arrays:
    bias, recurrent = unfolded(layer.cell, layer.params)
    return {
        "weight_ih": layer.params["W_xh"].T.copy(),
        "weight_hh": layer.params["W_hh"].T.copy(),
        "bias_ih": bias,
        "bias_hh": recurrent,
    }
