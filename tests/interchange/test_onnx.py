"""from_onnx and to_onnx beside onnx's own evaluator, in float64, and every form in which a graph can hold weights."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_graphs import FEATURES, HIDDEN, Draft, dequantised, evaluate, one_node, onnx
from oracles.problems import largest_error

import rnnbench
from rnnbench.errors import InputError
from rnnbench.interchange.onnx_nodes import OPERATORS
from rnnbench.layer import Layer, Stack

STEPS, BATCH = 6, 3
SHAPES = {"layer": None, "both ways": (1, True), "two layers": (2, False), "three both ways": (3, True)}
EVALUATED = {"rnn": {}, "lstm": {}, "gru": {"linear_before_reset": 1}, "gru_reset_before": {"linear_before_reset": 0}}
"""The cells that onnx's evaluator has, and their attributes."""


def source_of(cell: str, shape: str, dtype: str = "float64") -> Layer | Stack:
    """Return a Layer or Stack of random weights and biases."""
    sizes = cell, FEATURES, HIDDEN
    arrangement = SHAPES[shape]
    source = Stack(*sizes, *arrangement, dtype, "reference") if arrangement else Layer(*sizes, dtype, "reference")
    rng = np.random.default_rng(1)
    for layer in source.layers if isinstance(source, Stack) else [source]:
        layer.params = {
            name: (0.5 * rng.standard_normal(value.shape)).astype(dtype) for name, value in layer.params.items()
        }
    return source


def states_of(source: Layer | Stack) -> dict[str, np.ndarray]:
    """Return random initial states (L*D, B, H)."""
    rng = np.random.default_rng(2)
    rows = len(source.layers) if isinstance(source, Stack) else 1
    return {name: rng.standard_normal((rows, BATCH, HIDDEN)) for name in source.cell.states}


def flat(source: Layer | Stack, x: np.ndarray, states: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Return h and the final states (L*D, B, H) by the names of the graph's outputs."""
    single = isinstance(source, Layer)
    given = states and {name: value[0] if single else value for name, value in states.items()}
    trace = source.forward(x, given)
    final = {f"final_{name}": value[None] if single else value for name, value in trace.state.items()}
    return {"h": trace.h, **final}


def inputs() -> np.ndarray:
    return np.random.default_rng(3).standard_normal((STEPS, BATCH, FEATURES))


def expect_same(model: Any, batch_first: bool = False, **options: Any) -> Layer | Stack:
    """Assert that what is read computes the model's first output, and return it."""
    ours = rnnbench.from_onnx(model, "reference", **options)
    x = inputs()
    [expected, *_] = evaluate(model, x=x.swapaxes(0, 1) if batch_first else x)
    expected = expected.swapaxes(0, 1) if batch_first else expected
    assert largest_error({"h": ours.forward(x).h}, {"h": expected}) <= 1e-12
    return ours


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", EVALUATED)
def test_to_onnx_writes_what_the_layer_computes(cell: str, shape: str, with_state: bool) -> None:
    source = source_of(cell, shape)
    model = rnnbench.to_onnx(source, state=with_state)
    states = states_of(source) if with_state else None
    given = {f"initial_{name}": value for name, value in (states or {}).items()}
    found = dict(zip([each.name for each in model.graph.output], evaluate(model, x=inputs(), **given), strict=True))
    assert largest_error(found, flat(source, inputs(), states)) <= 1e-12


@pytest.mark.parametrize(("state", "lengths"), [*itertools.product([False, True], repeat=2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", OPERATORS)
def test_there_and_back_again(cell: str, shape: str, dtype: str, state: bool, lengths: bool) -> None:
    source = source_of(cell, shape, dtype)
    back = rnnbench.from_onnx(rnnbench.to_onnx(source, state=state, lengths=lengths))
    assert type(back) is type(source)
    assert back.cell is source.cell
    assert back.dtype == dtype
    assert largest_error(back.params, source.params) == 0


def test_a_cell_that_onnx_does_not_have_is_refused() -> None:
    from dataclasses import replace

    other = replace(Layer("rnn", 1, 1).cell, name="other")
    with pytest.raises(InputError, match="ONNX has no counterpart of the cell 'other'; it has rnn, rnn_relu, lstm"):
        rnnbench.to_onnx(Layer(other, 1, 1))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("cell", EVALUATED)
def test_a_node_is_read(cell: str, direction: str, bias: bool) -> None:
    ours = expect_same(one_node(OPERATORS[cell].name, direction=direction, bias=bias, **EVALUATED[cell]))
    assert ours.cell.name == cell
    assert isinstance(ours, Layer) == (direction == "forward")


@pytest.mark.parametrize("cell", EVALUATED)
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_layout_1_has_the_batch_first_and_the_same_weights(cell: str, direction: str) -> None:
    draft = Draft(batch_first=True)
    options = {"direction": direction, "layout": 1, **EVALUATED[cell]}
    x, features = "x", FEATURES
    for name in ("first", "second"):
        y = draft.recur(OPERATORS[cell].name, x, name, features, **options)  # (B, T, D, H)
        features = HIDDEN * (2 if direction == "bidirectional" else 1)
        x = draft.add("Reshape", [y, draft.holds("merged", np.array([0, 0, -1]))], f"{name}_merged")
    draft.gives(x)
    assert expect_same(draft.model(), batch_first=True).num_layers == 2


def test_only_one_of_two_nodes_in_layout_1() -> None:
    draft = Draft()
    y = draft.squeeze(draft.recur("LSTM", "x", "first"), "first_squeezed")
    turned = draft.add("Transpose", [y], "turned", perm=[1, 0, 2])
    y = draft.recur("LSTM", turned, "second", HIDDEN, layout=1)
    draft.gives(draft.add("Transpose", [draft.squeeze(y, "second_squeezed", 2)], "h", perm=[1, 0, 2]))
    expect_same(draft.model())


def test_relu_is_a_cell_of_its_own() -> None:
    assert rnnbench.from_onnx(one_node("RNN", activations=["Relu"])).cell.name == "rnn_relu"
    assert rnnbench.from_onnx(one_node("RNN", activations=["tanh"])).cell.name == "rnn"


@pytest.mark.parametrize(
    "harmless",
    [
        {"activations": ["Sigmoid", "Tanh", "Tanh"], "activation_alpha": [0.1, 0.2, 0.3], "activation_beta": [0.5]},
        {"clip": float(np.finfo(np.float32).max)},
        {"input_forget": 0},
    ],
)
def test_attributes_without_effect_are_read(harmless: dict[str, Any]) -> None:
    ours, plain = (rnnbench.from_onnx(one_node("LSTM", **attributes)) for attributes in (harmless, {}))
    assert largest_error(ours.params, plain.params) == 0


def test_peepholes_of_zeros_are_none() -> None:
    draft = Draft()
    zeros = draft.holds("P", np.zeros((1, 3 * HIDDEN)))
    draft.gives(draft.recur("LSTM", "x", "node", more=("", "", "", zeros)), 4)
    plain = rnnbench.from_onnx(one_node("LSTM"))
    assert largest_error(rnnbench.from_onnx(draft.model()).params, plain.params) == 0


def as_typed_data(model: Any) -> Any:
    """The numbers one by one, in the place of raw bytes."""
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float64:
            tensor.ClearField("raw_data")
            tensor.double_data.extend(array.ravel())
    return model


def as_constant_nodes(model: Any) -> Any:
    graph = model.graph
    for tensor in list(graph.initializer):
        node = onnx.helper.make_node("Constant", [], [tensor.name], value=tensor)
        graph.node.insert(0, node)
        graph.initializer.remove(tensor)
    return model


def as_transposes(model: Any) -> Any:
    """W stored as (D, I, G*H), and turned by the graph."""
    graph = model.graph
    [w] = [tensor for tensor in graph.initializer if tensor.name == "node_W"]
    stored = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(w).swapaxes(1, 2).copy(), "stored")
    graph.initializer.remove(w)
    graph.initializer.append(stored)
    graph.node.insert(0, onnx.helper.make_node("Transpose", ["stored"], ["node_W"], perm=[0, 2, 1]))
    return model


def as_inputs_with_defaults(model: Any) -> Any:
    """Up to IR version 3 initializers are inputs as well."""
    for tensor in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return model


@pytest.mark.parametrize("form", [as_typed_data, as_constant_nodes, as_transposes, as_inputs_with_defaults, bytes])
def test_every_form_of_stored_weights_is_read(form: Any) -> None:
    plain = rnnbench.from_onnx(one_node("GRU"))
    model = one_node("GRU")
    found = rnnbench.from_onnx(model.SerializeToString() if form is bytes else form(model))
    assert largest_error(found.params, plain.params) == 0


def test_weights_in_8_bits_are_the_numbers_they_stand_for() -> None:
    model = dequantised(opset=21)
    ours, x = rnnbench.from_onnx(model, "reference"), inputs().astype(np.float32)
    assert largest_error({"h": ours.forward(x).h}, {"h": evaluate(model, x=x)[0]}) <= 1e-5


@pytest.mark.parametrize("opset", [1, 3, 7, 14, 22])
def test_every_opset_is_read(opset: int) -> None:
    """GRU is of opsets 1, 3 (the two resets), 7, 14 (layout) and 22 (bfloat16)."""
    draft = Draft()
    draft.gives(draft.recur("GRU", "x", "node"), 4)
    found = rnnbench.from_onnx(draft.model(opset))
    assert largest_error(found.params, rnnbench.from_onnx(one_node("GRU")).params) == 0


def test_hidden_size_may_be_left_out() -> None:
    model = one_node("LSTM")
    node = model.graph.node[0]
    node.attribute.remove(next(each for each in node.attribute if each.name == "hidden_size"))
    assert largest_error(rnnbench.from_onnx(model).params, rnnbench.from_onnx(one_node("LSTM")).params) == 0


def test_a_path_is_read_with_its_external_weights(tmp_path: Path) -> None:
    plain = rnnbench.from_onnx(one_node("GRU"))
    path = tmp_path / "model.onnx"
    onnx.save(one_node("GRU"), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").exists()
    for name in (path, str(path)):
        assert largest_error(rnnbench.from_onnx(name).params, plain.params) == 0
    with pytest.raises(InputError, match=r"the weights '\w+' are in weights.bin, beside the model; expected the path"):
        rnnbench.from_onnx(path.read_bytes())
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match=r"model\.onnx"):
        rnnbench.from_onnx(path)


def test_a_model_function_is_looked_into() -> None:
    model = one_node("LSTM")
    graph = model.graph
    nodes, stored = list(graph.node), [tensor.name for tensor in graph.initializer]
    opset = [onnx.helper.make_opsetid("", 17)]
    model.functions.append(onnx.helper.make_function("own", "Recur", ["x", *stored], ["h"], nodes, opset))
    model.opset_import.append(onnx.helper.make_opsetid("own", 1))
    del graph.node[:]
    graph.node.append(onnx.helper.make_node("Recur", ["x", *stored], ["h"], domain="own"))
    onnx.checker.check_model(model)
    plain = rnnbench.from_onnx(one_node("LSTM"))
    assert largest_error(rnnbench.from_onnx(model).params, plain.params) == 0


def test_states_and_lengths_of_the_graph_are_arguments_of_forward() -> None:
    draft = Draft()
    lengths = draft.takes("lengths", ("B",), onnx.TensorProto.INT32)
    state = draft.takes("state", (2, "B", HIDDEN))
    x, features = "x", FEATURES
    for k in range(2):
        bounds = [draft.holds(f"from{k}", np.array([k])), draft.holds(f"to{k}", np.array([k + 1]))]
        part = draft.add("Slice", [state, *bounds, draft.holds("axis0", np.array([0]))], f"state{k}")
        x = draft.squeeze(draft.recur("GRU", x, f"node{k}", features, more=(lengths, part)), f"h{k}")
        features = HIDDEN
    draft.gives(x)
    model = draft.model()
    ours = rnnbench.from_onnx(model, "reference")
    initial = np.random.default_rng(4).standard_normal((2, BATCH, HIDDEN))
    whole = np.full(BATCH, STEPS)
    [expected] = evaluate(model, x=inputs(), state=initial, lengths=whole.astype(np.int32))
    assert largest_error({"h": ours.forward(inputs(), {"h": initial}, whole).h}, {"h": expected}) <= 1e-12


def test_zeros_of_the_batchs_size_are_no_state() -> None:
    draft = Draft()
    size = draft.add("Gather", [draft.add("Shape", ["x"], "shape"), draft.holds("one", np.array([1]))], "size")
    ends = [draft.holds(f"{number}", np.array([number])) for number in (1, HIDDEN)]
    shape = draft.add("Concat", [ends[0], size, ends[1]], "state_shape", axis=0)
    zero = onnx.numpy_helper.from_array(np.zeros(1))
    zeros = draft.add("ConstantOfShape", [shape], "zeros", value=zero)
    draft.gives(draft.squeeze(draft.recur("GRU", "x", "node", more=("", zeros)), "h"))
    expect_same(draft.model())


def test_final_states_and_a_last_step_may_be_outputs() -> None:
    draft = Draft()
    h = draft.squeeze(draft.recur("LSTM", "x", "node"), "h")
    draft.gives(draft.add("Gather", [h, draft.holds("last", np.array(-1))], "answer", axis=0), 2)
    draft.gives("node_c")
    ours = rnnbench.from_onnx(draft.model(), "reference")
    trace = ours.forward(inputs())
    answer, final = evaluate(draft.model(), x=inputs())
    found = {"answer": trace.h[-1], "c": trace.state["c"].reshape(final.shape)}
    assert largest_error(found, {"answer": answer.reshape(BATCH, HIDDEN), "c": final}) <= 1e-12


def language_model(normalise: bool = False) -> Any:
    """Embedding, two LSTMs, dropout between them, a readout."""
    draft = Draft(features=1)
    draft.inputs = [draft.value("tokens", ("T", "B"), onnx.TensorProto.INT64)]
    x = draft.add("Gather", [draft.numbers("embedding", 7, FEATURES), "tokens"], "embedded")
    h = draft.squeeze(draft.recur("LSTM", x, "first"), "h0")
    h = draft.add("Tanh", [h], "squashed") if normalise else draft.add("Dropout", [h], "dropped")
    h = draft.squeeze(draft.recur("LSTM", h, "second", HIDDEN), "h1")
    draft.gives(draft.add("MatMul", [h, draft.numbers("readout", HIDDEN, 7)], "logits"))
    return draft.model()


def test_recurrent_only_leaves_out_the_embedding_and_the_readout() -> None:
    model = language_model()
    ours = rnnbench.from_onnx(model, "reference", recurrent_only=True)
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    tokens = np.random.default_rng(5).integers(0, 7, (STEPS, BATCH))
    logits = ours.forward(stored["embedding"][tokens]).h @ stored["readout"]
    assert largest_error({"logits": logits}, {"logits": evaluate(model, tokens=tokens)[0]}) <= 1e-12


def test_what_is_before_and_after_is_named_otherwise() -> None:
    with pytest.raises(InputError, match=r"LSTM 'first' reads Gather 'embedded'; expected an input.*recurrent_only"):
        rnnbench.from_onnx(language_model())
    draft = Draft()
    h = draft.squeeze(draft.recur("LSTM", "x", "node"), "h")
    draft.gives(draft.add("MatMul", [h, draft.numbers("readout", HIDDEN, 7)], "logits"))
    with pytest.raises(InputError, match="the output 'logits' is of MatMul 'logits'; expected h or states"):
        rnnbench.from_onnx(draft.model())


def test_recurrent_only_does_not_leave_out_what_is_between() -> None:
    with pytest.raises(InputError, match="LSTM 'second' reads LSTM 'first' by way of Tanh 'squashed'; a Stack hands"):
        rnnbench.from_onnx(language_model(normalise=True), recurrent_only=True)


@pytest.mark.parametrize("call", [rnnbench.from_onnx, rnnbench.to_onnx])
def test_without_onnx_the_message_says_how_to_install_it(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    plain = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "onnx":
            raise ImportError(name)
        return plain(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"onnx is not installed; python -m pip install '\.\[onnx\]'"):
        call(Layer("rnn", 1, 1))
