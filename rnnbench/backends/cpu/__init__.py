"""The CPU backend: whole time loops compiled by Numba, the batch split over threads that never meet inside."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np

from rnnbench.backends.base import (
    Arrays,
    Backend,
    Gradients,
    Trace,
    check_gradient_shapes,
    check_shapes,
    without_padding,
)
from rnnbench.backends.cpu.backward import BackwardArrays, Workspace
from rnnbench.backends.cpu.forward import ForwardArrays, Sizes
from rnnbench.backends.cpu.kernels import kernels
from rnnbench.backends.cpu.layout import Layout
from rnnbench.backends.cpu.target import target, vector_bytes
from rnnbench.backends.threads import thread_count
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError

CHUNK_BYTES = 1 << 18
"""Pre-activations of one chunk of steps: small enough to stay in the second-level cache until they are used."""
MINIMUM_WORK = 1 << 20
"""Multiply-adds a thread must have before a second one pays for being woken."""
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


class Cpu(Backend):
    """Numba on the CPU in float32 or float64, vectorised, one thread per part of the batch."""

    name = "cpu"

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an uninitialised NumPy array."""
        return np.empty(shape, dtype)

    def forward(self, cell: Cell, params: Arrays, x: np.ndarray, state: Arrays, lengths: np.ndarray | None) -> Trace:
        """See Backend.forward."""
        steps, batch, features, hidden = check_shapes(cell, params, x, state, lengths)
        layout = Layout(cell, hidden, checked_dtype(params))
        x = np.ascontiguousarray(without_padding(x, lengths), layout.dtype)
        sizes = Sizes(steps, batch, features, hidden, layout.blocks)
        states = self.allocate((len(cell.states), steps + 1, batch, layout.padded), layout.dtype)
        states[:, 0, :, hidden:] = 0
        for k, name in enumerate(cell.states):
            states[k, 0, :, :hidden] = state[name]
        saved = self.allocate((steps, batch, layout.blocks, len(cell.saved), layout.units), layout.dtype)
        arrays = ForwardArrays(
            x=x.ravel(),
            lengths=step_counts(steps, batch, lengths),
            weights_x=layout.packed_by_block(params["W_xh"], cell.input_gates),
            weights_early=layout.packed_by_block(params["W_hh"], layout.early_gates),
            weights_late=layout.packed_by_block(params["W_hh"], layout.late_gates),
            bias=layout.bias_row(params),
            states=states.ravel(),
            saved=saved.ravel(),
        )
        run = kernels(cell, layout.dtype).run_forward

        def run_rows(first: int, rows: int) -> None:
            chunk = chunk_steps(layout, steps, rows)
            z = np.empty(chunk * rows * layout.z_width, layout.dtype)
            operand = np.empty(rows * layout.padded if layout.late else 0, layout.dtype)
            run(sizes, arrays, z, operand, first, rows, chunk)

        work = steps * batch * hidden * (features + hidden) * len(cell.gates)
        over_batch(run_rows, batch, work)
        return Trace(
            h=without_padding(states[0, 1:, :, :hidden], lengths),
            state={name: states[k, steps, :, :hidden].copy() for k, name in enumerate(cell.states)},
            cell=cell,
            params=params,
            x=x,
            lengths=lengths,
            tape={"states": states, "saved": saved, "layout": layout},
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
        cell, params, layout = trace.cell, trace.params, trace.tape["layout"]
        steps, batch, features = trace.x.shape
        hidden, padded, dtype = layout.hidden, layout.padded, layout.dtype
        sizes = Sizes(steps, batch, features, hidden, layout.blocks)
        lanes = target(dtype).lanes
        padded_features = -(-features // lanes) * lanes if input_gradient else 0
        d_x = np.zeros((steps, batch, padded_features), dtype)
        sequence = self.allocate(
            (len(cell.states), steps, batch, padded) if state_sequence else (0, steps, batch, padded), dtype
        )
        arrays = BackwardArrays(
            x=trace.x.ravel(),
            lengths=step_counts(steps, batch, trace.lengths),
            weights_x=layout.packed_transpose(params["W_xh"], cell.input_gates),
            weights_early=layout.packed_recurrent_transpose(params["W_hh"], layout.early_gates),
            weights_late=layout.packed_recurrent_transpose(params["W_hh"], layout.late_gates),
            states=trace.tape["states"].ravel(),
            saved=trace.tape["saved"].ravel(),
            d_h=layout.padded_units(d_h).ravel(),
            d_x=d_x.ravel(),
            d_state_sequence=sequence.ravel(),
        )
        delta = np.zeros((len(cell.states), batch, padded), dtype)
        for k, name in enumerate(cell.states):
            if name in d_state:
                delta[k, :, :hidden] = d_state[name]
        run = kernels(cell, dtype).run_backward
        parts: list[Workspace] = []

        def run_rows(first: int, rows: int) -> None:
            chunk = chunk_steps(layout, steps, rows)
            work = workspace(layout, features, rows, chunk, delta[:, first : first + rows])
            run(sizes, arrays, work, first, rows, chunk)
            delta[:, first : first + rows] = work.d_state.reshape(-1, rows, padded)
            parts.append(work)

        work = 2 * steps * batch * hidden * (features + hidden) * len(cell.gates)
        over_batch(run_rows, batch, work)
        return Gradients(
            x=d_x[:, :, :features] if input_gradient else None,
            params=summed_gradients(layout, features, parts),
            state={name: delta[k, :, :hidden].copy() for k, name in enumerate(cell.states)},
            state_sequence={name: sequence[k, :, :, :hidden] for k, name in enumerate(cell.states)}
            if state_sequence
            else None,
        )

    def describe(self, cell: Cell, hidden_size: int, batch: int, dtype: np.dtype) -> str:
        """Say which vectors, tile and threads such a layer would get."""
        layout = Layout(cell, hidden_size, np.dtype(dtype))
        tile = layout.block_tile(len(layout.early_gates))
        threads = min(batch, thread_count())
        return (
            f"cpu: {cell.name} in {dtype}, {8 * vector_bytes()}-bit vectors, tiles of {len(tile.row)} sequences x "
            f"{len(tile.vector)} vectors, {hidden_size} units padded to {layout.padded}, up to {threads} thread(s) "
            f"over {batch} sequence(s)"
        )


def checked_dtype(params: Arrays) -> np.dtype:
    """Return the common dtype of the parameters, which must be one that the kernels are compiled for."""
    dtypes = {value.dtype for value in params.values()}
    if len(dtypes) != 1 or not dtypes <= set(DTYPES):
        found = ", ".join(sorted(map(str, dtypes)))
        raise InputError(f"parameters are {found}; the cpu backend takes all float32 or all float64")
    return dtypes.pop()


def step_counts(steps: int, batch: int, lengths: np.ndarray | None) -> np.ndarray:
    """Return the steps of each sequence, int64 (B,)."""
    return np.full(batch, steps, np.int64) if lengths is None else np.ascontiguousarray(lengths, np.int64)


def chunk_steps(layout: Layout, steps: int, rows: int) -> int:
    """Return how many steps are projected at once."""
    return max(1, min(steps, CHUNK_BYTES // (rows * layout.z_width * layout.dtype.itemsize)))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="rnnbench")


if hasattr(os, "register_at_fork"):  # a forked process has the pool but none of its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def over_batch(run_rows: Callable[[int, int], None], batch: int, work: int) -> None:
    """Call run_rows(first row, rows) for parts of the batch, one a thread; compiled code releases the GIL."""
    threads = max(1, min(thread_count(), batch, work // MINIMUM_WORK))
    starts = [batch * k // threads for k in range(threads + 1)]
    parts = [(first, after - first) for first, after in pairwise(starts)]
    if threads == 1:
        run_rows(*parts[0])
        return
    others = [_pool(threads - 1).submit(run_rows, *part) for part in parts[1:]]
    run_rows(*parts[0])
    for other in others:
        other.result()


def workspace(layout: Layout, features: int, rows: int, chunk: int, delta: np.ndarray) -> Workspace:
    """Return one thread's arrays: sums start from zero, d_state from the gradient by the final states."""
    dtype, padded, hidden = layout.dtype, layout.padded, layout.hidden
    gates, late = len(layout.cell.gates), layout.late
    return Workspace(
        d_z=np.empty(chunk * rows * layout.z_width, dtype),
        d_state=np.ascontiguousarray(delta).ravel().copy(),
        operand=np.empty(chunk * rows * padded if late else 0, dtype),
        d_operand=np.empty(rows * padded if late else 0, dtype),
        d_weights_x=np.zeros(features * gates * padded, dtype),
        d_weights_early=np.zeros(hidden * (gates - late) * padded, dtype),
        d_weights_late=np.zeros(hidden * late * padded, dtype),
        d_bias=np.zeros(layout.z_width, dtype),
    )


def summed_gradients(layout: Layout, features: int, parts: list[Workspace]) -> Arrays:
    """Add up what the threads found, and put it in the order of the parameters."""
    cell, hidden, padded = layout.cell, layout.hidden, layout.padded
    gates = len(cell.gates)

    def total(name: str, rows: int) -> np.ndarray:
        return sum(getattr(part, name) for part in parts).reshape(rows, -1, padded)

    recurrent = np.concatenate([total("d_weights_early", hidden), total("d_weights_late", hidden)], axis=1)
    bias = total("d_bias", 1)
    gradients = {
        "W_xh": layout.from_planes(total("d_weights_x", features), cell.input_gates),
        "W_hh": layout.from_planes(recurrent, cell.recurrent_gates),
        "b_h": layout.from_planes(bias[:, :gates], cell.input_gates)[0],
    }
    if cell.separate:
        separate = tuple(range(len(cell.separate)))
        gradients[cell.separate_bias] = layout.from_planes(bias[:, gates:], separate)[0]
    return gradients
