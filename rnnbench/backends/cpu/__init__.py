"""The CPU backend: whole time loops compiled by Numba, on as many threads as pay."""

from __future__ import annotations

import math

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
from rnnbench.backends.cpu.arrays import aligned
from rnnbench.backends.cpu.forward import Sizes, Span
from rnnbench.backends.cpu.layout import Layout, layout_of
from rnnbench.backends.cpu.passes import BackwardPass, ForwardPass
from rnnbench.backends.cpu.target import vector_bytes
from rnnbench.backends.cpu.teams import Team
from rnnbench.backends.cpu.teams import teams as teams_of
from rnnbench.backends.memory import check_memory
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


class Cpu(Backend):
    """Numba on the CPU in float32 or float64, vectorised, threads sharing the batch or the units."""

    name = "cpu"

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an uninitialised NumPy array that starts at a cache line."""
        [flat] = aligned(np.dtype(dtype), math.prod(shape))
        return flat.reshape(shape)

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
        """See Backend.forward."""
        steps, batch, features, hidden = check_shapes(cell, params, x, state, lengths)
        layout = layout_of(cell, hidden, checked_dtype(params))
        sizes = Sizes(steps, batch, features, hidden, layout.blocks)
        x = np.ascontiguousarray(without_padding(x, lengths), layout.dtype)
        every = min(checkpoint_every or steps, steps)
        keep = store and every == steps
        check_memory(
            batch * layout.padded * layout.dtype.itemsize * kept_slots(layout, steps, every if store else 0),
            f"a {cell.name} with T={steps}, B={batch}, H={hidden}"
            + (" (backward's share is smaller with checkpoint_every)" if keep else ""),
        )
        tape = Tape(layout, sizes, keep)
        tape.start(state)
        run = ForwardPass(layout, sizes, params, x, lengths, tape.h)
        tape.teams = run.teams
        for start in range(0, steps, every):
            if store and every < steps:
                tape.checkpoint()
            run(tape.memory, tape.saved, start, min(start + every, steps))
            last = tape.memory[:, (min(start + every, steps) - start) % tape.memory.shape[1]]
            if start + every < steps:
                tape.memory[:, 0] = last
        finals = (tape.h[steps], *last)
        return Trace(
            h=without_padding(tape.h[1:, :, :hidden], lengths),
            state={name: final[:, :hidden].copy() for name, final in zip(cell.states, finals, strict=True)},
            cell=cell,
            params=params,
            x=x,
            lengths=lengths,
            tape={"tape": tape, "every": every} if store else {},
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
        steps, batch, features = trace.x.shape
        cell, hidden = trace.cell, trace.h.shape[2]
        tape, every = trace.tape["tape"], trace.tape["every"]
        layout = tape.layout
        sizes = Sizes(steps, batch, features, hidden, layout.blocks)
        memory, saved = tape.memory, tape.saved
        if tape.checkpoints:
            memory, saved = tape.stretch(every)
            again = ForwardPass(layout, sizes, trace.params, trace.x, trace.lengths, tape.h, tape.teams)
        run = BackwardPass(
            layout, sizes, trace, (tape.h, memory, saved), d_h, d_state, every, state_sequence, input_gradient
        )
        for start in reversed(range(0, steps, every)):
            end = min(start + every, steps)
            if tape.checkpoints:
                memory[:, 0] = tape.checkpoints[start // every]
                again(memory, saved, start, end)
            run(Span(start, end, run.chunk, memory.shape[1], int(state_sequence)))
        return run.gradients(cell)

    def describe(self, cell: Cell, hidden_size: int, batch: int, dtype: np.dtype) -> str:
        """Say which vectors, tile and threads a long sequence in such a layer would get."""
        layout = layout_of(cell, hidden_size, np.dtype(dtype))
        tile = layout.block_tile(len(layout.early_gates))
        [first, *others] = teams_of(layout, batch, 1 << 62)
        threads = len(first) * (1 + len(others))
        split = "units" if len(first) > 1 else "sequences"
        return (
            f"cpu: {cell.name} in {dtype}, {8 * vector_bytes()}-bit vectors, tiles of {len(tile.row)} sequences x "
            f"{len(tile.vector)} vectors, {hidden_size} units padded to {layout.padded}, up to {threads} thread(s) "
            f"sharing {batch} sequence(s)" + (f" by {split}" if threads > 1 else "")
        )


class Tape:
    """The states of a run through time, and what else backward needs; layout.py says how they lie."""

    def __init__(self, layout: Layout, sizes: Sizes, keep: bool) -> None:
        self.layout = layout
        self.shape = (sizes.batch, layout.padded)
        self.checkpoints: list[np.ndarray] = []
        self.teams: list[Team] = []
        rows, others = sizes.batch * layout.padded, len(layout.cell.states) - 1
        slots = sizes.steps + 1 if keep else 2
        values = sizes.steps * len(layout.cell.saved) if keep else 0
        h, memory, self.saved = aligned(layout.dtype, (sizes.steps + 1) * rows, others * slots * rows, values * rows)
        self.h = h.reshape(sizes.steps + 1, *self.shape)
        self.memory = memory.reshape(others, slots, *self.shape)

    def start(self, state: Arrays) -> None:
        """Set the states before the first step."""
        hidden = self.layout.hidden
        firsts = (self.h[0], *self.memory[:, 0])
        for name, first in zip(self.layout.cell.states, firsts, strict=True):
            first[:, :hidden] = state[name]
            if hidden < self.layout.padded:
                first[:, hidden:] = 0

    def checkpoint(self) -> None:
        """Keep the states that a stretch starts from; h is kept anyway."""
        self.checkpoints.append(self.memory[:, 0].copy())

    def stretch(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the memory and saved values of so many steps between two checkpoints, to be run again."""
        rows, others = math.prod(self.shape), len(self.layout.cell.states) - 1
        counts = others * (steps + 1) * rows, steps * len(self.layout.cell.saved) * rows
        memory, saved = aligned(self.layout.dtype, *counts)
        return memory.reshape(others, steps + 1, *self.shape), saved


def kept_slots(layout: Layout, steps: int, every: int) -> int:
    """Return how many (B, Hp) a run keeps: h, and what backward needs with checkpoints every so many steps (0: none).

    With checkpoints that is the other states at each, and everything else of one stretch between two, run again.
    """
    if every == 0:
        return steps + 1
    others = len(layout.cell.states) - 1
    stretch = (every + 1) * (layout.values - 1)
    return steps + 1 + stretch + (-(-steps // every) * others if every < steps else 0)


def checked_dtype(params: Arrays) -> np.dtype:
    """Return the common dtype of the parameters, which must be one that the kernels are compiled for."""
    dtypes = {value.dtype for value in params.values()}
    if len(dtypes) != 1 or not dtypes <= set(DTYPES):
        found = ", ".join(sorted(map(str, dtypes)))
        raise InputError(f"parameters are {found}; the cpu backend takes all float32 or all float64")
    return dtypes.pop()
