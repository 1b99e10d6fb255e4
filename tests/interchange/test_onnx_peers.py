"""to_onnx run by ONNX Runtime, and PyTorch's own modules by way of an ONNX graph."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from onnx_graphs import Draft, onnx
from oracles.problems import largest_error
from test_onnx import BATCH, HIDDEN, SHAPES, STEPS, flat, inputs, source_of, states_of

import rnnbench
from rnnbench import cells
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


def randomised(cell: str, direction: str, rng: np.random.Generator) -> tuple[Any, dict[str, np.ndarray]]:
    """Return a graph of two nodes with or without bias, lengths and initial states, and its inputs; all random."""
    operator, sides = OPERATORS[cell], 1 + (direction == "bidirectional")
    features, hidden, steps, batch = map(int, rng.integers(1, 9, 4))
    with_lengths, with_state, bias = map(bool, rng.random(3) < (0.5, 0.7, 0.7))
    states = cells.get(cell).states
    draft = Draft(features, "float32")
    draft.rng = rng
    given = {"x": rng.standard_normal((steps, batch, features))}
    if with_lengths:
        draft.takes("lengths", ("B",), onnx.TensorProto.INT32)
        given["lengths"] = rng.permutation([steps, *rng.integers(1, steps + 1, batch - 1)])
    for name in states if with_state else ():
        given[name] = rng.standard_normal((2 * sides, batch, hidden))
        taken = draft.takes(name, given[name].shape)
        parts = [f"initial_{name}_{k}" for k in range(2)]
        draft.nodes.append(onnx.helper.make_node("Split", [taken, draft.holds("sides", np.full(2, sides))], parts))
    x, width = "x", features
    for k in range(2):
        more = ["lengths" if with_lengths else "", *(f"initial_{name}_{k}" if with_state else "" for name in states)]
        more += [draft.holds(f"zeros{k}", np.zeros((sides, 3 * hidden), np.float32))] if cell == "lstm" else []
        options = {"activations": [*operator.activations] * sides, "direction": direction, **operator.attributes}
        y = draft.recur(operator.name, x, f"node{k}", width, hidden, bias, tuple(more), **options)
        x, width = draft.merge(y, f"between_{k}"), sides * hidden
    draft.gives(x)
    for name in states:
        draft.gives(f"node1_{name}")
    kinds = {"lengths": np.int32}
    return draft.model(), {name: value.astype(kinds.get(name, np.float32)) for name, value in given.items()}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("cell", OPERATORS)
def test_what_is_read_computes_what_onnx_runtime_does(cell: str, direction: str, seed: int) -> None:
    model, given = randomised(cell, direction, np.random.default_rng(seed))
    run = session(model)
    expected = dict(zip([each.name for each in run.get_outputs()], run.run(None, given), strict=True))
    ours = rnnbench.from_onnx(model, "reference")
    state = {name: given[name] for name in ours.cell.states if name in given}
    trace = ours.forward(given["x"], state or None, given.get("lengths"))
    last = {f"node1_{name}": value[len(value) // 2 :] for name, value in trace.state.items()}
    assert largest_error({"between_1": trace.h, **last}, expected) <= 1e-5


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
