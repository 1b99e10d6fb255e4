"""ONNX Runtime: the operators RNN, LSTM and GRU in a graph of one node, on its CPU provider.

Weights are (1, G*H, I) and (1, G*H, H), biases (1, 2*G*H), the input's before the recurrent ones. Gate orders differ:
LSTM input, output, forget, cell; GRU update, reset, hidden. Source: the ONNX operator specification, opset 14.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnbench import cells
from rnnbench.backends.base import Arrays
from rnnbench.implementations.base import Implementation, Prepared, Workload
from rnnbench.implementations.problems import two_biases

OPSET, IR_VERSION = 14, 8
"""The operators as they are since 2021, so that any ONNX Runtime reads the graph."""
NODES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "rnn": ("RNN", {"activations": ["Tanh"]}, ("hidden",)),
    "rnn_relu": ("RNN", {"activations": ["Relu"]}, ("hidden",)),
    "lstm": ("LSTM", {}, ("input", "output", "forget", "candidate")),
    "gru": ("GRU", {"linear_before_reset": 1}, ("update", "reset", "candidate")),
    "gru_reset_before": ("GRU", {"linear_before_reset": 0}, ("update", "reset", "candidate")),
}
"""For each cell the operator, its attributes, and our gates in its order."""


class OnnxRuntime(Implementation):
    """ONNX Runtime's CPU operators RNN, LSTM and GRU: inference in float32."""

    name = "onnxruntime"
    packages = ("onnxruntime", "onnx")
    cells = tuple(NODES)
    directions = ("forward",)
    dtypes = ("float32",)  # 1.32 says of float64: "LSTM operator does not support double yet"

    def prepare(self, workload: Workload, arrays: Arrays) -> Prepared:
        """See Implementation.prepare."""
        return Forward(workload, arrays)


class Forward(Prepared):
    """h of every step."""

    def __init__(self, workload: Workload, arrays: Arrays) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = workload.threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(graph(workload, arrays), options, ["CPUExecutionProvider"])
        self.inputs = {"x": arrays["x"]}

    def call(self) -> Any:
        """See Prepared.call."""
        return self.session.run(["h"], self.inputs)[0]

    def outputs(self) -> Arrays:
        """See Prepared.outputs."""
        return {"h": self.call()[:, 0]}  # (T, directions, B, H)


def graph(workload: Workload, arrays: Arrays) -> bytes:
    """Return the model: one node, its weights in it."""
    from onnx import TensorProto, helper, numpy_helper

    operator, attributes, order = NODES[workload.cell]
    gates = cells.get(workload.cell).gates

    def in_order(columns: np.ndarray) -> np.ndarray:
        """Return (N, G*H) as (G*H, N) with the gates in the operator's order."""
        blocks = dict(zip(gates, np.split(columns, len(gates), axis=1), strict=True))
        return np.concatenate([blocks[gate] for gate in order], axis=1).T

    biases = [in_order(bias[None]).ravel() for bias in two_biases(workload.cell, arrays)]
    weights = {
        "W": in_order(arrays["W_xh"])[None],
        "R": in_order(arrays["W_hh"])[None],
        "B": np.concatenate(biases)[None],
    }
    node = helper.make_node(operator, ["x", *weights], ["h"], hidden_size=workload.hidden, **attributes)
    x_shape = workload.length, workload.batch, workload.features
    h_shape = workload.length, 1, workload.batch, workload.hidden
    model = helper.make_model(
        helper.make_graph(
            [node],
            workload.cell,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)],
            [helper.make_tensor_value_info("h", TensorProto.FLOAT, h_shape)],
            [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    return bytes(model.SerializeToString())
