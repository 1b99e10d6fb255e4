"""Seconds on the device, by its own clock, and the least that they could be.

A layer's numbers are on the device before the clock starts, and stay there. Calls take turns over several sets of
inputs, together larger than the second-level cache, so that none finds its inputs there from the call before.

The floor of the recurrence, forward:  T (max(arithmetic, weights, exchange) + meeting)

    arithmetic   2 G H^2 operations a sequence, of the multiprocessors that the plan uses
    weights      W_hh read once from their shared memory
    exchange     h of a group's sequences, read by each of its blocks from the second-level cache
    meeting      of the group's blocks, measured; none where one block holds W_hh

Backward takes the recurrent product once more. Products around the loop are left out: this is what T steps that wait
for each other cannot do without.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rnnbench.backends.cuda.arrangement import WARP, Arrangement
from rnnbench.backends.cuda.gemm import Matrix, products
from rnnbench.backends.cuda.layers import BackwardArrays, Sizes, Weights, ordered_weights
from rnnbench.backends.cuda.passes import Pass
from rnnbench.backends.cuda.plan import L2_BYTES, MULTIPLY_ADDS, SHARED_BYTES, Plan
from rnnbench.backends.cuda.simulator import ARRIVAL_STRIDE
from rnnbench.cells.base import Cell

MOST_SETS = 8
"""Of inputs, however small they are."""
MEETINGS = 1000
MEETING_ARGUMENTS = ("arrivals: int32[]", "times: int32")


class Problem:
    """Passes with random numbers: one for each set of inputs, the same weights."""

    def __init__(self, device: Any, cell: Cell, sizes: Sizes, dtype: np.dtype, fast: bool = False) -> None:
        self.device, self.cell, self.sizes = device, cell, sizes
        rng = np.random.default_rng(0)

        def normal(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape).astype(dtype)

        shapes = cell.parameter_shapes(sizes.features, sizes.hidden)
        self.params = {name: normal(*shape) / dtype.type(np.sqrt(sizes.hidden)) for name, shape in shapes.items()}
        weights = Weights(*map(device.upload, ordered_weights(cell, self.params)))
        lengths = device.upload(np.full(sizes.batch, sizes.steps, np.int32))
        set_bytes = sizes.steps * sizes.batch * (sizes.features + sizes.hidden) * dtype.itemsize
        self.passes: list[Pass] = []
        self.gradients: list[BackwardArrays] = []
        for _ in range(max(2, min(MOST_SETS, -(-2 * device.limits.l2_bytes // set_bytes)))):
            x, d_h = (normal(sizes.steps, sizes.batch, width) for width in (sizes.features, sizes.hidden))
            run = Pass(device, cell, dtype, sizes, weights, device.upload(x), lengths, device.limits, fast)
            run.start(sizes.steps, store=True)
            self.passes.append(run)
            self.gradients.append(run.start_backward(d_h, {}, state_sequence=False))
        self.plan = run.plan

    def forward(self, repeats: int) -> np.ndarray:
        """Return the seconds of each of so many forward passes."""
        return self._seconds([run.forward for run in self.passes], repeats)

    def forward_backward(self, repeats: int) -> np.ndarray:
        """Return the seconds of each of so many passes forward and backward, with all gradients."""

        def both(run: Pass, arrays: BackwardArrays) -> Callable[[], None]:
            def call() -> None:
                run.forward()
                run.backward(arrays, input_gradient=True)

            return call

        calls = [both(run, arrays) for run, arrays in zip(self.passes, self.gradients, strict=True)]
        return self._seconds(calls, repeats)

    def _seconds(self, calls: list[Callable[[], None]], repeats: int) -> np.ndarray:
        for call in calls:  # compiles, and warms up
            call()
        self.device.synchronize()
        return np.array([self.device.seconds(calls[k % len(calls)]) for k in range(repeats)])


@cache
def product_seconds(device: Any, dtype: np.dtype) -> tuple[float, int]:
    """Return the median seconds of a large matrix product, and its size each way."""
    size = 8 if device.simulated else 4096
    a, b = (
        Matrix(device.upload(np.random.default_rng(k).random(size * size, dtype)), size, size, size) for k in (0, 1)
    )
    multiply = products(device, dtype).multiply
    found = [device.seconds(lambda: multiply(a, b)) for _ in range(2 if device.simulated else 7)]
    return float(np.median(found[1:])), size


@cache
def meeting_seconds(device: Any, blocks: int) -> float:
    """Return what a meeting of so many blocks takes, which do nothing else."""
    if blocks == 1:
        return 0.0
    cuda, arrive, wait = device.cuda, device.arrive, device.wait

    def meet(arrivals, times):  # type: ignore[no-untyped-def]
        cuda.cg.this_grid()
        thread = cuda.threadIdx.x
        target = 0
        for _ in range(times):
            target += cuda.gridDim.x
            arrive(arrivals, 0, thread)
            wait(arrivals, 0, thread, target)

    times = 2 if device.simulated else MEETINGS
    kernel = device.kernel(meet, MEETING_ARGUMENTS, np.dtype(np.float32), WARP, "meet")
    found = []
    for _ in range(5):
        arrivals = device.zeros(ARRIVAL_STRIDE, np.dtype(np.int32))
        call = (kernel, (blocks, 1, 1), (arrivals, times), 0, True)
        found.append(device.seconds(lambda call=call: device.launch(*call)) / times)
    return float(np.median(found[1:]))


def floor_seconds(device: Any, plan: Plan, sizes: Sizes, itemsize: int, backward: bool = False) -> float | None:
    """Return the floor of a plan's recurrence; None where it runs step by step."""
    if plan.forward is None or plan.backward is None:
        return None
    seconds = _step_floor(device, plan.forward, plan.groups, itemsize)
    if backward:
        seconds += _step_floor(device, plan.backward, plan.groups, itemsize)
    return sizes.steps * seconds


def _step_floor(device: Any, plan: Arrangement, groups: int, itemsize: int) -> float:
    turns = -(-groups // max(1, device.limits.multiprocessors // plan.blocks))
    a_block = plan.gates * plan.hidden**2 / plan.blocks
    arithmetic = a_block * plan.rows / MULTIPLY_ADDS * (itemsize / 4)
    weights = a_block * itemsize / SHARED_BYTES
    exchange = 0.0 if plan.alone else plan.rows * plan.hidden * itemsize / L2_BYTES
    meetings = (2 if plan.late else 1) * meeting_seconds(device, plan.blocks)
    return turns * max(arithmetic, weights, exchange) / device.clock_hz + meetings
