"""What from_onnx refuses, each by the name of the node and what it has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_graphs import FEATURES, HIDDEN, Draft, dequantised, one_node, onnx

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


def lengths_in_part() -> Any:
    draft = Draft()
    some = draft.takes("some", ("A",), onnx.TensorProto.INT32)
    lengths = draft.add("Concat", [some, draft.holds("rest", np.array([2], np.int32))], "lengths", axis=0)
    draft.gives(draft.recur("RNN", "x", "node", more=(lengths,)), 4)
    return draft.model()


def masked() -> Any:
    """Lengths counted by the graph."""
    draft = Draft()
    mask = draft.takes("mask", ("B", "T"), onnx.TensorProto.INT32)
    lengths = draft.add("ReduceSum", [mask, draft.holds("last", np.array([1]))], "counted", keepdims=0)
    draft.gives(draft.recur("RNN", "x", "node", more=(lengths,)), 4)
    return draft.model()


def other_hidden_size() -> Any:
    model = one_node("LSTM")
    [said] = [attribute for attribute in model.graph.node[0].attribute if attribute.name == "hidden_size"]
    said.i = 7
    return model


def taken_out(model: Any, name: str) -> Any:
    """Return a stored tensor that the model no longer has."""
    [tensor] = [each for each in model.graph.initializer if each.name == name]
    model.graph.initializer.remove(tensor)
    return tensor


def two_dtypes() -> Any:
    model = one_node("GRU")
    b = onnx.numpy_helper.to_array(taken_out(model, "node_B")).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(b, "node_B"))
    return model


def sparse() -> Any:
    model = one_node("RNN")
    w = onnx.numpy_helper.to_array(taken_out(model, "node_W"))
    places = onnx.numpy_helper.from_array(np.arange(w.size), "places")
    values = onnx.numpy_helper.from_array(w.ravel(), "node_W")
    model.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, places, list(w.shape)))
    return model


def external_constant() -> Any:
    """The weights of a Constant node in a file beside a model that came as bytes."""
    model = one_node("RNN")
    w = taken_out(model, "node_W")
    onnx.external_data_helper.set_external_data(w, "weights.bin")
    w.ClearField("raw_data")
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["node_W"], value=w))
    return model.SerializeToString()


def quantised() -> Any:
    """As quantize_dynamic of ONNX Runtime writes an LSTM."""
    model = without_recurrence()
    node = model.graph.node[0]
    node.op_type, node.domain = "DynamicQuantizeLSTM", "com.microsoft"
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    return model


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
    "clip of 0": (lambda: one_node("GRU", clip=0.0), "GRU 'node': clip is 0; no cell clips"),
    "clip of nan": (lambda: one_node("GRU", clip=float("nan")), "GRU 'node': clip is nan; no cell clips"),
    "layout": (lambda: one_node("GRU", layout=2), "GRU 'node': layout is 2; expected 0 or 1"),
    "reset": (
        lambda: one_node("GRU", linear_before_reset=2),
        "GRU 'node': linear_before_reset is 2; expected 0 or 1",
    ),
    "hidden size": (other_hidden_size, "LSTM 'node': hidden_size is 7, and R has shape (1, 16, 4); expected (D, G*H"),
    "two dtypes": (two_dtypes, "GRU 'node': W is float64, R float64, B float32; expected one dtype"),
    "sparse": (sparse, "RNN 'node': W is a sparse tensor; expected a dense one"),
    "external constant": (external_constant, "the weights 'node_W' are in weights.bin, beside the model; expected the"),
    "quantised": (quantised, "it has com.microsoft.DynamicQuantizeLSTM, quantised; expected weights in float32 or"),
    "quantised weights": (  # in an opset whose DequantizeLinear onnx's evaluator does not have
        lambda: dequantised(opset=17),
        "LSTM 'node': W is computed by DequantizeLinear 'node_W'; expected numbers stored in the model",
    ),
    "no direction": (lambda: one_node("RNN", direction="up"), "RNN 'node': direction is up; expected one of forward"),
    "rnn activation": (
        lambda: one_node("RNN", activations=["Affine"]),
        "RNN 'node': activations are (Affine); expected (Tanh) or (Relu)",
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
        "activations are (Tanh, Relu); expected (Tanh, Tanh) or (Relu, Relu)",
    ),
    "weights from an input": (weights_from_an_input, "RNN 'node': W is computed from inputs"),
    "half precision": (half_precision, "RNN 'node': W is float16; expected float32 or float64"),
    "shape": (wrong_shape, "LSTM 'node': hidden_size is 4, and R has shape (1, 16, 5); expected (D, G*H, H)"),
    "constant lengths": (constant_lengths, "RNN 'node': sequence_lens is of 'lengths'; expected an input"),
    "lengths in part": (lengths_in_part, "RNN 'node': sequence_lens is of 'rest'; expected an input"),
    "lengths counted": (masked, "RNN 'node': sequence_lens is of ReduceSum 'counted'; expected an input"),
    "activations of one direction": (
        lambda: one_node("GRU", direction="bidirectional", activations=["Sigmoid", "Tanh"]),
        "activations are (Sigmoid, Tanh); expected (Sigmoid, Tanh, Sigmoid, Tanh)",
    ),
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


@pytest.mark.parametrize("name", ["model.json", "model.onnxtxt", "model.textproto", "model.onnx", "model.png"])
def test_a_file_of_another_format_is_refused_whatever_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("neither this nor that")
    with pytest.raises(InputError, match=re.escape(f"{name}: not a valid ONNX model: ")):
        rnnbench.from_onnx(tmp_path / name)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        rnnbench.from_onnx(tmp_path)


@pytest.mark.parametrize("case", ["learned state", "encoder and decoder", "constant lengths", "residual", "clip"])
def test_recurrent_only_changes_nothing_about_them(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(InputError, match=re.escape(message)):
        rnnbench.from_onnx(make(), recurrent_only=True)


def test_recurrent_only_leaves_computed_states_and_lengths_to_forward() -> None:
    assert rnnbench.from_onnx(computed_state(), recurrent_only=True).cell.name == "gru_reset_before"
    assert rnnbench.from_onnx(masked(), recurrent_only=True).cell.name == "rnn"
