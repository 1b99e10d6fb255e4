"""One pass through time: the arrays that the compiled loops take, made once, and their threads, started once a span.

A pass is called for spans of steps: one for all of them, or stretch by stretch between checkpoints.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from rnnbench.backends.base import Arrays, Gradients, Trace
from rnnbench.backends.cpu.arrays import aligned, cut, flat, scratch
from rnnbench.backends.cpu.backward import TeamRows
from rnnbench.backends.cpu.barrier import ABANDONED, new_counter
from rnnbench.backends.cpu.forward import Part, Sizes, Span
from rnnbench.backends.cpu.gang import run_together
from rnnbench.backends.cpu.kernels import kernels
from rnnbench.backends.cpu.layout import Layout
from rnnbench.backends.cpu.target import target
from rnnbench.backends.cpu.teams import Team, teams
from rnnbench.backends.memory import check_memory
from rnnbench.cells.base import Cell

CHUNK_BYTES = 1 << 18
"""Of the pre-activations of one chunk of steps: small enough to stay in the second-level cache until they are used."""
CHUNK_ROWS = 192
"""Rows a chunk has at least, so that its products read and write the weights seldom enough."""
PACKED_ROW_BYTES = 1 << 11
"""Of a row of d_z from which on the products of a chunk are packed."""


def chunk_steps(layout: Layout, steps: int, rows: int) -> int:
    """Return how many steps are projected, and their gradients added up, at once."""
    row_bytes = layout.z_width * layout.dtype.itemsize
    return max(1, min(steps, max(CHUNK_ROWS, CHUNK_BYTES // row_bytes) // rows))


def step_counts(sizes: Sizes, lengths: np.ndarray | None) -> np.ndarray:
    """Return the steps of each sequence, int64 (B,)."""
    if lengths is None:
        return equal_counts(sizes.batch, sizes.steps)
    return flat(np.ascontiguousarray(lengths, np.int64))


@lru_cache(maxsize=8)
def equal_counts(batch: int, steps: int) -> np.ndarray:
    """Return the steps of sequences that all have as many; kernels only read them."""
    return np.full(batch, steps, np.int64)


def multiply_adds(sizes: Sizes, cell: Cell) -> int:
    """Return those of the products forward."""
    return sizes.steps * sizes.batch * sizes.hidden * (sizes.features + sizes.hidden) * len(cell.gates)


class ForwardPass:
    """Runs a layer forward, from the states in h and memory's first slot, writing h, memory and what is saved."""

    def __init__(
        self,
        layout: Layout,
        sizes: Sizes,
        params: Arrays,
        x: np.ndarray,
        lengths: np.ndarray | None,
        h: np.ndarray,
        shared_by: list[Team] | None = None,
    ) -> None:
        cell, dtype = layout.cell, layout.dtype
        self.layout, self.sizes = layout, sizes
        self.teams = shared_by or teams(layout, sizes.batch, multiply_adds(sizes, cell))
        separate = params[cell.separate_bias] if cell.separate else params["b_h"][:0]
        weights = flat(params["W_xh"]), flat(params["W_hh"]), flat(params["b_h"]), flat(separate)
        self.inputs = flat(x), step_counts(sizes, lengths), *weights, h.ravel()
        self.run = kernels(cell, dtype).run_forward

    def __call__(self, memory: np.ndarray, saved: np.ndarray, start: int, end: int) -> None:
        """Run the steps from `start` to before `end`."""
        layout, sizes = self.layout, self.sizes
        chunk = chunk_steps(layout, end - start, self.teams[0][0].rows)
        span = Span(start, end, chunk, memory.shape[1], int(saved.size > 0))
        operand = scratch("operand", layout.dtype, sizes.batch * layout.padded if layout.late else 0)
        arrays, counter = (*self.inputs, memory.ravel(), saved, operand), new_counter()
        runs = [partial(self._run_part, arrays, counter, span, part) for team in self.teams for part in team]
        run_together(runs, give_up=lambda: counter.fill(ABANDONED))

    def _run_part(self, arrays: tuple, counter: np.ndarray, span: Span, part: Part) -> None:
        size, starts, z_row = forward_scratch(self.layout, self.sizes, span.chunk, part)
        memory = scratch("forward", self.layout.dtype, size)
        self.run(tuple(self.sizes), tuple(part), tuple(span), arrays, counter, memory, starts, z_row)


@lru_cache
def forward_scratch(layout: Layout, sizes: Sizes, chunk: int, part: Part) -> tuple[int, tuple[int, ...], int]:
    """Return the size of a thread's memory, where the fields of ForwardScratch start in it, and z_row."""
    units = (part.end_block - part.first_block) * layout.units
    z_row = layout.row_stride(units * layout.preactivations)
    size, starts = cut(
        layout.dtype,
        sizes.features * units * layout.gates,
        sizes.hidden * units * len(layout.early_gates),
        sizes.hidden * units * layout.late,
        units * layout.gates,
        units * len(layout.cell.separate),
        chunk * part.rows * z_row,
    )
    return size, starts, z_row


class Shared(NamedTuple):
    """What one team of backward shares: its memory and where things start there, sums of gradients, a counter."""

    memory: tuple[np.ndarray, tuple[int, ...]]
    rows: tuple[int, ...]
    d_state: np.ndarray
    sums: tuple[np.ndarray, ...]
    """(I, G, Hp) of W_xh, (H, G, Hp) of W_hh's early gates and of its late ones, (P, Hp) of biases; all flat."""
    counter: np.ndarray


class BackwardPass:
    """Runs a layer backward, span by span from the last to the first, adding up gradients."""

    def __init__(
        self,
        layout: Layout,
        sizes: Sizes,
        trace: Trace,
        states: tuple[np.ndarray, np.ndarray, np.ndarray],
        d_h: np.ndarray,
        d_state: Arrays,
        longest: int,
        state_sequence: bool,
        input_gradient: bool,
    ) -> None:
        cell, dtype = layout.cell, layout.dtype
        count = len(cell.states)
        self.layout, self.sizes, self.input_gradient = layout, sizes, input_gradient
        self.teams = teams(layout, sizes.batch, 2 * multiply_adds(sizes, cell))
        self.chunk = chunk_steps(layout, longest, max(team[0].rows for team in self.teams))
        values = sizes.steps * sizes.batch
        inputs = values * sizes.features if input_gradient else 0
        sequences = values * layout.padded * count if state_sequence else 0
        check_memory(
            (inputs + sequences) * dtype.itemsize,
            f"backward through a {cell.name} with T={sizes.steps}, B={sizes.batch}, H={sizes.hidden}"
            + (" (less with state_sequence=False)" if state_sequence else ""),
        )
        d_x, sequence = aligned(dtype, inputs, sequences)
        self.d_x = d_x.reshape(sizes.steps, sizes.batch, sizes.features) if input_gradient else None
        self.sequence = sequence.reshape(count, sizes.steps, sizes.batch, layout.padded) if state_sequence else None
        self.arrays = (
            flat(trace.x),
            step_counts(sizes, trace.lengths),
            flat(trace.params["W_xh"]),
            flat(trace.params["W_hh"]),
            states[0].ravel(),
            states[1].ravel(),
            states[2],
            flat(np.ascontiguousarray(d_h, dtype)),
            d_x,
            sequence,
        )
        self.shared = [self._shared(k, team[0], d_state) for k, team in enumerate(self.teams)]
        self.run = kernels(cell, dtype).run_backward

    def __call__(self, span: Span) -> None:
        """Run the steps of a span backward."""
        for team in self.shared:
            team.counter.fill(0)
        pairs = zip(self.teams, self.shared, strict=True)
        runs = [partial(self._run_part, shared, part, span) for team, shared in pairs for part in team]
        run_together(runs, self._give_up)

    def _give_up(self) -> None:
        for team in self.shared:
            team.counter.fill(ABANDONED)

    def gradients(self, cell: Cell) -> Gradients:
        """Return what was found, once the first step has been reached."""
        hidden = self.layout.hidden
        delta = np.concatenate([team.d_state for team in self.shared], axis=1)
        sequence = self.sequence
        return Gradients(
            x=self.d_x,
            params=self._summed(),
            state={name: delta[k, :, :hidden] for k, name in enumerate(cell.states)},
            state_sequence=None
            if sequence is None
            else {name: sequence[k, :, :, :hidden] for k, name in enumerate(cell.states)},
        )

    def _shared(self, index: int, part: Part, d_state: Arrays) -> Shared:
        """Return what a team shares: sums start from zero, d_state from the gradient by the final states."""
        layout, dtype = self.layout, self.layout.dtype
        size, starts, rows = team_scratch(layout, self.sizes, self.chunk, part.rows, self.input_gradient)
        memory = scratch(f"team {index}", dtype, size)
        shape = len(layout.cell.states), part.rows, layout.padded
        delta = memory[starts[-1] :][: math.prod(shape)].reshape(shape)
        delta.fill(0)
        for k, name in enumerate(layout.cell.states):
            if name in d_state:
                delta[k, :, : layout.hidden] = d_state[name][part.first_row : part.first_row + part.rows]
        gates, hidden = layout.gates - layout.late, layout.hidden
        widths = self.sizes.features * layout.gates, hidden * gates, hidden * layout.late, layout.preactivations
        sums = tuple(aligned(dtype, *(width * layout.padded for width in widths)))
        for each in sums:
            each.fill(0)
        return Shared((memory, starts), tuple(rows), delta, sums, new_counter())

    def _run_part(self, shared: Shared, part: Part, span: Span) -> None:
        layout, sizes = self.layout, self.sizes
        packs = layout.z_width * layout.dtype.itemsize >= PACKED_ROW_BYTES
        size, starts, features = backward_scratch(layout, sizes, self.chunk, part, self.input_gradient, packs)
        own = scratch("backward", layout.dtype, size), starts
        plain = tuple(sizes), tuple(part), tuple(span)
        self.run(
            *plain, self.arrays, shared.sums, shared.memory, shared.rows, shared.counter, own, int(packs), features
        )

    def _summed(self) -> Arrays:
        """Add up what the teams found, and put it in the order of the parameters."""
        layout, hidden = self.layout, self.layout.hidden
        cell, gates = layout.cell, layout.gates

        def total(which: int, rows: int) -> np.ndarray:
            first, *others = (team.sums[which] for team in self.shared)
            for other in others:
                first += other
            return first.reshape(rows, -1, layout.padded)

        recurrent = total(1, hidden)
        if layout.late:
            recurrent = np.concatenate([recurrent, total(2, hidden)], axis=1)
        bias = total(3, 1)
        gradients = {
            "W_xh": layout.from_planes(total(0, self.sizes.features), cell.input_gates),
            "W_hh": layout.from_planes(recurrent, cell.recurrent_gates),
            "b_h": layout.from_planes(bias[:, :gates], cell.input_gates)[0],
        }
        if cell.separate:
            separate = tuple(range(len(cell.separate)))
            gradients[cell.separate_bias] = layout.from_planes(bias[:, gates:], separate)[0]
        return gradients


@lru_cache
def team_scratch(
    layout: Layout, sizes: Sizes, chunk: int, batch: int, input_gradient: bool
) -> tuple[int, tuple[int, ...], TeamRows]:
    """Return the size of a team's memory, where the first fields of TeamArrays start in it, and its rows."""
    padded, rows = layout.padded, chunk * batch
    row = TeamRows(*(layout.row_stride(n) for n in (layout.z_width, padded, sizes.features)))
    size, starts = cut(
        layout.dtype,
        rows * row.z,
        rows * row.h,
        rows * row.h if layout.late else 0,
        batch * padded if layout.late else 0,
        rows * row.x,
        rows * row.x if input_gradient else 0,
        len(layout.cell.states) * batch * padded,
    )
    return size, starts, row


@lru_cache
def backward_scratch(
    layout: Layout, sizes: Sizes, chunk: int, part: Part, input_gradient: bool, packs: bool
) -> tuple[int, tuple[int, ...], tuple[int, int]]:
    """Return the size of a thread's memory, where the fields of BackwardScratch start in it, and Features."""
    units = (part.end_block - part.first_block) * layout.units
    lanes = target(layout.dtype).lanes
    vectors = -(-sizes.features // lanes) if input_gradient else 0
    first, end = (vectors * k // part.members * lanes for k in (part.member, part.member + 1))
    rows = chunk * part.rows if packs else 0
    size, starts = cut(
        layout.dtype,
        layout.gates * layout.padded * (end - first),
        len(layout.early_gates) * layout.padded * units,
        layout.late * layout.padded * units,
        rows * layout.preactivations * units,
        rows * layout.group,
    )
    return size, starts, (first, end)
