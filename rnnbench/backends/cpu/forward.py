"""The forward time loop, written once for every cell: one call runs a thread's rows of the batch through all steps.

The names in the first block stand for one cell's functions and sizes when `specialise` compiles the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from rnnbench.backends.cpu.lanes import load, store
from rnnbench.backends.cpu.product import PACKED, Matrix, Tile, multiply

forward_element: Callable
operand_element: Callable
LANE: tuple[int, ...]
GATE: tuple[int, ...]
EARLY: tuple[int, ...]
LATE: tuple[int, ...]
HAS_LATE: bool
STATE: tuple[int, ...]
PREACTIVATION: tuple[int, ...]
SAVED: tuple[int, ...]
INPUT_TILE: Tile
EARLY_TILE: Tile
LATE_TILE: Tile
ONE = (0,)


class Sizes(NamedTuple):
    """The extents of one call: T steps of B sequences, I features, H units in Q blocks."""

    steps: int
    batch: int
    features: int
    hidden: int
    blocks: int


class ForwardArrays(NamedTuple):
    """Every array of the forward loop, flat; layout.py says how each lies."""

    x: Any
    lengths: Any
    weights_x: Any
    weights_early: Any
    weights_late: Any
    bias: Any
    states: Any
    saved: Any


def project_inputs(sizes, arrays, z, first_row, rows, first_step, steps):
    """z = bias + x W_xh for a chunk of steps; a whole batch is one product, else each step is one."""
    units = len(LANE)
    z_row = sizes.blocks * len(PREACTIVATION) * units
    for r in range(steps * rows):
        for j in range(0, z_row, units):
            store(z, r * z_row + j, 0, LANE, load(arrays.bias, j, 0, LANE, ONE))
    whole = rows == sizes.batch
    products, height = (1, steps * rows) if whole else (steps, rows)
    panel = len(GATE) * units
    for q in range(sizes.blocks):
        weights = Matrix(arrays.weights_x, q * panel * sizes.features, PACKED, sizes.features)
        for s in range(products):
            x_start = ((first_step + s) * sizes.batch + first_row) * sizes.features
            x = Matrix(arrays.x, x_start, sizes.features, 1)
            out = Matrix(z, s * rows * z_row + q * len(PREACTIVATION) * units, z_row, 1)
            multiply(x, weights, out, height, sizes.features, panel, INPUT_TILE)


def add_product(sizes, left, weights, z, z_start, rows, q, skipped, gates, tile):
    """Add left W to `gates` pre-activations of block q, the first `skipped` of the block left out."""
    units = len(LANE)
    z_row = sizes.blocks * len(PREACTIVATION) * units
    panel = gates * units
    matrix = Matrix(weights, q * panel * sizes.hidden, PACKED, sizes.hidden)
    out = Matrix(z, z_start + (q * len(PREACTIVATION) + skipped) * units, z_row, 1)
    multiply(left, matrix, out, rows, sizes.hidden, panel, tile)


def run_forward(sizes, arrays, z, operand, first_row, rows, chunk):
    """Run all steps for `rows` sequences from first_row on; z holds `chunk` steps of them, operand one."""
    units = len(LANE)
    padded = sizes.blocks * units
    z_block = len(PREACTIVATION) * units
    z_row = sizes.blocks * z_block
    state_stride = (sizes.steps + 1) * sizes.batch * padded
    separate = len(PREACTIVATION) - len(GATE)
    for t in range(sizes.steps):
        if t % chunk == 0:
            project_inputs(sizes, arrays, z, first_row, rows, t, min(chunk, sizes.steps - t))
        z_start = t % chunk * rows * z_row
        before = (t * sizes.batch + first_row) * padded
        after = before + sizes.batch * padded
        h = Matrix(arrays.states, before, padded, 1)
        if HAS_LATE:
            u = Matrix(operand, 0, padded, 1)
            for q in range(sizes.blocks):
                add_product(sizes, h, arrays.weights_early, z, z_start, rows, q, separate, len(EARLY), EARLY_TILE)
                for r in range(rows):
                    at = r * padded + q * units
                    values = load(z, z_start + r * z_row + q * z_block, units, LANE, PREACTIVATION)
                    state = load(arrays.states, before + at, state_stride, LANE, STATE)
                    store(operand, at, 0, LANE, (operand_element(values, state),))
        for q in range(sizes.blocks):
            if HAS_LATE:
                skipped = separate + len(EARLY)
                add_product(sizes, u, arrays.weights_late, z, z_start, rows, q, skipped, len(LATE), LATE_TILE)
            else:
                add_product(sizes, h, arrays.weights_early, z, z_start, rows, q, separate, len(EARLY), EARLY_TILE)
            for r in range(rows):
                row = first_row + r
                at = r * padded + q * units
                state = load(arrays.states, before + at, state_stride, LANE, STATE)
                if t < arrays.lengths[row]:
                    values = load(z, z_start + r * z_row + q * z_block, units, LANE, PREACTIVATION)
                    next_state, kept = forward_element(values, state)
                    saved_at = ((t * sizes.batch + row) * sizes.blocks + q) * len(SAVED) * units
                    store(arrays.saved, saved_at, units, LANE, kept)
                    store(arrays.states, after + at, state_stride, LANE, next_state)
                else:
                    store(arrays.states, after + at, state_stride, LANE, state)
