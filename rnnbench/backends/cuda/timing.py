"""Seconds on the device, by its own clock, and the least that they could be.

A layer's numbers are on the device before the clock starts, and stay there. Before each call more memory is written
than the second-level cache holds, so that none finds its inputs there from the call before; and for longer than the
host takes to ask for a pass, so that the device need not wait for it. Forward alone keeps nothing for backward.

The floor of the recurrence, forward:  T (max(arithmetic, weights, exchange) + meeting)

    arithmetic   2 G H^2 operations a sequence, of the multiprocessors that the plan uses
    weights      W_hh read once from their shared memory
    exchange     h of a group's sequences, read by each of its blocks from the second-level cache
    meeting      of the group's blocks, measured; none where one block holds W_hh

Backward takes the recurrent product once more. Products around the loop are left out: this is what T steps that wait
for each other cannot do without.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rnnbench.backends.cuda.arrangement import WARP, Arrangement
from rnnbench.backends.cuda.gemm import Matrix, products
from rnnbench.backends.cuda.layers import Sizes, Weights, ordered_weights
from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.passes import Pass
from rnnbench.backends.cuda.plan import L2_BYTES, MULTIPLY_ADDS, SHARED_BYTES, Plan
from rnnbench.backends.cuda.simulator import ARRIVAL_STRIDE
from rnnbench.cells.base import Cell

WARM_S = 0.3
"""That calls are repeated for, at least, before the first is timed: a GPU that was idle has a low clock at first."""
FILLER_BYTES, FILLINGS = 1 << 28, 4
"""Memory written before a timed call, at least, and how many times: some 0.4 ms on an H100."""
MEETINGS = 1000
MEETING_ARGUMENTS = ("arrivals: int32[]", "times: int32")


def filler_bytes(limits: Limits) -> int:
    """Return how much memory is written before a timed call."""
    return max(FILLER_BYTES, 2 * limits.l2_bytes)


def warm_up(call: Callable[[], object], synchronize: Callable[[], object], at_least_s: float) -> None:
    """Call twice, which compiles and loads all that is needed, and then for so many seconds by the host's clock."""
    for _ in range(2):
        call()
    synchronize()
    end = time.perf_counter() + at_least_s
    while time.perf_counter() < end:
        call()
        synchronize()


class Problem:
    """A layer with random numbers, on the device."""

    def __init__(self, device: Any, cell: Cell, sizes: Sizes, dtype: np.dtype, fast: bool = False) -> None:
        self.device, self.sizes = device, sizes
        rng = np.random.default_rng(0)

        def normal(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape).astype(dtype)

        shapes = cell.parameter_shapes(sizes.features, sizes.hidden)
        params = {name: normal(*shape) / dtype.type(np.sqrt(sizes.hidden)) for name, shape in shapes.items()}
        weights = Weights(*map(device.upload, ordered_weights(cell, params)))
        lengths = device.upload(np.full(sizes.batch, sizes.steps, np.int32))
        x, self.d_h = (normal(sizes.steps, sizes.batch, width) for width in (sizes.features, sizes.hidden))
        self.run = Pass(device, cell, dtype, sizes, weights, device.upload(x), lengths, device.limits, fast)
        self.plan = self.run.plan
        self.filler = device.empty(1 if device.simulated else filler_bytes(device.limits), np.dtype(np.uint8))

    def forward(self, repeats: int) -> np.ndarray:
        """Return the seconds of each of so many forward passes."""
        self.run.start(self.sizes.steps, store=False)
        return self._seconds(self.run.forward, repeats)

    def forward_backward(self, repeats: int) -> np.ndarray:
        """Return the seconds of each of so many passes forward and backward, with all gradients."""
        self.run.start(self.sizes.steps, store=True)
        arrays = self.run.start_backward(self.d_h, {}, state_sequence=False)

        def both() -> None:
            self.run.forward()
            self.run.backward(arrays, input_gradient=True)

        return self._seconds(both, repeats)

    def _seconds(self, call: Callable[[], None], repeats: int) -> np.ndarray:
        warm_up(call, self.device.synchronize, 0.0 if self.device.simulated else WARM_S)
        found = []
        for _ in range(repeats):
            for _ in range(FILLINGS):
                self.device.clear(self.filler)
            found.append(self.device.seconds(call))
        return np.array(found)


@cache
def product_seconds(device: Any, dtype: np.dtype) -> tuple[float, int]:
    """Return the median seconds of a large matrix product, and its size each way."""
    size = 8 if device.simulated else 4096
    a, b = (
        Matrix(device.upload(np.random.default_rng(k).random(size * size, dtype)), size, size, size) for k in (0, 1)
    )
    multiply, into = products(device, dtype).multiply, Matrix(device.empty(size * size, dtype), size, size, size)
    found = [device.seconds(lambda: multiply(a, b, into)) for _ in range(2 if device.simulated else 7)]
    return float(np.median(found[1:])), size


def meeting_kernel(tools: Any) -> Any:
    """Return a kernel of blocks that meet so many times, and do nothing else."""
    cuda, arrive, wait = tools.cuda, tools.arrive, tools.wait

    def meet(arrivals, times):  # type: ignore[no-untyped-def]
        cuda.cg.this_grid()
        thread = cuda.threadIdx.x
        target = 0
        for _ in range(times):
            target += cuda.gridDim.x
            arrive(arrivals, 0, thread)
            wait(arrivals, 0, thread, target)

    return meet


@cache
def meeting_seconds(device: Any, blocks: int) -> float:
    """Return what a meeting of so many blocks takes, which do nothing else."""
    if blocks == 1:
        return 0.0
    times = 2 if device.simulated else MEETINGS
    kernel = device.kernel(meeting_kernel(device), MEETING_ARGUMENTS, np.dtype(np.float32), WARP, "meet")
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
