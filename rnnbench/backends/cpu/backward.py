"""Backpropagation through time, written once for every cell: one call takes a thread's rows from the last step to
the first, and adds up the weights' gradients a chunk of steps at a time, while the chunk is in cache.

The names in the first block stand for one cell's functions and sizes when `specialise` compiles the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from rnnbench.backends.cpu.lanes import add, load, store
from rnnbench.backends.cpu.product import PACKED, Matrix, Tile, multiply

backward_element: Callable
operand_backward_element: Callable
LANE: tuple[int, ...]
GATE: tuple[int, ...]
EARLY: tuple[int, ...]
LATE: tuple[int, ...]
HAS_LATE: bool
STATE: tuple[int, ...]
PREACTIVATION: tuple[int, ...]
SAVED: tuple[int, ...]
PLANE_TILE: Tile
ONE = (0,)


class BackwardArrays(NamedTuple):
    """Every array of the backward loop that threads share, flat; layout.py says how each lies."""

    x: Any
    lengths: Any
    weights_x: Any
    """W_xh transposed, (G*Hp, I padded) in panels."""
    weights_early: Any
    weights_late: Any
    states: Any
    saved: Any
    d_h: Any
    d_x: Any
    """(T, B, I padded), or empty if not wanted."""
    d_state_sequence: Any
    """(S, T, B, Hp), or empty if not wanted."""


class Workspace(NamedTuple):
    """One thread's own arrays, flat."""

    d_z: Any
    """(chunk, rows, P, Hp)."""
    d_state: Any
    """(S, rows, Hp): what flows to the step before; at the start, the gradient by the final states."""
    operand: Any
    """(chunk, rows, Hp), of cells with late gates."""
    d_operand: Any
    """(rows, Hp), of cells with late gates."""
    d_weights_x: Any
    """(I, G, Hp), summed over the thread's rows and all steps; so are the next three."""
    d_weights_early: Any
    d_weights_late: Any
    d_bias: Any


def step_elements(sizes, arrays, work, t, d_z_start, first_row, rows):
    """d_z of one step, and what reaches the step before by all paths but the matrix products."""
    units = len(LANE)
    padded = sizes.blocks * units
    state_stride = (sizes.steps + 1) * sizes.batch * padded
    sequence_stride = sizes.steps * sizes.batch * padded
    for r in range(rows):
        row = first_row + r
        runs = t < arrays.lengths[row]
        for q in range(sizes.blocks):
            at = r * padded + q * units
            here = (t * sizes.batch + row) * padded + q * units
            d_z_at = d_z_start + r * len(PREACTIVATION) * padded + q * units
            if runs:
                add(work.d_state, at, 0, LANE, load(arrays.d_h, here, 0, LANE, ONE))
            d_state = load(work.d_state, at, rows * padded, LANE, STATE)
            if arrays.d_state_sequence.size:
                store(arrays.d_state_sequence, here, sequence_stride, LANE, d_state)
            if runs:
                state = load(arrays.states, here + sizes.batch * padded, state_stride, LANE, STATE)
                previous = load(arrays.states, here, state_stride, LANE, STATE)
                saved_at = ((t * sizes.batch + row) * sizes.blocks + q) * len(SAVED) * units
                saved = load(arrays.saved, saved_at, units, LANE, SAVED)
                d_z, d_previous = backward_element(d_state, state, previous, saved)
                store(work.d_z, d_z_at, padded, LANE, d_z)
                store(work.d_state, at, rows * padded, LANE, d_previous)
            else:
                for p in range(len(PREACTIVATION)):
                    store(work.d_z, d_z_at + p * padded, 0, LANE, (0.0,))


def clear_padding(sizes, work, d_z_start, rows):
    """Zero d_z of the units that only fill the last block, whatever the cell made of them."""
    padded = sizes.blocks * len(LANE)
    for plane in range(rows * len(PREACTIVATION)):
        for unit in range(sizes.hidden, padded):
            work.d_z[d_z_start + plane * padded + unit] = 0


def late_products(sizes, arrays, work, t, chunk_step, d_z_start, first_row, rows):
    """Through the late gates' product to the operand, and from there to the early gates and the states."""
    units = len(LANE)
    padded = sizes.blocks * units
    d_z_row = len(PREACTIVATION) * padded
    state_stride = (sizes.steps + 1) * sizes.batch * padded
    late_start = d_z_start + (len(PREACTIVATION) - len(LATE)) * padded
    for j in range(0, rows * padded, units):
        store(work.d_operand, j, 0, LANE, (0.0,))
    depth = len(LATE) * padded
    multiply(
        Matrix(work.d_z, late_start, d_z_row, 1),
        Matrix(arrays.weights_late, 0, PACKED, depth),
        Matrix(work.d_operand, 0, padded, 1),
        rows, depth, padded, PLANE_TILE,
    )  # fmt: skip
    for r in range(rows):
        row = first_row + r
        for q in range(sizes.blocks):
            at = r * padded + q * units
            operand_at = chunk_step * rows * padded + at
            if t < arrays.lengths[row]:
                d_z_at = d_z_start + r * d_z_row + q * units
                d_operand = load(work.d_operand, at, 0, LANE, ONE)
                previous = load(arrays.states, (t * sizes.batch + row) * padded + q * units, state_stride, LANE, STATE)
                saved_at = ((t * sizes.batch + row) * sizes.blocks + q) * len(SAVED) * units
                saved = load(arrays.saved, saved_at, units, LANE, SAVED)
                operand, d_z, d_state = operand_backward_element(d_operand[0], previous, saved)
                store(work.operand, operand_at, 0, LANE, (operand,))
                add(work.d_z, d_z_at, padded, LANE, d_z)
                add(work.d_state, at, rows * padded, LANE, d_state)
            else:
                store(work.operand, operand_at, 0, LANE, (0.0,))


def add_weight_gradients(sizes, arrays, work, first_step, steps, first_row, rows):
    """Add a chunk's x^T d_z, h^T d_z and column sums of d_z; write its dL/dx. A whole batch is one product."""
    units = len(LANE)
    padded = sizes.blocks * units
    d_z_row = len(PREACTIVATION) * padded
    gates = len(GATE) * padded
    early, late = len(EARLY) * padded, len(LATE) * padded
    separate = (len(PREACTIVATION) - len(GATE)) * padded
    whole = rows == sizes.batch
    products, height = (1, steps * rows) if whole else (steps, rows)
    d_x_row = arrays.d_x.size // (sizes.steps * sizes.batch)
    for s in range(products):
        d_z_start = s * rows * d_z_row
        first = (first_step + s) * sizes.batch + first_row
        d_z = Matrix(work.d_z, d_z_start, d_z_row, 1)
        d_z_early = Matrix(work.d_z, d_z_start + separate, d_z_row, 1)
        x_transposed = Matrix(arrays.x, first * sizes.features, 1, sizes.features)
        h_transposed = Matrix(arrays.states, first * padded, 1, padded)
        multiply(
            x_transposed,
            d_z,
            Matrix(work.d_weights_x, 0, gates, 1),
            sizes.features,
            height,
            gates,
            PLANE_TILE,
        )
        multiply(
            h_transposed,
            d_z_early,
            Matrix(work.d_weights_early, 0, early, 1),
            sizes.hidden,
            height,
            early,
            PLANE_TILE,
        )
        if HAS_LATE:
            d_z_late = Matrix(work.d_z, d_z_start + separate + early, d_z_row, 1)
            u_transposed = Matrix(work.operand, s * rows * padded, 1, padded)
            d_late = Matrix(work.d_weights_late, 0, late, 1)
            multiply(u_transposed, d_z_late, d_late, sizes.hidden, height, late, PLANE_TILE)
        if d_x_row:
            weights = Matrix(arrays.weights_x, 0, PACKED, gates)
            d_x = Matrix(arrays.d_x, first * d_x_row, d_x_row, 1)
            multiply(d_z, weights, d_x, height, gates, d_x_row, PLANE_TILE)
    for r in range(steps * rows):
        for j in range(0, d_z_row, units):
            d_z_here = load(work.d_z, r * d_z_row + j, 0, LANE, ONE)
            add(work.d_bias, j, 0, LANE, d_z_here)


def run_backward(sizes, arrays, work, first_row, rows, chunk):
    """Run all steps backward for `rows` sequences from first_row on, `chunk` steps at a time."""
    padded = sizes.blocks * len(LANE)
    d_z_row = len(PREACTIVATION) * padded
    separate = (len(PREACTIVATION) - len(GATE)) * padded
    depth = len(EARLY) * padded
    weights = Matrix(arrays.weights_early, 0, PACKED, depth)
    for t in range(sizes.steps - 1, -1, -1):
        chunk_step = t % chunk
        d_z_start = chunk_step * rows * d_z_row
        step_elements(sizes, arrays, work, t, d_z_start, first_row, rows)
        clear_padding(sizes, work, d_z_start, rows)
        if HAS_LATE:
            late_products(sizes, arrays, work, t, chunk_step, d_z_start, first_row, rows)
            clear_padding(sizes, work, d_z_start, rows)
        d_z_early = Matrix(work.d_z, d_z_start + separate, d_z_row, 1)
        d_h = Matrix(work.d_state, 0, padded, 1)
        multiply(d_z_early, weights, d_h, rows, depth, padded, PLANE_TILE)
        if chunk_step == 0:
            steps = min(chunk, sizes.steps - t)
            add_weight_gradients(sizes, arrays, work, t, steps, first_row, rows)
