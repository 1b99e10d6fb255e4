"""Backpropagation through time, written once for every cell: one call takes one thread's part from the last step to
the first, and adds up the weights' gradients a chunk of steps at a time, while the chunk is in cache.

Threads are parts as in forward.py: a team meets once a step, when each has written its units of d_z. Steps lie in a
chunk in the order they are taken, the last one first, and every sum over steps is taken in that order: gradients
are the same to the last bit however the steps are cut into chunks and calls.

The names in the first block stand for one cell's functions and sizes when `specialise` compiles the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from rnnbench.backends.cpu.barrier import meet
from rnnbench.backends.cpu.forward import Part, Sizes, Span
from rnnbench.backends.cpu.lanes import add, clear, copy, item, load, load_part, pointer, store
from rnnbench.backends.cpu.product import PACKED, Matrix

backward_element: Callable
operand_backward_element: Callable
multiply_step: Callable
multiply_chunk: Callable
pack_transpose: Callable
pack_panels: Callable
LANE: tuple[int, ...]
GATE: tuple[int, ...]
INPUT_GATES: tuple[int, ...]
EARLY_GATES: tuple[int, ...]
LATE_GATES: tuple[int, ...]
HAS_LATE: bool
GROUP: int
MEMORY: tuple[int, ...]
STATE: tuple[int, ...]
PREACTIVATION: tuple[int, ...]
SAVED: tuple[int, ...]
ONE = (0,)


class BackwardArrays(NamedTuple):
    """Pointers to what all threads share in the backward loop; layout.py says how each lies."""

    x: Any
    lengths: Any
    weights_x: Any
    weights_h: Any
    h: Any
    memory: Any
    saved: Any
    d_h: Any
    d_x: Any
    """(T, B, I), or empty if not wanted."""
    d_state_sequence: Any
    """(S, T, B, Hp), or empty if not wanted."""


class TeamRows(NamedTuple):
    """How far apart rows of a team's arrays are: of d_z, of what h has the width of, of x and its gradient."""

    z: int
    h: int
    x: int


class TeamArrays(NamedTuple):
    """Pointers to what threads share that share rows; each thread writes its own units."""

    d_z: Any
    """(chunk, rows, P, Hp)."""
    previous: Any
    """(chunk, rows, Hp): h before each step."""
    operand: Any
    """As `previous`, of cells with late gates."""
    d_operand: Any
    """(rows, Hp), of cells with late gates."""
    x: Any
    """(chunk, rows, I)."""
    d_x: Any
    """(chunk, rows, I): whole vectors."""
    d_state: Any
    """(S, rows, Hp): what flows to the step before; at the start, the gradient by the final states."""
    d_weights_x: Any
    """(I, G, Hp), summed over the team's rows and all steps; so are the next three."""
    d_weights_early: Any
    d_weights_late: Any
    d_bias: Any
    counter: Any
    row: TeamRows


class Features(NamedTuple):
    """The features whose gradient one thread writes: whole vectors, from `first` to before `end`; maybe none."""

    first: int
    end: int


class BackwardScratch(NamedTuple):
    """One thread's own memory: packed weights, transposed, so that the columns are its units, and its features."""

    weights_x: Any
    weights_early: Any
    weights_late: Any
    panels: Any
    """(P, units, chunk) of d_z packed, of wide layers."""
    group: Any
    """(chunk, GROUP) of what d_z is multiplied by, packed alike."""
    packs: int
    """1 in wide layers, else 0."""
    features: Features


def run_elements(sizes, arrays, team, part, span, t, first):
    """d_z of one step, and what reaches the step before by all paths but the matrix products.

    `first` is the chunk's row where this step starts.
    """
    units = len(LANE)
    padded = sizes.blocks * units
    memory_stride = span.slots * sizes.batch * padded
    sequence_stride = sizes.steps * sizes.batch * padded
    for r in range(part.rows):
        row = part.first_row + r
        runs = t < item(arrays.lengths, row)
        for q in range(part.first_block, part.end_block):
            at = r * padded + q * units
            here = (t * sizes.batch + row) * padded + q * units
            in_span = ((t - span.start) * sizes.batch + row) * padded + q * units
            d_z_at = (first + r) * team.row.z + q * units
            if runs:
                unit = q * units
                outside = (t * sizes.batch + row) * sizes.hidden + unit
                add(team.d_state, at, 0, LANE, load_part(arrays.d_h, outside, 0, LANE, ONE, sizes.hidden - unit, 1))
            d_state = load(team.d_state, at, part.rows * padded, LANE, STATE)
            if span.keeps:
                store(arrays.d_state_sequence, here, sequence_stride, LANE, d_state)
            h_before = load(arrays.h, here, 0, LANE, ONE)
            store(team.previous, (first + r) * team.row.h + q * units, 0, LANE, h_before)
            if runs:
                previous = h_before + load(arrays.memory, in_span, memory_stride, LANE, MEMORY)
                after = sizes.batch * padded
                state = load(arrays.h, here + after, 0, LANE, ONE) + load(
                    arrays.memory, in_span + after, memory_stride, LANE, MEMORY
                )
                saved_at = (((t - span.start) * sizes.batch + row) * sizes.blocks + q) * len(SAVED) * units
                saved = load(arrays.saved, saved_at, units, LANE, SAVED)
                d_z, d_previous = backward_element(d_state, state, previous, saved)
                store(team.d_z, d_z_at, padded, LANE, d_z)
                store(team.d_state, at, part.rows * padded, LANE, d_previous)
            else:
                for p in range(len(PREACTIVATION)):
                    store(team.d_z, d_z_at + p * padded, 0, LANE, (0.0,))


def clear_padding(sizes, team, part, first):
    """Zero d_z of the units that only fill the last block, whatever the cell made of them."""
    units = len(LANE)
    padded = sizes.blocks * units
    if part.end_block * units <= sizes.hidden:
        return
    for r in range(part.rows):
        for p in range(len(PREACTIVATION)):
            at = (first + r) * team.row.z + p * padded
            clear(team.d_z, at + sizes.hidden, part.end_block * units - sizes.hidden)


def run_late(sizes, arrays, team, scratch, part, span, t, first):
    """Through the late gates' product to the operand, and from there to the early gates and the states."""
    units = len(LANE)
    padded = sizes.blocks * units
    memory_stride = span.slots * sizes.batch * padded
    first_unit = part.first_block * units
    late = (len(PREACTIVATION) - len(LATE_GATES)) * padded
    for r in range(part.rows):
        for j in range(first_unit, part.end_block * units, units):
            store(team.d_operand, r * padded + j, 0, LANE, (0.0,))
    depth = len(LATE_GATES) * padded
    d_z_late = Matrix(team.d_z, first * team.row.z + late, team.row.z, 1)
    weights = Matrix(scratch.weights_late, 0, PACKED, depth)
    out = Matrix(team.d_operand, first_unit, padded, 1)
    multiply_step(d_z_late, weights, out, part.rows, depth, part.end_block * units - first_unit)
    for r in range(part.rows):
        row = part.first_row + r
        for q in range(part.first_block, part.end_block):
            at = r * padded + q * units
            operand_at = (first + r) * team.row.h + q * units
            if t < item(arrays.lengths, row):
                d_operand = load(team.d_operand, at, 0, LANE, ONE)
                in_span = ((t - span.start) * sizes.batch + row) * padded + q * units
                previous = load(arrays.h, (t * sizes.batch + row) * padded + q * units, 0, LANE, ONE) + load(
                    arrays.memory, in_span, memory_stride, LANE, MEMORY
                )
                saved_at = (((t - span.start) * sizes.batch + row) * sizes.blocks + q) * len(SAVED) * units
                saved = load(arrays.saved, saved_at, units, LANE, SAVED)
                operand, d_z, d_state = operand_backward_element(d_operand[0], previous, saved)
                store(team.operand, operand_at, 0, LANE, (operand,))
                add(team.d_z, (first + r) * team.row.z + q * units, padded, LANE, d_z)
                add(team.d_state, at, part.rows * padded, LANE, d_state)
            else:
                store(team.operand, operand_at, 0, LANE, (0.0,))


def gather_inputs(sizes, arrays, team, part, t, first):
    """Copy one step's inputs beside its d_z; every member copies the features that fall to it."""
    begin = sizes.features * part.member // part.members
    count = sizes.features * (part.member + 1) // part.members - begin
    for r in range(part.rows):
        source = (t * sizes.batch + part.first_row + r) * sizes.features
        copy(team.x, (first + r) * team.row.x + begin, arrays.x, source + begin, count)


def factor(k, sizes, team):
    """Which weights' gradient product k of a chunk adds to: its left side, that one's row and columns, the first and
    the number of d_z's planes that it takes, and the sum."""
    separate = len(PREACTIVATION) - len(GATE)
    left, row, columns, total = team.x, team.row.x, sizes.features, team.d_weights_x
    plane, planes = 0, len(GATE)
    if k > 0:
        left, row, columns, total = team.previous, team.row.h, sizes.hidden, team.d_weights_early
        plane, planes = separate, len(EARLY_GATES)
    if k > 1:
        left, total = team.operand, team.d_weights_late
        plane, planes = separate + len(EARLY_GATES), len(LATE_GATES)
    return left, row, columns, plane, planes, total


def add_weight_gradients(sizes, team, scratch, part, rows):
    """Add a chunk's x^T d_z and h^T d_z, of so many rows, in the units of this part.

    Wide rows of d_z are packed first, and with them the left sides, some columns at a time: a column of plain rows
    lies on as many pages as it has numbers, more than the processor can keep in mind.
    """
    padded = sizes.blocks * len(LANE)
    first_unit = part.first_block * len(LANE)
    width = part.end_block * len(LANE) - first_unit
    if scratch.packs:
        for p in range(len(PREACTIVATION)):
            start, column = p * width * rows, p * padded + first_unit
            pack_panels(team.d_z, team.row.z, rows, column, column + width, scratch.panels, start)
    for k in range(3 if HAS_LATE else 2):
        left, row, columns, plane, planes, total = factor(k, sizes, team)
        alone = part.members == 1 and not scratch.packs
        products, out_width = (1, planes * padded) if alone else (planes, width)
        height = GROUP if scratch.packs else columns
        for first in range(0, columns, height):
            some = height if first + height <= columns else columns - first
            a, a_column = left, row
            b, b_row, b_column, b_plane, b_start = team.d_z, team.row.z, 1, padded, plane * padded + first_unit
            if scratch.packs:
                for r in range(rows):
                    copy(scratch.group, r * GROUP, left, r * row + first, some)
                a, a_column = scratch.group, GROUP
                b, b_row, b_column, b_plane, b_start = scratch.panels, PACKED, rows, width * rows, plane * width * rows
            for p in range(products):
                d_z = Matrix(b, b_start + p * b_plane, b_row, b_column)
                out = Matrix(total, (first * planes + p) * padded + first_unit, planes * padded, 1)
                multiply_chunk(Matrix(a, 0, 1, a_column), d_z, out, some, rows, out_width)


def add_bias_gradients(sizes, team, part, rows):
    """Add a chunk's column sums of d_z."""
    units = len(LANE)
    padded = sizes.blocks * units
    for r in range(rows):
        for p in range(len(PREACTIVATION)):
            for q in range(part.first_block, part.end_block):
                at = p * padded + q * units
                add(team.d_bias, at, 0, LANE, load(team.d_z, r * team.row.z + at, 0, LANE, ONE))


def write_input_gradient(sizes, arrays, team, scratch, part, first_step, rows):
    """Write dL/dx = d_z W_xh^T of a chunk, for the features of this part; the chunk's last row is of first_step."""
    width = scratch.features.end - scratch.features.first
    if width == 0:
        return
    for r in range(rows):
        clear(team.d_x, r * team.row.x + scratch.features.first, width)
    depth = len(GATE) * sizes.blocks * len(LANE)
    d_z = Matrix(team.d_z, 0, team.row.z, 1)
    weights = Matrix(scratch.weights_x, 0, PACKED, depth)
    out = Matrix(team.d_x, scratch.features.first, team.row.x, 1)
    multiply_chunk(d_z, weights, out, rows, depth, width)
    steps = rows // part.rows
    begin = scratch.features.first
    count = width if scratch.features.end <= sizes.features else sizes.features - begin
    for s in range(steps):
        for r in range(part.rows):
            source = (s * part.rows + r) * team.row.x
            target = ((first_step + steps - 1 - s) * sizes.batch + part.first_row + r) * sizes.features
            copy(arrays.d_x, target + begin, team.d_x, source + begin, count)


def pack_weights(sizes, arrays, scratch, part):
    """Pack the transposes of all weights, by this part's units and features."""
    hidden, stride, padded = sizes.hidden, len(GATE) * sizes.hidden, sizes.blocks * len(LANE)
    first, end = part.first_block * len(LANE), part.end_block * len(LANE)
    pack_transpose(arrays.weights_h, hidden, stride, hidden, padded, EARLY_GATES, first, end, scratch.weights_early)
    if HAS_LATE:
        pack_transpose(arrays.weights_h, hidden, stride, hidden, padded, LATE_GATES, first, end, scratch.weights_late)
    first, end = scratch.features
    pack_transpose(arrays.weights_x, sizes.features, stride, hidden, padded, INPUT_GATES, first, end, scratch.weights_x)


def run_backward(sizes, part, span, arrays, sums, team, rows, counter, own, packs, features):
    """Run the steps of `span` backward for one part.

    sizes, part, span   the tuples of forward.py, plain
    arrays              the fields of BackwardArrays, flat
    sums                d_weights_x, d_weights_early, d_weights_late and d_bias of the team, flat
    team, own           each (memory, where in it the first fields of TeamArrays or of BackwardScratch start)
    rows, features      TeamRows and Features, plain
    """
    x, lengths, weights_x, weights_h, h, others, saved, d_h, d_x, d_state_sequence = arrays
    d_weights_x, d_weights_early, d_weights_late, d_bias = sums
    shared, at = team
    mine, start = own
    sizes = Sizes(*sizes)
    arrays = BackwardArrays(
        pointer(x, 0), pointer(lengths, 0), pointer(weights_x, 0), pointer(weights_h, 0), pointer(h, 0),
        pointer(others, 0), pointer(saved, 0), pointer(d_h, 0), pointer(d_x, 0), pointer(d_state_sequence, 0),
    )  # fmt: skip
    team = TeamArrays(
        pointer(shared, at[0]), pointer(shared, at[1]), pointer(shared, at[2]), pointer(shared, at[3]),
        pointer(shared, at[4]), pointer(shared, at[5]), pointer(shared, at[6]), pointer(d_weights_x, 0),
        pointer(d_weights_early, 0), pointer(d_weights_late, 0), pointer(d_bias, 0), pointer(counter, 0),
        TeamRows(*rows),
    )  # fmt: skip
    scratch = BackwardScratch(
        pointer(mine, start[0]), pointer(mine, start[1]), pointer(mine, start[2]), pointer(mine, start[3]),
        pointer(mine, start[4]), packs, Features(*features),
    )  # fmt: skip
    part = Part(*part)
    span = Span(*span)
    units = len(LANE)
    padded = sizes.blocks * units
    first_unit, end_unit = part.first_block * units, part.end_block * units
    separate = (len(PREACTIVATION) - len(GATE)) * padded
    pack_weights(sizes, arrays, scratch, part)
    depth = len(EARLY_GATES) * padded
    weights = Matrix(scratch.weights_early, 0, PACKED, depth)
    meetings, chunk_step = 0, 0
    for t in range(span.end - 1, span.start - 1, -1):
        first = chunk_step * part.rows
        run_elements(sizes, arrays, team, part, span, t, first)
        clear_padding(sizes, team, part, first)
        gather_inputs(sizes, arrays, team, part, t, first)
        if part.members > 1:
            meetings += 1
            meet(team.counter, meetings * part.members)
        if HAS_LATE:
            run_late(sizes, arrays, team, scratch, part, span, t, first)
            clear_padding(sizes, team, part, first)
            if part.members > 1:
                meetings += 1
                meet(team.counter, meetings * part.members)
        d_z_early = Matrix(team.d_z, first * team.row.z + separate, team.row.z, 1)
        d_h = Matrix(team.d_state, first_unit, padded, 1)
        multiply_step(d_z_early, weights, d_h, part.rows, depth, end_unit - first_unit)
        chunk_step += 1
        if chunk_step == span.chunk or t == span.start:
            add_weight_gradients(sizes, team, scratch, part, chunk_step * part.rows)
            add_bias_gradients(sizes, team, part, chunk_step * part.rows)
            write_input_gradient(sizes, arrays, team, scratch, part, t, chunk_step * part.rows)
            chunk_step = 0
            if part.members > 1:
                meetings += 1
                meet(team.counter, meetings * part.members)
