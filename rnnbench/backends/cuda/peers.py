"""PyTorch's recurrent layers on the same GPU, by the GPU's clock: cuDNN in float32, TF32 and float16.

They are timed as rnnbench's own are: see timing.py for what is written before each call.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from rnnbench.backends.cuda.passes import Sizes
from rnnbench.backends.cuda.timing import FILLINGS, WARM_S, warm_up

CLASSES = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def usable() -> bool:
    """Return whether PyTorch is here, and finds a GPU."""
    if find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def torch_seconds(
    cell: str, sizes: Sizes, precision: str, backward: bool, repeats: int, filler_bytes: int
) -> np.ndarray | None:
    """Return the seconds of each pass, forward or forward and backward; None where there is no PyTorch, or no layer.

    Forward is that of inference, which keeps nothing for backward. Errors of cuDNN are the caller's.
    """
    if cell not in CLASSES or not usable():
        return None
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    dtype = torch.float16 if precision == "fp16" else torch.float32
    layer = getattr(torch.nn, CLASSES[cell])(sizes.features, sizes.hidden).to("cuda", dtype)
    shape = sizes.steps, sizes.batch
    x = torch.randn(*shape, sizes.features, device="cuda", dtype=dtype, requires_grad=True)
    d_h = torch.randn(*shape, sizes.hidden, device="cuda", dtype=dtype)

    def forward() -> None:
        with torch.inference_mode():
            layer(x)

    def both() -> None:
        torch.autograd.grad(layer(x)[0], [x, *layer.parameters()], d_h)

    layer.train(backward)  # in training mode cuDNN keeps what backward needs, whatever autograd records
    try:
        return _seconds(torch, both if backward else forward, repeats, filler_bytes)
    finally:
        torch.cuda.empty_cache()  # which rnnbench's own arrays need next


def _seconds(torch: Any, call: Callable[[], None], repeats: int, filler_bytes: int) -> np.ndarray:
    warm_up(call, torch.cuda.synchronize, WARM_S)
    filler = torch.empty(filler_bytes, dtype=torch.uint8, device="cuda")
    found = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        for _ in range(FILLINGS):
            filler.zero_()
        start.record()
        call()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end) / 1e3)
    return np.array(found)
