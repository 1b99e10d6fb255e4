"""from_keras on what Keras stored: its configurations, its weights, its outputs. See golden/make_keras.py."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from typing import Any

import numpy as np
import pytest
from golden.make_keras import CASES, FILE, make
from oracles.problems import largest_error

import rnnbench
from rnnbench.errors import InputError, ShapeError
from rnnbench.layer import Layer, Stack


class Stored:
    """A layer as from_keras asks for it, out of a file; the name of its class is Keras'."""

    def __init__(self, config: dict[str, Any], weights: list[np.ndarray]) -> None:
        self.name, self.config, self.weights = config["name"], config, weights

    def get_config(self) -> dict[str, Any]:
        return self.config

    def get_weights(self) -> list[np.ndarray]:
        return self.weights


def stored(config: dict[str, Any], weights: list[np.ndarray]) -> Any:
    return type(config["kind"], (Stored,), {})(config, weights)


@cache
def golden(case: str) -> dict[str, np.ndarray]:
    with np.load(FILE) as file:
        return {name.removeprefix(f"{case}/"): file[name] for name in file if name.startswith(f"{case}/")}


def layers_of(case: str) -> list[Any]:
    arrays, layers = golden(case), []
    for k, (own, directions) in enumerate(json.loads(str(arrays["layers"]))):
        parts = []
        for d, config in enumerate(directions):
            prefix = f"weights/{k}/{d}/"
            parts.append(stored(config, [arrays[name] for name in sorted(arrays) if name.startswith(prefix)]))
        if len(parts) == 2:
            whole = stored(own, [array for part in parts for array in part.weights])
            whole.forward_layer, whole.backward_layer = parts
            parts = [whole]
        layers += parts
    return layers


def changed(case: str, **config: Any) -> Any:
    [layer] = layers_of(case)
    layer.config = {**layer.config, **config}
    return layer


@pytest.mark.parametrize("backend", ["reference", pytest.param("cpu", marks=pytest.mark.compiled)])
@pytest.mark.parametrize("case", CASES)
def test_it_computes_what_keras_computes(case: str, backend: str) -> None:
    _, options, count, both = CASES[case]
    ours = rnnbench.from_keras(layers_of(case), backend)
    assert isinstance(ours, Layer) == (count == 1 and not both)
    assert ours.cell.name == case.removesuffix("_stack")
    assert ours.dtype == np.float32
    if isinstance(ours, Stack):
        assert (ours.num_layers, ours.directions) == (count, 1 + both)
    arrays = golden(case)
    assert largest_error({"h": ours.forward(arrays["x"]).h}, {"h": arrays["h"]}) <= 1e-5
    assert options.get("use_bias", True) or not any(
        np.any(value) for name, value in ours.params.items() if name.rpartition(".")[2].startswith("b_")
    )


@pytest.mark.parametrize("case", ["rnn", "lstm", "gru"])
def test_the_weights_alone_are_enough_for_a_layer_of_defaults(case: str) -> None:
    [layer] = layers_of(case)
    alone, whole = rnnbench.from_keras(layer.get_weights()), rnnbench.from_keras(layer)
    assert alone.cell is whole.cell
    assert largest_error(alone.params, whole.params) == 0


def test_bare_weights_tell_the_two_resets_apart_by_the_bias() -> None:
    given = [np.zeros((2, 9), np.float32), np.zeros((3, 9), np.float32)]
    assert rnnbench.from_keras([*given, np.zeros((2, 9), np.float32)]).cell.name == "gru"
    assert rnnbench.from_keras([*given, np.zeros(9, np.float32)]).cell.name == "gru_reset_before"
    assert rnnbench.from_keras(given).cell.name == "gru"


def test_what_is_read_is_a_copy() -> None:
    [layer] = layers_of("lstm")
    ours = rnnbench.from_keras(layer)
    for array in ours.params.values():
        assert not any(np.shares_memory(array, theirs) for theirs in layer.get_weights())


def test_dropout_is_left_out_on_request() -> None:
    layer = changed("gru", dropout=0.5, recurrent_dropout=0.1)
    with pytest.raises(InputError, match=r"GRU 'gru\w*': dropout is 0.5; .*recurrent_only=True leaves out dropout"):
        rnnbench.from_keras(layer)
    ours = rnnbench.from_keras(layer, "reference", recurrent_only=True)
    arrays = golden("gru")
    assert largest_error({"h": ours.forward(arrays["x"]).h}, {"h": arrays["h"]}) <= 1e-5


@pytest.mark.parametrize(
    "ignored",
    [{"stateful": True}, {"time_major": True}, {"unroll": True}, {"return_state": True}, {"unit_forget_bias": False}],
)
def test_what_is_no_matter_of_weights_changes_nothing(ignored: dict[str, Any]) -> None:
    ours = rnnbench.from_keras(changed("lstm", **ignored))
    assert largest_error(ours.params, rnnbench.from_keras(layers_of("lstm")).params) == 0


def other_merge() -> Any:
    return changed("gru_reset_before", merge_mode="sum")


def of_other_layers() -> Any:
    layer = changed("gru_reset_before")
    layer.forward_layer = stored({"kind": "ConvLSTM1D", "name": "c"}, [])
    return layer


def two_sizes() -> Any:
    first, second = layers_of("gru_stack")
    second.weights = [np.zeros((5, 9), np.float32), np.zeros((3, 9), np.float32)]
    return [first, second]


def two_cells() -> Any:
    return [*layers_of("gru_stack")[:1], *layers_of("lstm")]


def one_of_two_both_ways() -> Any:
    return [*layers_of("lstm_stack")[:1], *layers_of("lstm")]


def wrong_input_size() -> Any:
    first, second = layers_of("gru_stack")
    return [second, first]


def last_output_only() -> Any:
    first, second = layers_of("gru_stack")
    first.config = {**first.config, "return_sequences": False}
    return [first, second]


def in_half() -> Any:
    layer = changed("lstm")
    layer.compute_dtype = "float16"
    return layer


@pytest.mark.parametrize(
    ("make_source", "message"),
    [
        (lambda: stored({"kind": "Dense", "name": "d"}, []), "Dense: expected SimpleRNN, LSTM, GRU, Bidirectional"),
        (lambda: [], "nothing: expected SimpleRNN, LSTM, GRU"),
        (lambda: "lstm", "str: expected SimpleRNN, LSTM, GRU"),
        (lambda: changed("rnn", activation="gelu"), "activation are gelu; expected tanh or relu"),
        (lambda: changed("rnn", activation=None), "activation are linear; expected tanh or relu"),
        (
            lambda: changed("lstm", recurrent_activation="hard_sigmoid"),
            "activation and recurrent_activation are tanh, hard_sigmoid; expected tanh, sigmoid",
        ),
        (lambda: changed("gru", activation={"class_name": "ReLU", "config": {}}), "are ReLU, sigmoid; expected tanh"),
        (lambda: changed("lstm", go_backwards=True), "go_backwards is True; expected False. A Layer runs forward"),
        (other_merge, "merge_mode is 'sum'; expected 'concat'"),
        (of_other_layers, "is of ConvLSTM1D 'c'; expected SimpleRNN, LSTM, GRU"),
        (two_sizes, "has units 5, GRU 'gru_2' has units 3; the layers of a Stack have the same"),
        (two_cells, "has cell gru, LSTM 'lstm' has cell lstm"),
        (one_of_two_both_ways, "one is Bidirectional"),
        (wrong_input_size, "kernel has shape (2, 15); expected (5, 15)"),
        (last_output_only, "return_sequences is False; a Stack's next layer reads every step"),
        (in_half, "computes in float16; expected float32 or float64"),
        (lambda: stored({"kind": "LSTM", "name": "l"}, []), "LSTM 'l' has no weights yet; build it"),
        (lambda: [np.zeros((2, 8)), np.zeros((4, 8))], "recurrent_kernel has shape (4, 8); expected (H, G*H)"),
        (lambda: [np.zeros((2, 4)), np.zeros((4, 4)), np.zeros(3)], "bias has shape (3,); expected (4,)"),
        (lambda: [np.zeros((2, 3)), np.zeros((4, 4))], "kernel has shape (2, 3); expected (2, 4)"),
        (lambda: [np.zeros((2, 4), int), np.zeros((4, 4), int)], "weights are int64; expected float32 or float64"),
        (lambda: [np.zeros((2, 4))], "the weights have shapes (2, 4); expected (I, G*H), (H, G*H)"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(make_source: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        rnnbench.from_keras(make_source())


def test_shapes_are_errors_of_their_own() -> None:
    with pytest.raises(ShapeError):
        rnnbench.from_keras(wrong_input_size())


@pytest.mark.parametrize("case", CASES)
def test_the_file_is_what_the_script_makes(case: str) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("keras", reason="Keras, which makes the file, is not installed", exc_type=ImportError)
    found, expected = make(case), golden(case)
    assert found.keys() == expected.keys()
    found.pop("layers")
    assert largest_error(found, {name: value for name, value in expected.items() if name != "layers"}) <= 1e-5
