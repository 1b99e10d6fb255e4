"""Kernels of one thread a number, around the layers of a network in training.

gather     features (T*B, W) from a layer's h, zero past each sequence's end
scatter    dL/dh_t (T*B, H) from dL/d(features), zero past each sequence's end
turn       x (T*B, F) with the steps of each sequence in reverse order, padding where it was
update     weights by an optimizer's function, clipped as the step before said
"""

from __future__ import annotations

from typing import Any

import numpy as np

SHAPE = ("steps: int32", "batch: int32", "hidden: int32")
GATHER_ARGUMENTS = (
    "h: number[]", "features: number[]", "lengths: int32[]", *SHAPE, "padded: int32", "width: int32", "offset: int32",
    "turned: int32",
)  # fmt: skip
SCATTER_ARGUMENTS = (
    "d_features: number[]", "d_h: number[]", "lengths: int32[]", *SHAPE, "width: int32", "offset: int32",
    "turned: int32",
)  # fmt: skip
TURN_ARGUMENTS = (
    "source: number[]", "to: number[]", "lengths: int32[]", *SHAPE, "turned: int32", "adds: int32",
)  # fmt: skip
UPDATE_ARGUMENTS = (
    "weights: number[]", "gradient: number[]", "state: number[]", "constants: number[]", "control: float64[]",
    "first: int32", "size: int32", "clip_value: number",
)  # fmt: skip
HALTED, SCALE, CONTROLS = 0, 1, 2
"""What `control` says: whether a loss or gradient was not finite, and what the gradient is multiplied by."""


def threads_of(device: Any) -> int:
    """Return the threads a block of kernels that are about single numbers."""
    return 32 if device.simulated else 256


def _source(tools: Any) -> Any:
    """Return a device function (step, length, turned): the step that a step of the other order is."""

    def source(step, length, turned):
        return length - 1 - step if turned and step < length else step

    return tools.inline(source)


def gather_kernel(tools: Any, dtype: np.dtype, threads: int) -> Any:
    """Return the kernel; h is [1+T][B][Hp], and columns from `offset` on are written."""
    cuda, index, source, zero = tools.cuda, tools.index, _source(tools), dtype.type(0)

    def gather(h, features, lengths, steps, batch, hidden, padded, width, offset, turned):
        item = cuda.blockIdx.x * threads + cuda.threadIdx.x
        if item < steps * batch * hidden:
            place, unit = item // hidden, item % hidden
            step, row = place // batch, place % batch
            length = lengths[index(row)]
            value = zero
            if step < length:
                value = h[index(((source(step, length, turned) + 1) * batch + row) * padded + unit)]
            features[index(place * width + offset + unit)] = value

    return gather


def scatter_kernel(tools: Any, dtype: np.dtype, threads: int) -> Any:
    """Return the kernel; columns of dL/d(features) from `offset` on are read."""
    cuda, index, source, zero = tools.cuda, tools.index, _source(tools), dtype.type(0)

    def scatter(d_features, d_h, lengths, steps, batch, hidden, width, offset, turned):
        item = cuda.blockIdx.x * threads + cuda.threadIdx.x
        if item < steps * batch * hidden:
            place, unit = item // hidden, item % hidden
            step, row = place // batch, place % batch
            length = lengths[index(row)]
            value = zero
            if step < length:
                at = (source(step, length, turned) * batch + row) * width + offset + unit
                value = d_features[index(at)]
            d_h[index(item)] = value

    return scatter


def turn_kernel(tools: Any, dtype: np.dtype, threads: int) -> Any:
    """Return the kernel; it adds to what is there, or takes its place. `hidden` is any width."""
    cuda, index, other, zero = tools.cuda, tools.index, _source(tools), dtype.type(0)

    def turn(source, to, lengths, steps, batch, hidden, turned, adds):
        item = cuda.blockIdx.x * threads + cuda.threadIdx.x
        if item < steps * batch * hidden:
            place, unit = item // hidden, item % hidden
            step, row = place // batch, place % batch
            before = to[index(item)] if adds else zero
            at = (other(step, lengths[index(row)], turned) * batch + row) * hidden + unit
            to[index(item)] = before + source[index(at)]

    return turn


def update_kernel(tools: Any, dtype: np.dtype, threads: int, element: Any, clips: bool) -> Any:
    """Return the kernel: nothing is changed once `control` says that something was not finite."""
    cuda, index, number = tools.cuda, tools.index, tools.number_type(dtype)

    def update(weights, gradient, state, constants, control, first, size, clip_value):
        at = cuda.blockIdx.x * threads + cuda.threadIdx.x
        if at < size and control[HALTED] == 0:
            value = gradient[index(at)]
            if clips:
                value = min(max(value, -clip_value), clip_value)
            value *= number(control[SCALE])
            weights[index(at)] = element(weights[index(at)], value, state, at, size, constants, first)

    return update
