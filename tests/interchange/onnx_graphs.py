"""Small ONNX graphs, node by node, with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed; see the extra onnx")
helper = onnx.helper

FEATURES, HIDDEN = 3, 4
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


class Draft:
    """A graph in the making: its input is x, of any number of steps and sequences."""

    def __init__(self, features: int = FEATURES, dtype: str = "float64", batch_first: bool = False) -> None:
        self.rng = np.random.default_rng(0)
        self.dtype = np.dtype(dtype)
        self.nodes: list[Any] = []
        self.tensors: dict[str, Any] = {}
        self.inputs = [self.value("x", ("B", "T", features) if batch_first else ("T", "B", features))]
        self.outputs: list[Any] = []

    def value(self, name: str, shape: tuple | None, kind: Any = None) -> Any:
        return helper.make_tensor_value_info(name, kind or helper.np_dtype_to_tensor_dtype(self.dtype), shape)

    def takes(self, name: str, shape: tuple, kind: Any = None) -> str:
        self.inputs.append(self.value(name, shape, kind))
        return name

    def gives(self, name: str, axes: int = 3, kind: Any = None) -> None:
        self.outputs.append(self.value(name, (None,) * axes, kind))

    def holds(self, name: str, array: np.ndarray) -> str:
        self.tensors[name] = onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def numbers(self, name: str, *shape: int) -> str:
        return self.holds(name, 0.5 * self.rng.standard_normal(shape).astype(self.dtype))

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def recur(
        self,
        operator: str,
        x: str,
        name: str,
        features: int = FEATURES,
        hidden: int = HIDDEN,
        bias: bool = True,
        more: tuple[str, ...] = (),
        **attributes: Any,
    ) -> str:
        """Add a recurrent node; `more` are its inputs after B. Return the name of Y; Y_h is name_h, Y_c name_c."""
        directions = 2 if attributes.get("direction") == "bidirectional" else 1
        width = GATES[operator] * hidden
        weights = [
            self.numbers(f"{name}_W", directions, width, features),
            self.numbers(f"{name}_R", directions, width, hidden),
            self.numbers(f"{name}_B", directions, 2 * width) if bias else "",
        ]
        outputs = [f"{name}_y", f"{name}_h", f"{name}_c"][: 3 if operator == "LSTM" else 2]
        node = helper.make_node(operator, [x, *weights, *more], outputs, name, hidden_size=hidden, **attributes)
        self.nodes.append(node)
        return f"{name}_y"

    def squeeze(self, y: str, output: str, axis: int = 1) -> str:
        return self.add("Squeeze", [y, self.holds(f"axis{axis}", np.array([axis]))], output)

    def merge(self, y: str, output: str) -> str:
        """From (T, D, B, H) to (T, B, D*H)."""
        self.add("Transpose", [y], f"{output}_turned", perm=[0, 2, 1, 3])
        return self.add("Reshape", [f"{output}_turned", self.holds("merged", np.array([0, 0, -1]))], output)

    def model(self, opset: int = 17) -> Any:
        graph = helper.make_graph(self.nodes, "draft", self.inputs, self.outputs, list(self.tensors.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def evaluate(model: Any, **inputs: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of a model as onnx's own evaluator computes them, which knows no sequence_lens and no Relu."""
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(model).run(None, inputs)


def one_node(operator: str, **attributes: Any) -> Any:
    """Return a model of one node, with h as its output."""
    draft = Draft()
    y = draft.recur(operator, "x", "node", **attributes)
    draft.gives(draft.merge(y, "h"))
    return draft.model()


def dequantised(opset: int) -> Any:
    """Return an LSTM whose W is stored in 8 bits."""
    draft = Draft(dtype="float32")
    draft.gives(draft.squeeze(draft.recur("LSTM", "x", "node"), "h"))
    w = onnx.numpy_helper.to_array(draft.tensors.pop("node_W"))
    scale = np.float32(np.abs(w).max() / 127)
    stored = [draft.holds("stored", np.round(w / scale).astype(np.int8)), draft.holds("scale", np.array([scale]))]
    draft.tensors["scale"].ClearField("dims")
    draft.nodes.insert(0, helper.make_node("DequantizeLinear", stored, ["node_W"], "node_W"))
    return draft.model(opset)
