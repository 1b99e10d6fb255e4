"""ONNX Runtime: the operators RNN, LSTM and GRU in a graph of one node, on its CPU provider.

How weights lie and gates are ordered is in rnnbench/interchange/onnx_nodes.py.
"""

from __future__ import annotations

from typing import Any

from rnnbench.backends.base import Arrays
from rnnbench.implementations.base import Implementation, Prepared, Workload
from rnnbench.interchange.onnx import IR_VERSION, OPSET
from rnnbench.interchange.onnx_nodes import OPERATORS, written_weights


class OnnxRuntime(Implementation):
    """ONNX Runtime's CPU operators RNN, LSTM and GRU: inference in float32."""

    name = "onnxruntime"
    packages = ("onnxruntime", "onnx")
    cells = tuple(OPERATORS)
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

    operator = OPERATORS[workload.cell]
    weights = written_weights(workload.cell, arrays)
    activations = [*operator.activations]
    node = helper.make_node(
        operator.name,
        ["x", *weights],
        ["h"],
        hidden_size=workload.hidden,
        activations=activations,
        **operator.attributes,
    )
    x_shape = workload.length, workload.batch, workload.features
    h_shape = workload.length, 1, workload.batch, workload.hidden
    model = helper.make_model(
        helper.make_graph(
            [node],
            workload.cell,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)],
            [helper.make_tensor_value_info("h", TensorProto.FLOAT, h_shape)],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    return bytes(model.SerializeToString())
