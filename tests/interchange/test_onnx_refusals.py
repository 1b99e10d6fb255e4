"""What from_onnx refuses, each by the name of the node and what it has."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from onnx_graphs import FEATURES, HIDDEN, Draft, one_node, onnx

import rnnbench
from rnnbench.errors import InputError


def given_peepholes() -> Any:
    draft = Draft()
    draft.gives(draft.recur("LSTM", "x", "node", more=("", "", "", draft.numbers("P", 1, 3 * HIDDEN))), 4)
    return draft.model()


def weights_from_an_input() -> Any:
    draft = Draft()
    draft.gives(draft.recur("RNN", "x", "node"), 4)
    shape = draft.tensors.pop("node_W").dims
    draft.takes("node_W", tuple(shape))
    return draft.model()


def half_precision() -> Any:
    draft = Draft(dtype="float16")
    draft.gives(draft.recur("RNN", "x", "node"), 4)
    return draft.model()


def wrong_shape() -> Any:
    draft = Draft()
    draft.gives(draft.recur("LSTM", "x", "node"), 4)
    draft.numbers("node_R", 1, 4 * HIDDEN, HIDDEN + 1)
    return draft.model()


def constant_lengths() -> Any:
    draft = Draft()
    lengths = draft.holds("lengths", np.array([2, 3], np.int32))
    draft.gives(draft.recur("RNN", "x", "node", more=(lengths,)), 4)
    return draft.model()


def learned_state() -> Any:
    draft = Draft()
    draft.gives(draft.recur("GRU", "x", "node", more=("", draft.numbers("start", 1, 1, HIDDEN))), 4)
    return draft.model()


def computed_state() -> Any:
    draft = Draft()
    start = draft.add("Tanh", [draft.takes("start", (1, "B", HIDDEN))], "squashed")
    draft.gives(draft.recur("GRU", "x", "node", more=("", start)), 4)
    return draft.model()


def encoder_decoder() -> Any:
    draft = Draft()
    draft.recur("GRU", "x", "encoder")
    decoder = draft.recur("GRU", draft.takes("y", ("S", "B", FEATURES)), "decoder", more=("", "encoder_h"))
    draft.gives(decoder, 4)
    return draft.model()


def two_of(first: dict[str, Any], second: dict[str, Any], operators: tuple[str, str] = ("LSTM", "LSTM")) -> Any:
    draft = Draft()
    y = draft.merge(draft.recur(operators[0], "x", "first", **first), "between")
    width = HIDDEN * (2 if first.get("direction") == "bidirectional" else 1)
    draft.gives(draft.recur(operators[1], y, "second", width, **second), 4)
    return draft.model()


def lengths_of_one() -> Any:
    draft = Draft()
    lengths = draft.takes("lengths", ("B",), onnx.TensorProto.INT32)
    y = draft.squeeze(draft.recur("RNN", "x", "first", more=(lengths,)), "between")
    draft.gives(draft.recur("RNN", y, "second", HIDDEN), 4)
    return draft.model()


def side_by_side() -> Any:
    draft = Draft()
    for name in ("first", "second"):
        draft.gives(draft.recur("RNN", "x", name), 4)
    return draft.model()


def over_one() -> Any:
    """The third reads the first, not the second."""
    draft = Draft()
    h = draft.squeeze(draft.recur("RNN", "x", "first"), "h")
    for name in ("second", "third"):
        draft.gives(draft.recur("RNN", h, name, HIDDEN), 4)
    return draft.model()


def residual() -> Any:
    draft = Draft(features=HIDDEN)
    h = draft.squeeze(draft.recur("RNN", "x", "first", HIDDEN), "h")
    draft.gives(draft.recur("RNN", draft.add("Add", [h, "x"], "sum"), "second", HIDDEN), 4)
    return draft.model()


def directions_mixed_up() -> Any:
    """(T, D, B, H) read as (T, B, D*H) without moving a number."""
    draft = Draft()
    y = draft.recur("GRU", "x", "first", direction="bidirectional")
    shape = draft.holds("shape", np.array([0, -1, 2 * HIDDEN]))
    h = draft.add("Reshape", [y, shape], "mixed")
    draft.gives(draft.recur("GRU", h, "second", 2 * HIDDEN, direction="bidirectional"), 4)
    return draft.model()


def reversed_between() -> Any:
    """The second reads the first from its end."""
    draft = Draft()
    h = draft.squeeze(draft.recur("GRU", "x", "first"), "h")
    bounds = [draft.holds(name, np.array([value])) for name, value in (("a", -1), ("b", -(2**31)), ("c", 0), ("d", -1))]
    draft.gives(draft.recur("GRU", draft.add("Slice", [h, *bounds], "turned"), "second", HIDDEN), 4)
    return draft.model()


def without_recurrence() -> Any:
    draft = Draft()
    draft.gives(draft.add("Tanh", ["x"], "y"))
    return draft.model()


def other_domain() -> Any:
    model = without_recurrence()
    node = model.graph.node[0]
    node.op_type, node.domain = "LSTM", "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    return model


REFUSED = {
    "peepholes": (given_peepholes, "LSTM 'node': it has peepholes (P); no cell has"),
    "clip": (lambda: one_node("GRU", clip=5.0), "GRU 'node': clip is 5; no cell clips its pre-activations"),
    "coupled gates": (lambda: one_node("LSTM", input_forget=1), "LSTM 'node': input_forget is 1; no cell couples"),
    "reverse": (
        lambda: one_node("RNN", direction="reverse"),
        "RNN 'node': direction is reverse; a Layer runs forward",
    ),
    "no direction": (lambda: one_node("RNN", direction="up"), "RNN 'node': direction is up; expected one of forward"),
    "rnn activation": (
        lambda: one_node("RNN", activations=["Affine"]),
        "RNN 'node': activations are (Affine); expected (Tanh) or (Relu) in each direction",
    ),
    "lstm activations": (
        lambda: one_node("LSTM", activations=["HardSigmoid", "Tanh", "Tanh"]),
        "activations are (HardSigmoid, Tanh, Tanh); expected (Sigmoid, Tanh, Tanh)",
    ),
    "gru activations": (
        lambda: one_node("GRU", activations=["Sigmoid", "Relu"]),
        "activations are (Sigmoid, Relu); expected (Sigmoid, Tanh)",
    ),
    "activations by direction": (
        lambda: one_node("RNN", direction="bidirectional", activations=["Tanh", "Relu"]),
        "activations are (Tanh, Relu); expected (Tanh) or (Relu) in each direction",
    ),
    "weights from an input": (weights_from_an_input, "RNN 'node': W is computed from inputs"),
    "half precision": (half_precision, "RNN 'node': W is float16; expected float32 or float64"),
    "shape": (wrong_shape, "LSTM 'node': W has shape (1, 16, 3); expected (1, 20, 3)"),
    "constant lengths": (constant_lengths, "RNN 'node': sequence_lens is of 'lengths'; expected an input"),
    "lengths of one": (lengths_of_one, "RNN 'first' and RNN 'second' differ in sequence_lens"),
    "learned state": (learned_state, "GRU 'node': initial_h is of 'start'; expected zeros or an input"),
    "computed state": (computed_state, "GRU 'node': initial_h is of Tanh 'squashed'; expected zeros or an input"),
    "encoder and decoder": (encoder_decoder, "GRU 'decoder': initial_h is of GRU 'encoder'; expected zeros"),
    "two sizes": (
        lambda: two_of({}, {"hidden": 5}),
        "LSTM 'first' has hidden_size 4, LSTM 'second' has hidden_size 5; the layers of a Stack have the same",
    ),
    "two operators": (
        lambda: two_of({}, {}, ("LSTM", "GRU")),
        "LSTM 'first' has cell lstm, GRU 'second' has cell gru_reset_before",
    ),
    "two directions": (
        lambda: two_of({"direction": "bidirectional"}, {}),
        "LSTM 'first' has direction bidirectional, LSTM 'second' has direction forward",
    ),
    "side by side": (side_by_side, "RNN 'first' and RNN 'second' both read inputs"),
    "over one": (over_one, "RNN 'third' reads RNN 'first'; in a Stack it would read RNN 'second' alone"),
    "residual": (residual, "RNN 'second' reads RNN 'first' by way of Add 'sum'; a Stack hands on h (T, B, D*H)"),
    "directions mixed up": (directions_mixed_up, "GRU 'second' reads GRU 'first' by way of Reshape 'mixed'"),
    "reversed between": (reversed_between, "GRU 'second' reads GRU 'first' by way of"),
    "nothing recurrent": (without_recurrence, "the graph has no RNN, LSTM or GRU; it has Tanh"),
    "another domain": (other_domain, "the graph has no RNN, LSTM or GRU; it has com.example.LSTM"),
    "no model": (lambda: 3, "int is not an ONNX model; expected a path, bytes or onnx.ModelProto"),
    "no file": (lambda: "nowhere.onnx", "nowhere.onnx: cannot be read: No such file or directory"),
    "other bytes": (lambda: b"\x07not a model", "the model: not a valid ONNX model"),
    "an empty model": (lambda: b"", "the model: not a valid ONNX model"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(InputError, match=re.escape(message)):
        rnnbench.from_onnx(make())


@pytest.mark.parametrize("case", ["learned state", "encoder and decoder", "constant lengths", "residual", "clip"])
def test_recurrent_only_changes_nothing_about_them(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(InputError, match=re.escape(message)):
        rnnbench.from_onnx(make(), recurrent_only=True)


def test_recurrent_only_leaves_a_computed_initial_state_to_forward() -> None:
    assert rnnbench.from_onnx(computed_state(), recurrent_only=True).cell.name == "gru_reset_before"
