"""The CUDA backend: whole sequences in one launch on a GPU, by Numba.

    toolkit        what is imported of numba-cuda, and what is missing     simulator    a GPU of Python threads
    plan           which way a layer runs, and why                         arrangement  sizes of blocks and threads
    elements       the cell's functions as device functions                product      the forward product
    forward        the persistent kernels                                  stepwise     kernels for what does not fit
    backward                                                               packing      W_hh in the order of blocks
    gemm           products around the loop                                layers       spans of steps, either way
    passes         a whole pass forward or backward                        selftest     for a machine with a GPU
"""

from __future__ import annotations

import numpy as np

from rnnbench.backends.base import (
    Arrays,
    Backend,
    Gradients,
    Trace,
    check_gradient_shapes,
    check_shapes,
    check_stored,
    without_padding,
)
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


class Cuda(Backend):
    """Numba on an NVIDIA GPU in float32 or float64: one launch a sequence, weights kept on the chip where they fit."""

    name = "cuda"
    fast = False

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
        from rnnbench.backends.cuda import passes, toolkit

        sizes = passes.Sizes(*check_shapes(cell, params, x, state, lengths))
        dtype = checked_dtype(params)
        device = toolkit.device()
        x = np.ascontiguousarray(without_padding(x, lengths), dtype)
        every = min(checkpoint_every or sizes.steps, sizes.steps)
        run = passes.Pass(device, cell, dtype, sizes, params, x, lengths, self.fast)
        final = run.forward(state, every, store)
        hidden = sizes.hidden
        h = device.download(run.h).reshape(sizes.steps + 1, sizes.batch, -1)[:, :, :hidden]
        return Trace(
            h=without_padding(h[1:], lengths),
            state=final,
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
        d_h = without_padding(d_h, trace.lengths)
        return trace.tape["pass"].backward(d_h, d_state, state_sequence, input_gradient)

    def synchronize(self) -> None:
        """Wait until everything asked for is computed."""
        from rnnbench.backends.cuda import toolkit

        toolkit.device().synchronize()

    def describe(self, cell: Cell, hidden_size: int, batch: int, dtype: np.dtype) -> str:
        """Say which way such a layer would run on this machine's GPU and why, or what is missing."""
        from rnnbench.backends.cuda import toolkit
        from rnnbench.backends.cuda.plan import plan_for

        if lacking := toolkit.missing():
            return f"{self.name}: {lacking}"
        plan = plan_for(cell, hidden_size, batch, np.dtype(dtype), toolkit.device().limits)
        return f"{self.name}: {cell.name} in {dtype}, {plan.path}: {plan.why}"


class CudaFast(Cuda):
    """As cuda, with tanh and sigmoid by the GPU's approximate instruction: about 1e-3 off in float32."""

    name = "cuda_fast"
    fast = True


def checked_dtype(params: Arrays) -> np.dtype:
    """Return the common dtype of the parameters, which must be one that the kernels are compiled for."""
    dtypes = {value.dtype for value in params.values()}
    if len(dtypes) != 1 or not dtypes <= set(DTYPES):
        found = ", ".join(sorted(map(str, dtypes)))
        raise InputError(f"parameters are {found}; the cuda backend takes all float32 or all float64")
    return dtypes.pop()
