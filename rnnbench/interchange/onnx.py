"""Networks of the ONNX operators RNN, LSTM and GRU as a Layer or Stack, and the way back.

What each operator computes and how its weights lie is in onnx_nodes.py; what a Stack can be of a graph is here.
Source: the ONNX operator specification, RNN, LSTM and GRU, opset 22 and before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnbench.backends.base import Arrays, Backend
from rnnbench.errors import InputError
from rnnbench.interchange._onnx_graph import LAYOUT, MOVES, Graph, import_onnx, label, load
from rnnbench.interchange.onnx_nodes import OPERATORS, RecurrentNode, is_recurrent, written_weights
from rnnbench.layer import Layer, Stack

OPSET, IR_VERSION = 14, 8
"""What is written: the operators as they are since 2021, so that any runtime reads the graph."""


def from_onnx(model: Any, backend: str | Backend = "cpu", *, recurrent_only: bool = False) -> Layer | Stack:
    """Return a Layer (one node, one direction) or else a Stack with the weights and dtype of a model's recurrent nodes.

    model            a path, bytes, or an onnx.ModelProto; only a path can have its weights in files beside it
    recurrent_only   leave out what the graph has before the first recurrent node and after the last, such as an
                     embedding and a readout, instead of refusing it

    The nodes must be what a Stack is: of one operator, hidden size and direction, each reading the outputs of the one
    before. What lies between two of them is run on random numbers: it has to hand on (T, B, D*H), every number in its
    place. Inputs stay time-major (T, B, I), also where the graph or its nodes (layout 1) have the batch first. Initial
    states and sequence_lens that are inputs of the graph are arguments of `forward`, as `state` and `lengths`.

    Raises InputError, which names the node and what it has, for direction "reverse" alone, peepholes, clip, coupled
    gates (input_forget), activations that no cell has, initial states that are neither zeros nor inputs, lengths that
    are no input, weights that depend on inputs, are quantised or are neither float32 nor float64, and anything else in
    the graph that a Stack cannot be.
    """
    graph = Graph(load(model))
    nodes = [RecurrentNode(graph, node) for node in graph.nodes if is_recurrent(node)]
    if not nodes:
        found = sorted({".".join(filter(None, (node.domain, node.op_type))) for node in graph.nodes})
        hint = ", quantised; expected weights in float32 or float64" if any("Quant" in each for each in found) else ""
        raise InputError(f"the graph has no RNN, LSTM or GRU; it has {', '.join(found) or 'no node at all'}{hint}")
    _check_alike(nodes)
    if not recurrent_only:
        _check_ends(graph, nodes)
    for node in nodes:
        _check_state(graph, node, recurrent_only)
    _check_lengths(graph, nodes, recurrent_only)
    for k, node in enumerate(nodes):
        _check_reads(graph, nodes[:k], node)
    first = nodes[0]
    sizes = first.cell, first.input_size, first.hidden_size
    if len(nodes) == 1 and first.directions == 1:
        layer = Layer(*sizes, first.dtype, backend)
        [layer.params] = first.params
        return layer
    stack = Stack(*sizes, len(nodes), first.directions == 2, first.dtype, backend)
    for layer, params in zip(stack.layers, [params for node in nodes for params in node.params], strict=True):
        layer.params = params
    return stack


def _check_alike(nodes: Sequence[RecurrentNode]) -> None:
    first = nodes[0]
    for node in nodes[1:]:
        for name in ("cell", "hidden_size", "direction", "dtype"):
            a, b = getattr(first, name), getattr(node, name)
            if a != b:
                raise InputError(
                    f"{first.label} has {name} {a}, {node.label} has {name} {b}; the layers of a Stack have the same"
                )


def _check_ends(graph: Graph, nodes: Sequence[RecurrentNode]) -> None:
    """Raise InputError unless the graph's input is x, and its outputs are h and final states, but for their axes."""
    hint = "recurrent_only=True leaves out what is before the first recurrent node and after the last"
    [root] = graph.roots(nodes[0].inputs["X"], LAYOUT)
    if root not in graph.inputs:
        raise InputError(f"{nodes[0].label} reads {graph.origin(root)}; expected an input of the graph. {hint}")
    states = {name for node in nodes for name in node.outputs}
    for output in graph.outputs:
        for root in graph.roots(output):
            if root not in states:
                raise InputError(f"the output '{output}' is of {graph.origin(root)}; expected h or states. {hint}")


def _check_state(graph: Graph, node: RecurrentNode, recurrent_only: bool) -> None:
    """Raise InputError unless the initial states are zeros or inputs of the graph, or what is left out has them."""
    for name in ("initial_h", "initial_c"):
        for root in graph.roots(node.inputs[name]) if node.inputs[name] else ():
            if root in graph.inputs or graph.is_zero(root):
                continue
            left_out = recurrent_only and graph.constant(root) is None
            if not left_out or any(map(is_recurrent, graph.needed(root)[0])):
                raise InputError(
                    f"{node.label}: {name} is of {graph.origin(root)}; expected zeros or an input of the graph, "
                    "for a Layer's initial state is what forward is given"
                )


def _check_lengths(graph: Graph, nodes: Sequence[RecurrentNode], recurrent_only: bool) -> None:
    """Raise InputError unless all nodes take the same lengths, those of an input of the graph, or none do.

    What is left out may also compute them from inputs, as an embedding's mask does.
    """
    lengths = [set(graph.roots(node.inputs["sequence_lens"])) for node in nodes]
    for node, roots in zip(nodes, lengths, strict=True):
        if roots != lengths[0]:
            raise InputError(f"{nodes[0].label} and {node.label} differ in sequence_lens; a Stack's layers share them")
        others = sorted(roots - {"", *graph.inputs})
        if any(not recurrent_only or graph.constant(root) is not None for root in others):
            raise InputError(
                f"{node.label}: sequence_lens is of {graph.origin(*others)}; expected an input of the graph, "
                "for lengths are what forward is given"
            )


def _check_reads(graph: Graph, before: Sequence[RecurrentNode], node: RecurrentNode) -> None:
    """Raise InputError unless a node reads h of the one before it as a Stack's layer does, (T, B, D*H)."""
    stops = {name: other for other in before for name in other.outputs if name}
    path, values = graph.needed(node.inputs["X"], stops)
    read = list(dict.fromkeys(stops[name] for name in stops if name in values))
    if before and not read:
        raise InputError(f"{before[0].label} and {node.label} both read inputs; the layers of a Stack read one another")
    if read != list(before[-1:]):
        raise InputError(
            f"{node.label} reads {' and '.join(other.label for other in read)}; "
            f"in a Stack it would read {before[-1].label} alone"
        )
    if before and not _hands_on(graph, before, node):
        between = [label(each) for each in path if each.op_type not in MOVES] or [label(each) for each in path]
        raise InputError(
            f"{node.label} reads {before[-1].label} by way of {', '.join(between) or 'nothing'}; "
            "a Stack hands on h (T, B, D*H) as it is"
        )


def _hands_on(graph: Graph, before: Sequence[RecurrentNode], node: RecurrentNode) -> bool:
    """Run what is between two nodes on random numbers; tell whether each arrives where a Stack would put it."""
    sizes = _sizes(graph, before[0])
    steps, batch = sizes.values()
    h = np.empty(0)
    known: dict[str, np.ndarray] = {}
    rng = np.random.default_rng(0)
    for other in before:
        h, *states = (
            rng.standard_normal(shape).astype(node.dtype)
            for shape in [(steps, batch, other.directions, other.hidden_size)]
            + [(batch, other.directions, other.hidden_size)] * 2
        )
        arrays = (
            (h.transpose(1, 0, 2, 3), *states)
            if other.batch_first
            else (h.transpose(0, 2, 1, 3), *(each.swapaxes(0, 1) for each in states))
        )
        known |= dict(zip(other.outputs, arrays, strict=True))
    _, values = graph.needed(node.inputs["X"], known)
    for name in values & set(graph.inputs):  # something asks for their shape
        free = iter(sizes.values())
        shape = [axis if isinstance(axis, int) else sizes.get(axis) or next(free, 1) for axis in graph.sizes(name)]
        known[name] = rng.standard_normal(shape).astype(node.dtype)
    try:
        found = graph.evaluate(node.inputs["X"], {name: value for name, value in known.items() if name in values})
    except Exception:  # an operator that the reference evaluator lacks, or sizes that do not fit
        return False
    expected = h.reshape(steps, batch, -1)
    return np.array_equal(found, expected.swapaxes(0, 1) if node.batch_first else expected)


def _sizes(graph: Graph, first: RecurrentNode) -> dict[int | str | None, int]:
    """Return T and B to try, by what the graph calls them: fixed ones as they are, free ones as 3 and 2."""
    axes = graph.sizes(first.outputs[0]) or [None] * 4
    called = (axes[1], axes[0]) if first.batch_first else (axes[0], axes[2])
    steps, batch = (axis if isinstance(axis, int) else size for axis, size in zip(called, (3, 2), strict=True))
    keys = called if called[0] != called[1] else ("T", "B")
    return dict(zip(keys, (steps, batch), strict=True))


def to_onnx(source: Layer | Stack, *, state: bool = False, lengths: bool = False) -> Any:
    """Return the onnx.ModelProto, checked, of a Layer or Stack: a node a level, with L levels and D directions.

    inputs     x (T, B, I); with `lengths` lengths (B,) int32; with `state` initial_h (L*D, B, H), and initial_c
    outputs    h (T, B, D*H), final_h (L*D, B, H), and final_c for an LSTM

    T and B are free. A runtime may lack an operator in float64: ONNX Runtime's CPU provider has all of them in float32.
    Raises InputError for a cell that ONNX does not have.
    """
    if source.cell.name not in OPERATORS:
        raise InputError(f"ONNX has no counterpart of the cell '{source.cell.name}'; it has {', '.join(OPERATORS)}")
    return _Writing(source, state, lengths).model()


class _Writing:
    """The nodes and weights of a model as they come together."""

    def __init__(self, source: Layer | Stack, state: bool, lengths: bool) -> None:
        self.onnx = import_onnx()
        self.source, self.state, self.lengths = source, state, lengths
        layers, self.directions = ([source], 1) if isinstance(source, Layer) else (source.layers, source.directions)
        self.levels = [layers[k : k + self.directions] for k in range(0, len(layers), self.directions)]
        self.states = source.cell.states
        self.nodes: list[Any] = []
        self.weights: Arrays = {}

    def model(self) -> Any:
        """Return the whole model."""
        helper = self.onnx.helper
        if self.state:
            self._split_states()
        x = "x"
        for k, level in enumerate(self.levels):
            self._recur(k, level, x)
            x = "h" if level is self.levels[-1] else f"h_{k}"
            self._merge_directions(f"y_{k}", x)
        for s in self.states:
            self._add("Concat", [f"final_{s}_{k}" for k in range(len(self.levels))], [f"final_{s}"], axis=0)
        tensors = [self.onnx.numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        graph = helper.make_graph(self.nodes, self.source.cell.name, *self._ends(), tensors)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="rnnbench")
        self.onnx.checker.check_model(model, full_check=True)
        return model

    def _add(self, operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, outputs, outputs[0], **attributes))

    def _split_states(self) -> None:
        """Initial states (L*D, B, H) as one (D, B, H) a level."""
        self.weights["split"] = np.full(len(self.levels), self.directions)
        for s in self.states:
            parts = [f"initial_{s}_{k}" for k in range(len(self.levels))]
            self._add("Split", [f"initial_{s}", "split"], parts, axis=0)

    def _recur(self, k: int, level: list[Layer], x: str) -> None:
        name = self.source.cell.name
        operator = OPERATORS[name]
        arrays = [written_weights(name, layer.params) for layer in level]
        weights = {f"{key}_{k}": np.concatenate([each[key] for each in arrays]) for key in arrays[0]}
        self.weights |= weights
        initial = [f"initial_{s}_{k}" for s in self.states] if self.state else []
        self._add(
            operator.name,
            [x, *weights, "lengths" if self.lengths else "", *initial],
            [f"y_{k}", *(f"final_{s}_{k}" for s in self.states)],
            hidden_size=self.source.hidden_size,
            direction="forward" if self.directions == 1 else "bidirectional",
            activations=[*operator.activations] * self.directions,
            **operator.attributes,
        )

    def _merge_directions(self, y: str, h: str) -> None:
        """From (T, D, B, H) to (T, B, D*H)."""
        if self.directions == 1:
            self.weights["direction_axis"] = np.array([1])
            self._add("Squeeze", [y, "direction_axis"], [h])
        else:
            self.weights["side_by_side"] = np.array([0, 0, 2 * self.source.hidden_size])
            self._add("Transpose", [y], [f"{y}_by_sequence"], perm=[0, 2, 1, 3])
            self._add("Reshape", [f"{y}_by_sequence", "side_by_side"], [h])

    def _ends(self) -> tuple[list[Any], list[Any]]:
        """Return the inputs and outputs of the graph."""
        helper, source = self.onnx.helper, self.source
        kind = helper.np_dtype_to_tensor_dtype(source.dtype)
        shape = len(self.levels) * self.directions, "B", source.hidden_size

        def value(name: str, shape: tuple[int | str, ...]) -> Any:
            return helper.make_tensor_value_info(name, kind, shape)

        inputs = [value("x", ("T", "B", source.input_size))]
        if self.lengths:
            inputs.append(helper.make_tensor_value_info("lengths", self.onnx.TensorProto.INT32, ("B",)))
        if self.state:
            inputs += [value(f"initial_{s}", shape) for s in self.states]
        h = value("h", ("T", "B", self.directions * source.hidden_size))
        return inputs, [h, *(value(f"final_{s}", shape) for s in self.states)]
