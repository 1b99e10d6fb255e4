"""An ONNX graph as it is asked here: where a value comes from, what constants are, what lies between two nodes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from rnnbench.errors import InputError

LAYOUT = frozenset({"Identity", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that only name the axes anew."""
MOVES = LAYOUT | {"Cast", "Dropout", "Expand", "Flatten", "Gather", "Reshape", "Slice", "Split"}
"""Operators that only move, repeat or leave out numbers: those of their first input."""
UNDEFINED = 0
"""TensorProto.UNDEFINED: the reference evaluator goes by the values themselves."""


def import_onnx() -> Any:
    """Return the package onnx with the modules used here; InputError if it is not installed."""
    try:
        import onnx
        import onnx.inliner
        import onnx.reference
        import onnx.shape_inference
    except ImportError as error:
        raise InputError("onnx is not installed; python -m pip install '.[onnx]' in a clone of rnnbench") from error
    return onnx


def load(model: Any) -> Any:
    """Return a checked ModelProto, its functions inlined, of a path, bytes or a ModelProto.

    Weights in files beside the model are read if a path is given. InputError for what is no valid model.
    """
    onnx = import_onnx()
    from google.protobuf.message import DecodeError

    source = "the model"
    try:
        if isinstance(model, str | os.PathLike):
            source = os.fspath(model)
            model = onnx.load(source, format="protobuf")  # whatever the name ends with
        elif isinstance(model, bytes):
            model = onnx.load_from_string(model)
        if not isinstance(model, onnx.ModelProto):
            raise InputError(f"{type(model).__name__} is not an ONNX model; expected a path, bytes or onnx.ModelProto")
        _refuse_external(onnx, model)
        onnx.checker.check_model(model)
    except InputError:
        raise
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:  # ValueError: more than 2 GiB
        raise InputError(f"{source}: not a valid ONNX model: {str(error).strip().splitlines()[0]}") from None
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror or error}") from None
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    return onnx.shape_inference.infer_shapes(model)


def _refuse_external(onnx: Any, model: Any) -> None:
    stored = [attribute.t for node in model.graph.node for attribute in node.attribute if attribute.HasField("t")]
    for tensor in (*model.graph.initializer, *stored):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            where = {entry.key: entry.value for entry in tensor.external_data}.get("location", "a file")
            raise InputError(
                f"the weights '{tensor.name}' are in {where}, beside the model; expected the path of the model, "
                "or a model with its weights in it"
            )


def label(node: Any) -> str:
    """Return how messages call a node: its operator, and its name or first output."""
    return f"{node.op_type} '{node.name or node.output[0]}'"


def attributes(node: Any) -> dict[str, Any]:
    """Return a node's attributes as Python values, texts decoded."""
    onnx = import_onnx()

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value.decode() if isinstance(value, bytes) else value

    return {a.name: plain(onnx.helper.get_attribute_value(a)) for a in node.attribute}


class Graph:
    """The graph of a model, its values by name."""

    def __init__(self, model: Any) -> None:
        self.onnx = import_onnx()
        self.model = model
        graph = model.graph
        self.nodes = list(graph.node)
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.sparse = {tensor.values.name for tensor in graph.sparse_initializer}
        self.producer = {name: node for node in self.nodes for name in node.output if name}
        self.inputs = [value.name for value in graph.input if value.name not in self.initializers]
        self.outputs = [value.name for value in graph.output]
        self._constants: dict[str, np.ndarray | None] = {}

    def roots(self, name: str, through: Iterable[str] = (*MOVES, "Concat")) -> Iterator[str]:
        """Yield the values that the numbers of `name` are: what is left of it before operators that move numbers."""
        node = self.producer.get(name)
        if node is None or node.op_type not in through or node.domain:
            yield name
            return
        for source in node.input if node.op_type == "Concat" else node.input[:1]:
            yield from self.roots(source, through)

    def origin(self, *names: str) -> str:
        """Return how messages call where values come from."""
        return ", ".join(label(self.producer[name]) if name in self.producer else f"'{name}'" for name in names)

    def needed(self, name: str, known: Iterable[str] = ()) -> tuple[list[Any], set[str]]:
        """Return the nodes that compute `name` from the known values, in order, and all values that they read."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current and current not in found:
                found.add(current)
                if current in self.producer and current not in known:
                    waiting += self.producer[current].input
        nodes = [node for node in self.nodes if found & (set(node.output) - set(known))]
        return nodes, found

    def evaluate(self, name: str, known: dict[str, np.ndarray]) -> np.ndarray:
        """Return the value of `name`, given values it depends on; an error of any kind where it cannot be computed."""
        helper = self.onnx.helper
        nodes, values = self.needed(name, known)
        graph = helper.make_graph(
            nodes,
            "part",
            [helper.make_tensor_value_info(each, UNDEFINED, None) for each in known],
            [helper.make_tensor_value_info(name, UNDEFINED, None)],
            [tensor for value, tensor in self.initializers.items() if value in values],
        )
        part = helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        return np.asarray(self.onnx.reference.ReferenceEvaluator(part).run([name], known)[0])

    def constant(self, name: str) -> np.ndarray | None:
        """Return the value of `name` if it is the same whatever the inputs are; None if it is not, or is random."""
        if name not in self._constants:
            self._constants[name] = self._constant(name)
        return self._constants[name]

    def _constant(self, name: str) -> np.ndarray | None:
        if name in self.initializers:
            return np.asarray(self.onnx.numpy_helper.to_array(self.initializers[name]))
        if self.depends_on_inputs(name) or any(node.op_type.startswith("Random") for node in self.needed(name)[0]):
            return None
        try:
            return self.evaluate(name, {})
        except Exception:  # an operator that the reference evaluator lacks
            return None

    def depends_on_inputs(self, name: str) -> bool:
        """Tell whether a value is an input of the graph, or computed from one."""
        return not self.needed(name)[1].isdisjoint(self.inputs)

    def is_zero(self, name: str) -> bool:
        """Tell whether all numbers of a value are 0 whatever its shape."""
        node = self.producer.get(name)
        if node is not None and node.op_type == "ConstantOfShape":
            value = attributes(node).get("value")
            return value is None or not np.any(self.onnx.numpy_helper.to_array(value))
        value = self.constant(name)
        return value is not None and not np.any(value)

    def sizes(self, name: str) -> list[int | str | None]:
        """Return the sizes of a value's axes where the model says them: numbers, names, or None."""
        for value in (*self.model.graph.input, *self.model.graph.value_info, *self.model.graph.output):
            if value.name == name and value.type.tensor_type.HasField("shape"):
                return [
                    axis.dim_value if axis.HasField("dim_value") else axis.dim_param or None
                    for axis in value.type.tensor_type.shape.dim
                ]
        return []
