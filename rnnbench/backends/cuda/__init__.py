"""The CUDA backend: whole sequences in one launch on a GPU, by Numba.

    toolkit        what is imported of numba-cuda, and what is missing     simulator    a GPU of Python threads
    plan           which way a layer runs, and why                         arrangement  sizes of blocks and threads
    elements       the cell's functions as device functions                product      the forward product
    forward        the persistent kernels                                  stepwise     kernels for what does not fit
    backward                                                               packing      W_hh in the order of blocks
    gemm           products around the loop                                layers       spans of steps, either way
    passes         a whole pass forward or backward                        training     whole steps of training
    pointwise      numbers between the layers of a network                 conclusion   loss, norm and clipping
    timing         the device's clock, and floors                          peers        PyTorch on the same GPU
    comparisons    layers and training beside the reference

Modules that make kernels are imported when a layer runs, and numba-cuda with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnnbench.backends.base import (
    Arrays,
    Backend,
    DeviceSeconds,
    Gradients,
    Trace,
    check_gradient_shapes,
    check_shapes,
    check_stored,
    without_padding,
)
from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.resident import Learning, Model, Resident
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError

if TYPE_CHECKING:
    from rnnbench.backends.cuda.passes import Pass

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


class Cuda(Backend):
    """Numba on an NVIDIA GPU in float32 or float64: one launch a sequence, weights kept on the chip where they fit."""

    name = "cuda"
    fast = False

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits
        """What plans reckon with in the place of the device's own limits, to see another way run."""

    def missing(self) -> str | None:
        """Return what keeps it from running here: a package, a driver or a GPU."""
        from rnnbench.backends.cuda import toolkit

        return toolkit.missing()

    def packages(self) -> tuple[str, ...]:
        """Return numba-cuda and the compilers that it comes with."""
        from rnnbench.backends.cuda.toolkit.packages import PACKAGES

        return PACKAGES

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an uninitialised NumPy array: numbers go to the device and come back with each call."""
        return np.empty(shape, dtype)

    def forward(
        self,
        cell: Cell,
        params: Arrays,
        x: np.ndarray,
        state: Arrays,
        lengths: np.ndarray | None,
        *,
        store: bool = True,
        checkpoint_every: int | None = None,
    ) -> Trace:
        """See Backend.forward; InputError where there is no GPU to run on, and what would help."""
        from rnnbench.backends.cuda import toolkit
        from rnnbench.backends.cuda.layers import Sizes, Weights, ordered_weights
        from rnnbench.backends.cuda.passes import Pass

        sizes = Sizes(*check_shapes(cell, params, x, state, lengths))
        dtype = checked_dtype(params)
        device = toolkit.device()
        x = np.ascontiguousarray(without_padding(x, lengths), dtype)
        weights = Weights(*map(device.upload, ordered_weights(cell, params)))
        counts = np.full(sizes.batch, sizes.steps) if lengths is None else lengths
        given = weights, device.upload(x), device.upload(counts.astype(np.int32))
        run = Pass(device, cell, dtype, sizes, *given, self.limits or device.limits, self.fast)
        run.start(min(checkpoint_every or sizes.steps, sizes.steps), store)
        run.start_from(state)
        run.forward()
        h = device.download(run.h).reshape(sizes.steps + 1, sizes.batch, -1)
        return Trace(
            h=without_padding(h[1:, :, : sizes.hidden], lengths),
            state=run.final(),
            cell=cell,
            params=params,
            x=x,
            lengths=lengths,
            tape={"pass": run} if store else {},
        )

    def backward(
        self,
        trace: Trace,
        d_h: np.ndarray,
        d_state: Arrays,
        *,
        state_sequence: bool = True,
        input_gradient: bool = True,
    ) -> Gradients:
        """See Backend.backward."""
        check_gradient_shapes(trace, d_h, d_state)
        check_stored(trace)
        run: Pass = trace.tape["pass"]
        arrays = run.start_backward(without_padding(d_h, trace.lengths), d_state, state_sequence)
        return run.gradients(arrays, run.backward(arrays, input_gradient))

    def synchronize(self) -> None:
        """Wait until everything asked for is computed, which is nothing where there is no GPU."""
        from rnnbench.backends.cuda import toolkit

        if not toolkit.missing():
            toolkit.device().synchronize()

    def device_seconds(
        self, cell: Cell, shape: tuple[int, int, int, int], dtype: np.dtype, backward: bool, repeats: int
    ) -> DeviceSeconds:
        """Return times by the GPU's events: see timing.py."""
        from rnnbench.backends.cuda import timing, toolkit
        from rnnbench.backends.cuda.passes import Sizes

        device, sizes = toolkit.device(), Sizes(*shape)
        problem = timing.Problem(device, cell, sizes, dtype, self.fast)
        seconds = problem.forward_backward(repeats) if backward else problem.forward(repeats)
        product, size = timing.product_seconds(device, dtype)
        floor = timing.floor_seconds(device, problem.plan, sizes, dtype.itemsize, backward)
        return DeviceSeconds(seconds, product, size, floor)

    def resident(self, model: Model, learning: Learning) -> Resident:
        """Return what trains a model on the device: see training.py."""
        from rnnbench.backends.cuda import toolkit
        from rnnbench.backends.cuda.training import DeviceTraining

        checked_dtype(model.params)
        device = toolkit.device()
        return DeviceTraining(device, model, learning, self.limits or device.limits, self.fast)

    def describe(self, cell: Cell, hidden_size: int, batch: int, dtype: np.dtype) -> str:
        """Say which way such a layer would run on this machine's GPU and why, or what is missing."""
        from rnnbench.backends.cuda import toolkit
        from rnnbench.backends.cuda.plan import plan_for

        if lacking := self.missing():
            return f"{self.name}: {lacking}"
        plan = plan_for(cell, hidden_size, batch, np.dtype(dtype), self.limits or toolkit.device().limits)
        return f"{self.name}: {cell.name} in {dtype}, {plan.path}: {plan.why}"


class CudaFast(Cuda):
    """As cuda, with float32's tanh and sigmoid by an approximate instruction: within 1e-3 where cuda is within 1e-6.

    The instruction, tanh.approx.f32, may be off by 2^-11 of its result. Over 20 steps that comes to less than 1e-3 of
    the largest number, forward and backward, and to 2e-3 in an LSTM without forget gate, where errors add up: what the
    simulator finds, which rounds that coarsely. It is no bound: where a network amplifies what differs, an error grows
    as any other does.
    """

    name = "cuda_fast"
    fast = True


def checked_dtype(params: Arrays) -> np.dtype:
    """Return the common dtype of the parameters, which must be one that the kernels are compiled for."""
    dtypes = {value.dtype for value in params.values()}
    if len(dtypes) != 1 or not dtypes <= set(DTYPES):
        found = ", ".join(sorted(map(str, dtypes)))
        raise InputError(f"parameters are {found}; the cuda backend takes all float32 or all float64")
    return dtypes.pop()
