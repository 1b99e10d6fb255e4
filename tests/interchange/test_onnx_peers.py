"""to_onnx run by ONNX Runtime, and PyTorch's own modules by way of an ONNX graph."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from oracles.problems import largest_error
from test_onnx import BATCH, HIDDEN, SHAPES, STEPS, flat, inputs, source_of, states_of

import rnnbench
from rnnbench.errors import InputError
from rnnbench.interchange.onnx_nodes import OPERATORS

LENGTHS = np.array([STEPS, 2, 4])


def session(model: Any) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed; see the extra peers")
    onnxruntime.set_default_logger_severity(4)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", OPERATORS)
def test_onnx_runtime_computes_what_the_layer_computes(cell: str, shape: str) -> None:
    source = source_of(cell, shape, "float32")
    run = session(rnnbench.to_onnx(source))
    x = inputs().astype(np.float32)
    names = [each.name for each in run.get_outputs()]
    assert largest_error(dict(zip(names, run.run(None, {"x": x}), strict=True)), flat(source, x)) <= 1e-5


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", OPERATORS)
def test_states_and_lengths_mean_the_same_to_onnx_runtime(cell: str, shape: str) -> None:
    source = source_of(cell, shape, "float32")
    run = session(rnnbench.to_onnx(source, state=True, lengths=True))
    x = inputs().astype(np.float32)
    states = {name: value.astype(np.float32) for name, value in states_of(source).items()}
    given = {"x": x, "lengths": LENGTHS.astype(np.int32), **{f"initial_{name}": s for name, s in states.items()}}
    single = SHAPES[shape] is None
    trace = source.forward(x, {name: s[0] if single else s for name, s in states.items()}, LENGTHS)
    expected = {"h": trace.h, **{f"final_{n}": s[None] if single else s for n, s in trace.state.items()}}
    names = [each.name for each in run.get_outputs()]
    assert largest_error(dict(zip(names, run.run(None, given), strict=True)), expected) <= 1e-5


def exported(module: Any, x: Any) -> bytes:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; see the extra peers")
    file = io.BytesIO()
    torch.onnx.export(module, (x,), file, dynamo=False)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_pytorch_by_way_of_onnx_is_pytorch(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; see the extra peers")
    torch.manual_seed(0)
    module = getattr(torch.nn, kind)(3, HIDDEN, num_layers=2, bidirectional=True)
    by_way = rnnbench.from_onnx(exported(module, torch.zeros(STEPS, BATCH, 3)))
    assert largest_error(by_way.params, rnnbench.from_torch(module).params) <= 1e-7


def test_an_unrolled_network_has_nothing_to_read() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; see the extra peers")

    class Unrolled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = torch.nn.RNNCell(3, HIDDEN)

        def forward(self, x: Any) -> Any:
            h = torch.zeros(x.shape[1], HIDDEN)
            for step in range(STEPS):
                h = self.cell(x[step], h)
            return h

    with pytest.raises(InputError, match=r"the graph has no RNN, LSTM or GRU; it has .*Tanh"):
        rnnbench.from_onnx(exported(Unrolled(), torch.zeros(STEPS, BATCH, 3)))
