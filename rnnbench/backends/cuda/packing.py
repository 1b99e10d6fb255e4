"""W_hh in the order in which blocks read it: arrangement.Forward.slab and arrangement.Backward.slab.

Its columns are those of the gates in the order of the recurrent pre-activations. One thread a packed number. Sizes are
arguments, so that one compilation serves every size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnbench.backends.cuda.arrangement import Backward, Forward

THREADS = 128
FORWARD_ARGUMENTS = (
    "weights: number[]", "packed: number[]", "count: int32", "hidden: int32", "units: int32",
    "quads: int32", "columns: int32", "size: int32",
)  # fmt: skip
BACKWARD_ARGUMENTS = (
    "weights: number[]", "packed: number[]", "count: int32", "hidden: int32", "units: int32",
    "padded: int32", "size: int32",
)  # fmt: skip


def forward_packing(tools: Any, dtype: np.dtype, quad: int) -> Any:
    """Return a kernel: packed[block][quad of H][gate][unit][number of the quad] from W_hh (H, G*H); 0 where none is."""
    cuda, index, zero, threads = tools.cuda, tools.index, dtype.type(0), THREADS

    def pack(weights, packed, count, hidden, units, quads, columns, size):
        at = cuda.blockIdx.x * threads + cuda.threadIdx.x
        if at < size:
            rest, i = at // quad, at % quad
            rest, column = rest // columns, rest % columns
            block, k = rest // quads, rest % quads * quad + i
            gate, unit = column // units, block * units + column % units
            value = zero
            if gate < count and unit < hidden and k < hidden:
                value = weights[index((k * count + gate) * hidden + unit)]
            packed[index(at)] = value

    return pack


def backward_packing(tools: Any, dtype: np.dtype) -> Any:
    """Return a kernel: packed[block][gate][unit][Hp] from W_hh (H, G*H); 0 where none is."""
    cuda, index, zero, threads = tools.cuda, tools.index, dtype.type(0), THREADS

    def pack(weights, packed, count, hidden, units, padded, size):
        at = cuda.blockIdx.x * threads + cuda.threadIdx.x
        if at < size:
            rest, k = at // padded, at % padded
            rest, column = rest // units, rest % units
            block, gate = rest // count, rest % count
            unit = block * units + column
            value = zero
            if unit < hidden and k < hidden:
                value = weights[index((k * count + gate) * hidden + unit)]
            packed[index(at)] = value

    return pack


def pack_forward(device: Any, kernel: Any, plan: Forward, weights: Any) -> Any:
    """Return W_hh packed for all blocks."""
    size = plan.blocks * plan.slab
    packed = device.empty(size, plan.dtype)
    sizes = plan.gates, plan.hidden, plan.units, plan.quads, plan.columns, size
    device.launch(kernel, (-(-size // THREADS), 1, 1), (weights, packed, *sizes))
    return packed


def pack_backward(device: Any, kernel: Any, plan: Backward, weights: Any) -> Any:
    """Return W_hh packed for all blocks."""
    size = plan.blocks * plan.slab
    packed = device.empty(size, plan.dtype)
    sizes = plan.gates, plan.hidden, plan.units, plan.padded, size
    device.launch(kernel, (-(-size // THREADS), 1, 1), (weights, packed, *sizes))
    return packed
