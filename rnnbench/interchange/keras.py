"""Weights from Keras: SimpleRNN, LSTM, GRU, Bidirectional, and models that are a chain of them.

Keras keeps kernel (I, G*H), recurrent_kernel (H, G*H) and bias as we do; the order of gates is ours in an LSTM
(input, forget, candidate, output), and update, reset, candidate in a GRU. bias is (G*H,), but (2, 3*H) in a GRU that
resets after its product (reset_after): the input's and the recurrent one. unit_forget_bias is in the bias.

Keras itself is not needed: layers are asked for their configuration and weights, in Keras 2 and 3 alike.
Source: the code of keras.layers.SimpleRNN, LSTM, GRU and Bidirectional, Keras 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from rnnbench import cells
from rnnbench.backends.base import Arrays, Backend
from rnnbench.errors import InputError, ShapeError
from rnnbench.interchange.biases import folded
from rnnbench.layer import Layer, Stack

ORDERS = {
    "SimpleRNN": ("hidden",),
    "LSTM": ("input", "forget", "candidate", "output"),
    "GRU": ("update", "reset", "candidate"),
}
"""Keras' layers, and the order of their gates."""
ACTIVATIONS: dict[str, dict[tuple[str, ...], str]] = {
    "SimpleRNN": {("tanh",): "rnn", ("relu",): "rnn_relu"},
    "LSTM": {("tanh", "sigmoid"): "lstm"},
    "GRU": {("tanh", "sigmoid"): "gru"},
}
"""The cell for each layer with (activation, recurrent_activation)."""
DROPOUT = ("Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout")
"""Layers that do nothing but in training."""
HINT = "recurrent_only=True leaves out dropout, and what is before the first recurrent layer and after the last"


class Direction(NamedTuple):
    """One layer in one direction, read."""

    label: str
    cell: str
    params: Arrays
    config: dict[str, Any]


def from_keras(source: Any, backend: str | Backend = "cpu", *, recurrent_only: bool = False) -> Layer | Stack:
    """Return a Layer (one layer, one direction) or else a Stack with the weights and dtype of what Keras holds.

    source           a layer; a model, or a list of layers, each reading the one before; or the weights of one layer of
                     Keras' default activations, [kernel, recurrent_kernel, bias] as its get_weights() returns them
    recurrent_only   leave out dropout, and what a model has before the first recurrent layer and after the last, such
                     as an embedding and a readout, instead of refusing it

    Inputs become time-major (T, B, I), whatever time_major says. What a stateful layer carries from one batch to the
    next is the argument `state` of `forward`; a mask that ends sequences early is its argument `lengths`, with h = 0
    past the end, as zero_output_for_mask has it. return_state, unroll and unit_forget_bias change nothing here.

    Raises InputError, which names the layer and what it has, for other layers and activations that no cell has,
    go_backwards other than in the backward layer of a Bidirectional, merge_mode other than "concat", dropout, masks
    (Masking, as any other layer), layers of different size or kind, branches in a model, layers that are not built,
    and weights or computation in other than float32 and float64.
    """
    if isinstance(source, list | tuple) and source and not any(hasattr(item, "get_config") for item in source):
        levels = [[_bare(source)]]
    else:
        levels = [_level(layer, recurrent_only) for layer in _layers(source, recurrent_only)]
    _check_alike(levels)
    [first, *_] = levels[0]
    sizes = first.cell, len(first.params["W_xh"]), len(first.params["W_hh"])
    dtype = str(first.params["W_hh"].dtype)
    if len(levels) == 1 and len(levels[0]) == 1:
        layer = Layer(*sizes, dtype, backend)
        layer.params = first.params
        return layer
    stack = Stack(*sizes, len(levels), len(levels[0]) == 2, dtype, backend)
    for layer, direction in zip(stack.layers, [each for level in levels for each in level], strict=True):
        _check_shape(direction.label, "kernel", direction.params["W_xh"], layer.params["W_xh"].shape)
        layer.params = direction.params
    return stack


def _kind(layer: Any) -> str:
    return type(layer).__name__


def _label(layer: Any) -> str:
    return f"{_kind(layer)} '{getattr(layer, 'name', '')}'"


def _is_recurrent(layer: Any) -> bool:
    return _kind(layer) in (*ORDERS, "Bidirectional")


def _layers(source: Any, recurrent_only: bool) -> Sequence[Any]:
    """Return the recurrent layers of a layer, a model or a list of layers, each reading the one before."""
    if isinstance(source, list | tuple):
        chain, layers = False, list(source)
    elif hasattr(source, "layers"):
        chain, layers = True, [layer for layer in source.layers if _kind(layer) != "InputLayer"]
    else:
        chain, layers = False, [source]
    places = [k for k, layer in enumerate(layers) if _is_recurrent(layer)]
    if not places:
        found = ", ".join(map(_kind, layers)) or "nothing"
        raise InputError(f"{found}: expected SimpleRNN, LSTM, GRU, Bidirectional, or a model of them")
    if recurrent_only:
        layers = layers[places[0] : places[-1] + 1]
    if chain:
        _check_chain(source, layers, recurrent_only)
    for layer in layers:
        if not (_is_recurrent(layer) or (recurrent_only and _kind(layer) in DROPOUT)):
            raise InputError(f"{_label(layer)} is no recurrent layer; a Stack has nothing else. {HINT}")
    return [layer for layer in layers if _is_recurrent(layer)]


def _check_chain(model: Any, layers: Sequence[Any], recurrent_only: bool) -> None:
    """Raise InputError unless each layer reads the one before and nothing else, and the first the model's input."""
    try:
        if not recurrent_only and any(each is not model.inputs[0] for each in _inputs(layers[0])):
            raise InputError(f"{_label(layers[0])} does not read the model's input; expected a chain of layers")
        for before, layer in pairwise(layers):
            output = before.output[0] if isinstance(before.output, list | tuple) else before.output
            if [each for each in _inputs(layer) if each is not output]:
                raise InputError(
                    f"{_label(layer)} does not read the output of {_label(before)} alone; expected a chain of layers "
                    "without branches or initial states from elsewhere"
                )
    except (AttributeError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{_label(model)} does not say how its layers are connected, as it is not built or a subclass of Model; "
            "give its recurrent layers as a list, in their order"
        ) from error


def _inputs(layer: Any) -> list[Any]:
    """Return what a layer of a model reads, but for masks, which Keras 3 counts among its inputs."""
    found = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
    return [each for each in found if str(getattr(each, "dtype", "")) != "bool"]


def _level(layer: Any, recurrent_only: bool) -> list[Direction]:
    """Return the directions of a layer, forward first."""
    if _kind(layer) != "Bidirectional":
        return [_direction(layer, False, recurrent_only)]
    merge_mode = layer.get_config().get("merge_mode")
    if merge_mode != "concat":
        raise InputError(f"{_label(layer)}: merge_mode is {merge_mode!r}; expected 'concat', as a Stack does")
    directions = [layer.forward_layer, layer.backward_layer]
    for each in directions:
        if _kind(each) not in ORDERS:
            raise InputError(f"{_label(layer)} is of {_label(each)}; expected {', '.join(ORDERS)}")
    return [_direction(each, k == 1, recurrent_only) for k, each in enumerate(directions)]


def _direction(layer: Any, backwards: bool, recurrent_only: bool) -> Direction:
    config, label, kind = layer.get_config(), _label(layer), _kind(layer)
    if bool(config.get("go_backwards", False)) != backwards:
        raise InputError(
            f"{label}: go_backwards is {not backwards}; expected {backwards}. A Layer runs forward: its weights "
            "compute the same on an input in reverse order, rnnbench.layer.reverse(x, lengths)"
        )
    for name in ("dropout", "recurrent_dropout"):
        if config.get(name) and not recurrent_only:
            raise InputError(f"{label}: {name} is {config[name]}; only layers without dropout can be read. {HINT}")
    computed = getattr(layer, "compute_dtype", None)
    if computed in ("float16", "bfloat16"):
        raise InputError(f"{label} computes in {computed}; expected float32 or float64")
    count = 3 if config.get("use_bias", True) else 2
    weights = [np.asarray(array) for array in layer.get_weights()][:count]  # a stateful layer's states come after
    if len(weights) < count:
        raise InputError(f"{label} has no weights yet; build it, or call it once")
    cell = _cell(label, kind, config)
    return Direction(label, cell, _read(label, kind, cell, weights), config)


def _cell(label: str, kind: str, config: dict[str, Any]) -> str:
    names = ("activation",) if kind == "SimpleRNN" else ("activation", "recurrent_activation")
    found = tuple(_activation(config.get(name)) for name in names)
    if found not in ACTIVATIONS[kind]:
        known = " or ".join(", ".join(each) for each in ACTIVATIONS[kind])
        raise InputError(f"{label}: {' and '.join(names)} are {', '.join(found)}; expected {known}")
    cell = ACTIVATIONS[kind][found]
    return "gru_reset_before" if cell == "gru" and not config.get("reset_after", False) else cell


def _activation(value: Any) -> str:
    """Return the name of an activation as a configuration has it."""
    if isinstance(value, dict):
        return str(value.get("class_name", "a function of its own"))
    return "linear" if value is None else str(value)


def _bare(weights: Sequence[Any]) -> Direction:
    """Return the layer that has these weights and Keras' defaults, which number of gates and bias tell apart."""
    label = "the weights"
    arrays = [np.asarray(array) for array in weights]
    if len(arrays) not in (2, 3) or any(array.ndim != 2 for array in arrays[:2]):
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise InputError(
            f"{label} have shapes {shapes}; expected (I, G*H), (H, G*H) and the bias of one layer. Give the layer or "
            "model itself for more than one"
        )
    hidden, width = arrays[1].shape
    kinds = {len(order): kind for kind, order in ORDERS.items()}
    if hidden == 0 or width % hidden or width // hidden not in kinds:
        raise ShapeError(f"{label}: recurrent_kernel has shape {(hidden, width)}; expected (H, G*H) with G = 1, 3 or 4")
    kind = kinds[width // hidden]
    [cell, *_] = ACTIVATIONS[kind].values()
    if cell == "gru" and len(arrays) == 3 and arrays[2].ndim == 1:
        cell = "gru_reset_before"
    return Direction(label, cell, _read(label, kind, cell, arrays), {})


def _read(label: str, kind: str, cell: str, weights: Sequence[np.ndarray]) -> Arrays:
    """Return a layer's parameters of kernel, recurrent_kernel and bias, if there is one."""
    for array in weights:
        if array.dtype not in (np.float32, np.float64):
            raise InputError(f"{label}: weights are {array.dtype}; expected float32 or float64")
    known, order = cells.get(cell), ORDERS[kind]
    two = bool(known.separate)
    kernel, recurrent_kernel, *bias = weights
    width = len(order) * len(recurrent_kernel)
    b = bias[0] if bias else np.zeros((2, width) if two else width, kernel.dtype)
    _check_shape(label, "kernel", kernel, (len(kernel), width))
    _check_shape(label, "recurrent_kernel", recurrent_kernel, (len(recurrent_kernel), width))
    _check_shape(label, "bias", b, (2, width) if two else (width,))
    places = [order.index(gate) for gate in known.gates]

    def columns(array: np.ndarray) -> np.ndarray:
        return np.concatenate([np.split(array, len(order), axis=-1)[k] for k in places], axis=-1)

    biases = columns(b) if two else (columns(b), np.zeros(width, b.dtype))
    return {"W_xh": columns(kernel), "W_hh": columns(recurrent_kernel), **folded(known, *biases)}


def _check_shape(label: str, name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ShapeError(f"{label}: {name} has shape {array.shape}; expected {shape}")


def _check_alike(levels: Sequence[Sequence[Direction]]) -> None:
    """Raise InputError unless all layers are of one cell, size, dtype and number of directions."""
    first = levels[0][0]
    for level in levels:
        if len(level) != len(levels[0]):
            raise InputError(f"{first.label}, {level[0].label}: one is Bidirectional; in a Stack all are, or none")
        if level is not levels[-1] and not level[0].config.get("return_sequences"):
            raise InputError(f"{level[0].label}: return_sequences is False; a Stack's next layer reads every step")
        for each in level:
            for name, a, b in zip(("cell", "units", "dtype"), _nature(first), _nature(each), strict=True):
                if a != b:
                    raise InputError(
                        f"{first.label} has {name} {a}, {each.label} has {name} {b}; the layers of a Stack have the "
                        "same. One by one, each can be read"
                    )


def _nature(direction: Direction) -> tuple[str, int, str]:
    w_hh = direction.params["W_hh"]
    return direction.cell, len(w_hh), str(w_hh.dtype)
