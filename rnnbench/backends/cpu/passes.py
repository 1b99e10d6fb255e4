"""One pass through time: the arrays that the compiled loops take, made once, and their threads, started once a span.

A pass is called for spans of steps: one for all of them, or stretch by stretch between checkpoints.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from rnnbench.backends.base import Arrays, Gradients, Trace
from rnnbench.backends.cpu.arrays import aligned, flat, scratch
from rnnbench.backends.cpu.backward import BackwardArrays, BackwardScratch, TeamArrays
from rnnbench.backends.cpu.barrier import ABANDONED, new_counter
from rnnbench.backends.cpu.forward import ForwardArrays, ForwardScratch, Part, Sizes, Span
from rnnbench.backends.cpu.kernels import kernels
from rnnbench.backends.cpu.layout import Layout
from rnnbench.backends.cpu.target import target
from rnnbench.backends.cpu.teams import run_together, teams
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
        return np.full(sizes.batch, sizes.steps, np.int64)
    return flat(np.ascontiguousarray(lengths, np.int64))


def multiply_adds(sizes: Sizes, cell: Cell) -> int:
    """Return those of the products forward."""
    return sizes.steps * sizes.batch * sizes.hidden * (sizes.features + sizes.hidden) * len(cell.gates)


class ForwardPass:
    """Runs a layer forward, from the states in h and memory's first slot, writing h, memory and what is saved."""

    def __init__(
        self, layout: Layout, sizes: Sizes, params: Arrays, x: np.ndarray, lengths: np.ndarray | None, h: np.ndarray
    ) -> None:
        cell, dtype = layout.cell, layout.dtype
        self.layout, self.sizes = layout, sizes
        self.teams = teams(layout, sizes.batch, multiply_adds(sizes, cell))
        self.inputs = flat(x), step_counts(sizes, lengths), flat(params["W_xh"]), flat(params["W_hh"])
        separate = params[cell.separate_bias] if cell.separate else params["b_h"][:0]
        self.biases = flat(params["b_h"]), flat(separate)
        self.h = h.ravel()
        self.run = kernels(cell, dtype).run_forward

    def __call__(self, memory: np.ndarray, saved: np.ndarray, start: int, end: int) -> None:
        """Run the steps from `start` to before `end`."""
        layout, sizes = self.layout, self.sizes
        [operand] = scratch("operand", layout.dtype, sizes.batch * layout.padded if layout.late else 0)
        arrays = ForwardArrays(*self.inputs, *self.biases, self.h, memory.ravel(), saved, operand, new_counter())
        span = Span(start, end, chunk_steps(layout, end - start, self.teams[0][0].rows), memory.shape[1])
        runs = [partial(self._run_part, arrays, span, part) for team in self.teams for part in team]
        run_together(runs, give_up=lambda: arrays.counter.fill(ABANDONED))

    def _run_part(self, arrays: ForwardArrays, span: Span, part: Part) -> None:
        layout, sizes = self.layout, self.sizes
        units = (part.end_block - part.first_block) * layout.units
        width = units * layout.preactivations
        z_row = layout.row_stride(width)
        weights_x, early, late, bias, separate, z = scratch(
            "forward",
            layout.dtype,
            sizes.features * units * layout.gates,
            sizes.hidden * units * len(layout.early_gates),
            sizes.hidden * units * layout.late,
            units * layout.gates,
            units * len(layout.cell.separate),
            span.chunk * part.rows * z_row,
        )
        own = ForwardScratch(weights_x, early, late, bias, separate, z, z_row)
        self.run(sizes, arrays, own, part, span)


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
        d_x, sequence = aligned(
            dtype,
            values * sizes.features if input_gradient else 0,
            values * layout.padded * count if state_sequence else 0,
        )
        self.d_x = d_x.reshape(sizes.steps, sizes.batch, sizes.features) if input_gradient else None
        self.sequence = sequence.reshape(count, sizes.steps, sizes.batch, layout.padded) if state_sequence else None
        self.arrays = BackwardArrays(
            x=flat(trace.x),
            lengths=step_counts(sizes, trace.lengths),
            weights_x=flat(trace.params["W_xh"]),
            weights_h=flat(trace.params["W_hh"]),
            h=states[0].ravel(),
            memory=states[1].ravel(),
            saved=states[2],
            d_h=flat(layout.padded_units(d_h)),
            d_x=d_x,
            d_state_sequence=sequence,
        )
        self.shared = [self._team_arrays(k, team[0], d_state) for k, team in enumerate(self.teams)]
        self.run = kernels(cell, dtype).run_backward

    def __call__(self, span: Span) -> None:
        """Run the steps of a span backward."""
        for team in self.shared:
            team.counter.fill(0)
        pairs = zip(self.teams, self.shared, strict=True)
        runs = [partial(self._run_part, arrays, part, span) for team, arrays in pairs for part in team]
        run_together(runs, self._give_up)

    def _give_up(self) -> None:
        for team in self.shared:
            team.counter.fill(ABANDONED)

    def gradients(self, cell: Cell) -> Gradients:
        """Return what was found, once the first step has been reached."""
        hidden, padded = self.layout.hidden, self.layout.padded
        deltas = [team.d_state.reshape(len(cell.states), -1, padded) for team in self.shared]
        delta = np.concatenate(deltas, axis=1)
        sequence = self.sequence
        return Gradients(
            x=self.d_x,
            params=self._summed(),
            state={name: delta[k, :, :hidden] for k, name in enumerate(cell.states)},
            state_sequence=None
            if sequence is None
            else {name: sequence[k, :, :, :hidden] for k, name in enumerate(cell.states)},
        )

    def _team_arrays(self, index: int, part: Part, d_state: Arrays) -> TeamArrays:
        """Return one team's arrays: sums start from zero, d_state from the gradient by the final states."""
        layout, sizes = self.layout, self.sizes
        padded, hidden, late, rows = layout.padded, layout.hidden, layout.late, self.chunk * part.rows
        z_row, h_row, x_row = (layout.row_stride(n) for n in (layout.z_width, padded, sizes.features))
        chunks = scratch(
            f"team {index}",
            layout.dtype,
            rows * z_row,
            rows * h_row,
            rows * h_row if late else 0,
            part.rows * padded if late else 0,
            rows * x_row,
            rows * x_row if self.input_gradient else 0,
            len(layout.cell.states) * part.rows * padded,
        )
        d_z, previous, operand, d_operand, x, d_x, delta = chunks
        delta.fill(0)
        for k, name in enumerate(layout.cell.states):
            if name in d_state:
                own = d_state[name][part.first_row : part.first_row + part.rows]
                delta.reshape(-1, part.rows, padded)[k, :, :hidden] = own
        gates = layout.gates - late
        widths = sizes.features * layout.gates, hidden * gates, hidden * late, layout.preactivations
        of_x, of_early, of_late, of_bias = aligned(layout.dtype, *(width * padded for width in widths))
        for each in (of_x, of_early, of_late, of_bias):
            each.fill(0)
        chunks_and_rows = d_z, z_row, delta, previous, h_row, operand, d_operand, x, x_row, d_x, x_row
        return TeamArrays(*chunks_and_rows, of_x, of_early, of_late, of_bias, new_counter())

    def _run_part(self, team: TeamArrays, part: Part, span: Span) -> None:
        layout, dtype = self.layout, self.layout.dtype
        units = (part.end_block - part.first_block) * layout.units
        lanes = target(dtype).lanes
        vectors = -(-self.sizes.features // lanes) if self.input_gradient else 0
        first, end = (vectors * k // part.members * lanes for k in (part.member, part.member + 1))
        rows = self.chunk * part.rows if layout.z_width * dtype.itemsize >= PACKED_ROW_BYTES else 0
        weights_x, early, late, panels, group = scratch(
            "backward",
            dtype,
            layout.gates * layout.padded * (end - first),
            len(layout.early_gates) * layout.padded * units,
            layout.late * layout.padded * units,
            rows * layout.preactivations * units,
            rows * layout.group,
        )
        own = BackwardScratch(weights_x, early, late, panels, group, first, end)
        self.run(self.sizes, self.arrays, team, own, part, span)

    def _summed(self) -> Arrays:
        """Add up what the teams found, and put it in the order of the parameters."""
        layout, hidden = self.layout, self.layout.hidden
        cell, gates = layout.cell, layout.gates

        def total(name: str, rows: int) -> np.ndarray:
            first, *others = (getattr(team, name) for team in self.shared)
            for other in others:
                first += other
            return first.reshape(rows, -1, layout.padded)

        recurrent = total("d_weights_early", hidden)
        if layout.late:
            recurrent = np.concatenate([recurrent, total("d_weights_late", hidden)], axis=1)
        bias = total("d_bias", 1)
        gradients = {
            "W_xh": layout.from_planes(total("d_weights_x", self.sizes.features), cell.input_gates),
            "W_hh": layout.from_planes(recurrent, cell.recurrent_gates),
            "b_h": layout.from_planes(bias[:, :gates], cell.input_gates)[0],
        }
        if cell.separate:
            separate = tuple(range(len(cell.separate)))
            gradients[cell.separate_bias] = layout.from_planes(bias[:, gates:], separate)[0]
        return gradients
