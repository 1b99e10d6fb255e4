"""The forward time loop, written once for every cell: one call runs one thread's part of a layer through time.

A thread has some rows of the batch and some blocks of units. Threads that share rows are a team: they meet once a
step, when each has written its units of h. A thread with all blocks meets nobody.

The names in the first block stand for one cell's functions and sizes when `specialise` compiles the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from rnnbench.backends.cpu.barrier import meet
from rnnbench.backends.cpu.lanes import item, load, pointer, store
from rnnbench.backends.cpu.product import PACKED, Matrix, Tile

forward_element: Callable
operand_element: Callable
multiply_input: Callable
multiply_early: Callable
multiply_late: Callable
pack_blocks: Callable
LANE: tuple[int, ...]
GATE: tuple[int, ...]
INPUT_GATES: tuple[int, ...]
SEPARATE_GATES: tuple[int, ...]
HAS_SEPARATE: bool
EARLY_GATES: tuple[int, ...]
LATE_GATES: tuple[int, ...]
HAS_LATE: bool
MEMORY: tuple[int, ...]
PREACTIVATION: tuple[int, ...]
SAVED: tuple[int, ...]
INPUT_TILE: Tile
EARLY_TILE: Tile
LATE_TILE: Tile
SEPARATE_TILE: Tile
ONE = (0,)


class Sizes(NamedTuple):
    """The extents of one layer: T steps of B sequences, I features, H units in Q blocks."""

    steps: int
    batch: int
    features: int
    hidden: int
    blocks: int


class Part(NamedTuple):
    """What one thread does: rows of the batch, blocks of units, and how many share the rows."""

    first_row: int
    rows: int
    first_block: int
    end_block: int
    member: int
    members: int


class Span(NamedTuple):
    """The steps of one call, from `start` to before `end`, taken `chunk` at a time.

    slots   of other states in memory.
    keeps   1 where what the cell saves, or in backward the gradients by all states, are wanted, else 0.
    """

    start: int
    end: int
    chunk: int
    slots: int
    keeps: int


class ForwardArrays(NamedTuple):
    """Pointers to what threads share in the forward loop; layout.py says how each lies."""

    x: Any
    lengths: Any
    weights_x: Any
    weights_h: Any
    bias: Any
    separate_bias: Any
    h: Any
    memory: Any
    saved: Any
    operand: Any
    """(B, Hp), of cells with late gates."""
    counter: Any


class ForwardScratch(NamedTuple):
    """One thread's own memory: packed weights of its blocks, and z of a chunk of steps, rows z_row apart."""

    weights_x: Any
    weights_early: Any
    weights_late: Any
    bias: Any
    separate_bias: Any
    z: Any
    z_row: int


def project_inputs(sizes, arrays, scratch, part, first_step, steps):
    """z = bias + x W_xh for a chunk of steps; a whole batch is one product, else each step is one."""
    units = len(LANE)
    z_block = len(PREACTIVATION) * units
    blocks = part.end_block - part.first_block
    for r in range(steps * part.rows):
        for b in range(blocks):
            at = r * scratch.z_row + b * z_block
            store(scratch.z, at, units, LANE, load(scratch.bias, b * len(GATE) * units, units, LANE, GATE))
            if HAS_SEPARATE:
                rest = load(scratch.separate_bias, b * len(SEPARATE_GATES) * units, units, LANE, SEPARATE_GATES)
                store(scratch.z, at + len(GATE) * units, units, LANE, rest)
    whole = part.rows == sizes.batch
    products, height = (1, steps * part.rows) if whole else (steps, part.rows)
    panel = len(GATE) * units
    for q in range(blocks):
        weights = Matrix(scratch.weights_x, q * panel * sizes.features, PACKED, sizes.features)
        for s in range(products):
            x_start = ((first_step + s) * sizes.batch + part.first_row) * sizes.features
            x = Matrix(arrays.x, x_start, sizes.features, 1)
            out = Matrix(scratch.z, s * part.rows * scratch.z_row + q * z_block, scratch.z_row, 1)
            multiply_input(x, weights, out, height, sizes.features, panel)


def run_operands(sizes, arrays, scratch, part, span, t, z_start):
    """The early gates of all blocks, and what the late gates' product takes in the place of h."""
    units = len(LANE)
    padded = sizes.blocks * units
    z_block = len(PREACTIVATION) * units
    separate = (len(PREACTIVATION) - len(GATE)) * units
    panel = len(EARLY_GATES) * units
    before = (t * sizes.batch + part.first_row) * padded
    memory_stride = span.slots * sizes.batch * padded
    memory_before = ((t - span.start) % span.slots * sizes.batch + part.first_row) * padded
    h = Matrix(arrays.h, before, padded, 1)
    for b in range(part.end_block - part.first_block):
        weights = Matrix(scratch.weights_early, b * panel * sizes.hidden, PACKED, sizes.hidden)
        out = Matrix(scratch.z, z_start + b * z_block + separate, scratch.z_row, 1)
        multiply_early(h, weights, out, part.rows, sizes.hidden, panel)
        for r in range(part.rows):
            at = r * padded + (part.first_block + b) * units
            values = load(scratch.z, z_start + r * scratch.z_row + b * z_block, units, LANE, PREACTIVATION)
            state = load(arrays.h, before + at, 0, LANE, ONE) + load(
                arrays.memory, memory_before + at, memory_stride, LANE, MEMORY
            )
            store(arrays.operand, part.first_row * padded + at, 0, LANE, (operand_element(values, state),))


def run_units(sizes, arrays, scratch, part, span, t, z_start):
    """The recurrent product of each block, and its next states while its pre-activations are in cache."""
    units = len(LANE)
    padded = sizes.blocks * units
    z_block = len(PREACTIVATION) * units
    separate = (len(PREACTIVATION) - len(GATE)) * units
    before = (t * sizes.batch + part.first_row) * padded
    after = before + sizes.batch * padded
    memory_stride = span.slots * sizes.batch * padded
    memory_before = ((t - span.start) % span.slots * sizes.batch + part.first_row) * padded
    memory_after = ((t - span.start + 1) % span.slots * sizes.batch + part.first_row) * padded
    h = Matrix(arrays.h, before, padded, 1)
    u = Matrix(arrays.operand, part.first_row * padded, padded, 1)
    for b in range(part.end_block - part.first_block):
        q = part.first_block + b
        if HAS_LATE:
            panel = len(LATE_GATES) * units
            weights = Matrix(scratch.weights_late, b * panel * sizes.hidden, PACKED, sizes.hidden)
            skipped = separate + len(EARLY_GATES) * units
            out = Matrix(scratch.z, z_start + b * z_block + skipped, scratch.z_row, 1)
            multiply_late(u, weights, out, part.rows, sizes.hidden, panel)
        else:
            panel = len(EARLY_GATES) * units
            weights = Matrix(scratch.weights_early, b * panel * sizes.hidden, PACKED, sizes.hidden)
            out = Matrix(scratch.z, z_start + b * z_block + separate, scratch.z_row, 1)
            multiply_early(h, weights, out, part.rows, sizes.hidden, panel)
        for r in range(part.rows):
            row = part.first_row + r
            at = r * padded + q * units
            h_before = load(arrays.h, before + at, 0, LANE, ONE)
            state = h_before + load(arrays.memory, memory_before + at, memory_stride, LANE, MEMORY)
            if t < item(arrays.lengths, row):
                values = load(scratch.z, z_start + r * scratch.z_row + b * z_block, units, LANE, PREACTIVATION)
                next_state, kept = forward_element(values, state)
                if span.keeps:
                    saved_at = (((t - span.start) * sizes.batch + row) * sizes.blocks + q) * len(SAVED) * units
                    store(arrays.saved, saved_at, units, LANE, kept)
                store(arrays.h, after + at, 0, LANE, (next_state[0],))
                store(arrays.memory, memory_after + at, memory_stride, LANE, next_state[1:])
            else:
                store(arrays.h, after + at, 0, LANE, h_before)
                store(arrays.memory, memory_after + at, memory_stride, LANE, state[1:])


def pack_weights(sizes, arrays, scratch, part):
    """Pack the columns of all weights and biases that are this part's units."""
    hidden, stride, first, end = sizes.hidden, len(GATE) * sizes.hidden, part.first_block, part.end_block
    vectors = len(INPUT_TILE.vector)
    pack_blocks(arrays.weights_x, sizes.features, stride, hidden, INPUT_GATES, first, end, vectors, scratch.weights_x)
    pack_blocks(arrays.bias, len(ONE), stride, hidden, INPUT_GATES, first, end, vectors, scratch.bias)
    vectors = len(EARLY_TILE.vector)
    pack_blocks(arrays.weights_h, hidden, stride, hidden, EARLY_GATES, first, end, vectors, scratch.weights_early)
    if HAS_LATE:
        vectors = len(LATE_TILE.vector)
        pack_blocks(arrays.weights_h, hidden, stride, hidden, LATE_GATES, first, end, vectors, scratch.weights_late)
    if HAS_SEPARATE:
        vectors, stride = len(SEPARATE_TILE.vector), len(SEPARATE_GATES) * hidden
        pack_blocks(
            arrays.separate_bias, len(ONE), stride, hidden, SEPARATE_GATES, first, end, vectors, scratch.separate_bias
        )


def run_forward(sizes, part, span, arrays, counter, memory, starts, z_row):
    """Run the steps of `span` for one part; the states before them are in h and in the first slot of memory.

    sizes, part, span   the tuples above, plain
    arrays              the first fields of ForwardArrays up to `operand`, flat
    memory, starts      a thread's own memory, and where in it the fields of ForwardScratch start
    """
    x, lengths, weights_x, weights_h, bias, separate_bias, h, others, saved, operand = arrays
    sizes = Sizes(*sizes)
    arrays = ForwardArrays(
        pointer(x, 0), pointer(lengths, 0), pointer(weights_x, 0), pointer(weights_h, 0), pointer(bias, 0),
        pointer(separate_bias, 0), pointer(h, 0), pointer(others, 0), pointer(saved, 0), pointer(operand, 0),
        pointer(counter, 0),
    )  # fmt: skip
    scratch = ForwardScratch(
        pointer(memory, starts[0]), pointer(memory, starts[1]), pointer(memory, starts[2]),
        pointer(memory, starts[3]), pointer(memory, starts[4]), pointer(memory, starts[5]), z_row,
    )  # fmt: skip
    part = Part(*part)
    span = Span(*span)
    pack_weights(sizes, arrays, scratch, part)
    meetings = 0
    for t in range(span.start, span.end):
        chunk_step = (t - span.start) % span.chunk
        if chunk_step == 0:
            left = span.end - t
            project_inputs(sizes, arrays, scratch, part, t, span.chunk if span.chunk < left else left)
        z_start = chunk_step * part.rows * scratch.z_row
        if HAS_LATE:
            run_operands(sizes, arrays, scratch, part, span, t, z_start)
            if part.members > 1:
                meetings += 1
                meet(arrays.counter, meetings * part.members)
        run_units(sizes, arrays, scratch, part, span, t, z_start)
        if part.members > 1:
            meetings += 1
            meet(arrays.counter, meetings * part.members)
