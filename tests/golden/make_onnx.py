"""Make the golden file of ONNX: graphs that PyTorch's exporters write, and what PyTorch itself computes.

    python tests/golden/make_onnx.py

torch.onnx.export writes a network by tracing (dynamo=False) and by torch.export (dynamo=True, which unrolls nn.RNN),
with axes of free size and of fixed ones. The file onnx.npz holds, as CASE_WRITER/model, the graph's bytes without its
comments, and as CASE_WRITER/x, state_h, state_c and h the inputs, time-major, and the outputs. Made with PyTorch 2.13,
onnxscript 0.7 and onnx 1.23.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "onnx.npz"
STEPS, BATCH, INPUTS, HIDDEN = 7, 3, 2, 4
CASES: dict[str, tuple[str, dict[str, Any], bool, bool]] = {
    "rnn": ("RNN", {"nonlinearity": "tanh"}, False, True),
    "rnn_relu": ("RNN", {"nonlinearity": "relu", "num_layers": 2, "bidirectional": True}, False, False),
    "lstm": ("LSTM", {"num_layers": 2, "bidirectional": True}, False, True),
    "lstm_given_state": ("LSTM", {"num_layers": 2}, True, False),
    "gru": ("GRU", {"num_layers": 3, "batch_first": True}, False, True),
    "gru_given_state": ("GRU", {"bidirectional": True, "batch_first": True}, True, False),
}
"""PyTorch's module, its options, whether initial states are inputs, whether the sizes of axes are free."""
WRITERS = {"traced": False, "exported": True}
NAMES = [(case, writer) for case in CASES for writer in WRITERS if (CASES[case][0], writer) != ("RNN", "exported")]


def make(case: str, writer: str) -> dict[str, np.ndarray]:
    """Return the arrays of one case."""
    import torch

    kind, options, with_state, free = CASES[case]
    torch.manual_seed(0)
    module = getattr(torch.nn, kind)(INPUTS, HIDDEN, **options).eval()
    batch_first = bool(options.get("batch_first"))
    x = torch.randn((BATCH, STEPS, INPUTS) if batch_first else (STEPS, BATCH, INPUTS))
    rows = module.num_layers * (2 if module.bidirectional else 1)
    states = [torch.randn(rows, BATCH, HIDDEN) for _ in range(2 if kind == "LSTM" else 1)] if with_state else []
    given = [] if not states else [tuple(states)] if len(states) > 1 else states
    with torch.no_grad():
        h = module(x, *given)[0]
    model = written(module, (x, *given), WRITERS[writer], free, batch_first)
    arrays = {"model": np.frombuffer(model, np.uint8), "x": x.numpy(), "h": h.numpy()}
    if batch_first:
        arrays |= {name: arrays[name].swapaxes(0, 1) for name in ("x", "h")}
    return arrays | {f"state_{name}": state.numpy() for name, state in zip("hc", states, strict=False)}


def written(module: Any, arguments: tuple, dynamo: bool, free: bool, batch_first: bool) -> bytes:
    """Return the bytes of the graph that torch.onnx.export writes."""
    import torch

    axes = {1 if batch_first else 0: "steps", 0 if batch_first else 1: "batch"}
    options: dict[str, Any] = {"input_names": ["x"]}
    if free and dynamo:
        options["dynamic_shapes"] = ({axis: torch.export.Dim(name, min=2) for axis, name in axes.items()},)
    elif free:
        options["dynamic_axes"] = {"x": axes}
    file = io.BytesIO()
    torch.onnx.export(module, arguments, file, dynamo=dynamo, **options)
    return without_comments(file.getvalue())


def without_comments(model: bytes) -> bytes:
    """Return a model without what it tells of the machine and the code that wrote it."""
    import onnx

    proto = onnx.load_from_string(model)
    proto.ClearField("metadata_props")
    graph = proto.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return proto.SerializeToString()


def main() -> None:
    """Write the file."""
    arrays = {f"{case}_{writer}/{name}": value for case, writer in NAMES for name, value in make(case, writer).items()}
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    main()
