"""PyTorch's recurrent layers on the same GPU, by the GPU's clock: cuDNN in float32, TF32 and float16."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from rnnbench.backends.cuda.passes import Sizes

PRECISIONS = ("fp32", "tf32", "fp16")
CLASSES = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
SETS = 4
"""Of inputs, in turn."""


def usable() -> bool:
    """Return whether PyTorch is here, and finds a GPU."""
    if find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def torch_seconds(cell: str, sizes: Sizes, precision: str, repeats: int) -> dict[str, float] | None:
    """Return the median seconds of "forward" and "both" (forward and backward); None where there is no PyTorch.

    Forward keeps nothing for backward. Errors of cuDNN are the caller's.
    """
    if not usable():
        return None
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    dtype = torch.float16 if precision == "fp16" else torch.float32
    layer = getattr(torch.nn, CLASSES[cell])(sizes.features, sizes.hidden).to("cuda", dtype)
    shape = sizes.steps, sizes.batch, sizes.features
    inputs = [torch.randn(shape, device="cuda", dtype=dtype, requires_grad=True) for _ in range(SETS)]
    d_h = torch.randn(*shape[:2], sizes.hidden, device="cuda", dtype=dtype)

    def forward(x: Any) -> None:
        with torch.inference_mode():
            layer(x)

    def both(x: Any) -> None:
        torch.autograd.grad(layer(x)[0], [x, *layer.parameters()], d_h)

    return {
        name: _median_seconds(torch, call, inputs, repeats) for name, call in (("forward", forward), ("both", both))
    }


def _median_seconds(torch: Any, call: Callable[[Any], None], inputs: list[Any], repeats: int) -> float:
    for x in inputs:
        call(x)
    found = []
    for k in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call(inputs[k % len(inputs)])
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end) / 1e3)
    return float(np.median(found))
