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
from rnnbench.backends.cpu.lanes import add, clear, copy, load, store
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
    """Every array of the backward loop that teams share, flat; layout.py says how each lies."""

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


class TeamArrays(NamedTuple):
    """The arrays of threads that share rows, flat; each thread writes its own units of them."""

    d_z: Any
    """(chunk, rows, P, Hp), rows z_row apart."""
    z_row: int
    d_state: Any
    """(S, rows, Hp): what flows to the step before; at the start, the gradient by the final states."""
    previous: Any
    """(chunk, rows, Hp), rows h_row apart: h before each step."""
    h_row: int
    operand: Any
    """As `previous`, of cells with late gates."""
    d_operand: Any
    """(rows, Hp), of cells with late gates."""
    x: Any
    """(chunk, rows, I), rows x_row apart."""
    x_row: int
    d_x: Any
    """(chunk, rows, I), rows d_x_row apart: whole vectors."""
    d_x_row: int
    d_weights_x: Any
    """(I, G, Hp), summed over the team's rows and all steps; so are the next three."""
    d_weights_early: Any
    d_weights_late: Any
    d_bias: Any
    counter: Any


class BackwardScratch(NamedTuple):
    """One thread's own packed weights, transposed: the columns are its units, and its features."""

    weights_x: Any
    weights_early: Any
    weights_late: Any
    panels: Any
    """(P, units, chunk) of d_z packed, of wide layers; empty of others."""
    group: Any
    """(chunk, GROUP) of what d_z is multiplied by, packed alike."""
    first_feature: int
    end_feature: int
    """Of whole vectors; none where dL/dx is not wanted."""


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
        runs = t < arrays.lengths[row]
        for q in range(part.first_block, part.end_block):
            at = r * padded + q * units
            here = (t * sizes.batch + row) * padded + q * units
            in_span = ((t - span.start) * sizes.batch + row) * padded + q * units
            d_z_at = (first + r) * team.z_row + q * units
            if runs:
                add(team.d_state, at, 0, LANE, load(arrays.d_h, here, 0, LANE, ONE))
            d_state = load(team.d_state, at, part.rows * padded, LANE, STATE)
            if arrays.d_state_sequence.size:
                store(arrays.d_state_sequence, here, sequence_stride, LANE, d_state)
            h_before = load(arrays.h, here, 0, LANE, ONE)
            store(team.previous, (first + r) * team.h_row + q * units, 0, LANE, h_before)
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
            at = (first + r) * team.z_row + p * padded
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
    d_z_late = Matrix(team.d_z, first * team.z_row + late, team.z_row, 1)
    weights = Matrix(scratch.weights_late, 0, PACKED, depth)
    out = Matrix(team.d_operand, first_unit, padded, 1)
    multiply_step(d_z_late, weights, out, part.rows, depth, part.end_block * units - first_unit)
    for r in range(part.rows):
        row = part.first_row + r
        for q in range(part.first_block, part.end_block):
            at = r * padded + q * units
            operand_at = (first + r) * team.h_row + q * units
            if t < arrays.lengths[row]:
                d_operand = load(team.d_operand, at, 0, LANE, ONE)
                in_span = ((t - span.start) * sizes.batch + row) * padded + q * units
                previous = load(arrays.h, (t * sizes.batch + row) * padded + q * units, 0, LANE, ONE) + load(
                    arrays.memory, in_span, memory_stride, LANE, MEMORY
                )
                saved_at = (((t - span.start) * sizes.batch + row) * sizes.blocks + q) * len(SAVED) * units
                saved = load(arrays.saved, saved_at, units, LANE, SAVED)
                operand, d_z, d_state = operand_backward_element(d_operand[0], previous, saved)
                store(team.operand, operand_at, 0, LANE, (operand,))
                add(team.d_z, (first + r) * team.z_row + q * units, padded, LANE, d_z)
                add(team.d_state, at, part.rows * padded, LANE, d_state)
            else:
                store(team.operand, operand_at, 0, LANE, (0.0,))


def gather_inputs(sizes, arrays, team, part, t, first):
    """Copy one step's inputs beside its d_z; every member copies the features that fall to it."""
    begin = sizes.features * part.member // part.members
    count = sizes.features * (part.member + 1) // part.members - begin
    for r in range(part.rows):
        source = (t * sizes.batch + part.first_row + r) * sizes.features
        copy(team.x, (first + r) * team.x_row + begin, arrays.x, source + begin, count)


def add_product(left, left_row, rows, team, scratch, plane, planes, sizes, part, out, depth):
    """out += left^T d_z over the chunk: of one plane after the other, the units of this part.

    Wide rows are packed first, some of left's columns at a time: a column of plain rows lies on as many pages as
    it has numbers, more than the processor can keep in mind.
    """
    units = len(LANE)
    padded = sizes.blocks * units
    first_unit = part.first_block * units
    count, width = planes, part.end_block * units - first_unit
    if scratch.panels.size:
        for first in range(0, rows, GROUP):
            some = GROUP if first + GROUP <= rows else rows - first
            for k in range(depth):
                copy(scratch.group, k * GROUP, left, k * left_row + first, some)
            group = Matrix(scratch.group, 0, 1, GROUP)
            for p in range(planes):
                d_z = Matrix(scratch.panels, (plane + p) * width * depth, PACKED, depth)
                target = Matrix(out, first * planes * padded + p * padded + first_unit, planes * padded, 1)
                multiply_chunk(group, d_z, target, some, depth, width)
        return
    if part.members == 1:
        count, width = 1, planes * padded
    transposed = Matrix(left, 0, 1, left_row)
    for p in range(count):
        d_z = Matrix(team.d_z, (plane + p) * padded + first_unit, team.z_row, 1)
        target = Matrix(out, p * padded + first_unit, planes * padded, 1)
        multiply_chunk(transposed, d_z, target, rows, depth, width)


def add_weight_gradients(sizes, arrays, team, scratch, part, first_step, rows):
    """Add a chunk's x^T d_z, h^T d_z and column sums of d_z, and write its dL/dx.

    The chunk has so many rows; its last one is of first_step.
    """
    units = len(LANE)
    padded = sizes.blocks * units
    separate = len(PREACTIVATION) - len(GATE)
    if scratch.panels.size:
        first, end = part.first_block * units, part.end_block * units
        for p in range(len(PREACTIVATION)):
            start = p * (end - first) * rows
            pack_panels(team.d_z, team.z_row, rows, p * padded + first, p * padded + end, scratch.panels, start)
    add_product(team.x, team.x_row, sizes.features, team, scratch, 0, len(GATE), sizes, part, team.d_weights_x, rows)
    add_product(
        team.previous, team.h_row, sizes.hidden, team, scratch, separate, len(EARLY_GATES), sizes, part,
        team.d_weights_early, rows,
    )  # fmt: skip
    if HAS_LATE:
        plane = separate + len(EARLY_GATES)
        add_product(
            team.operand, team.h_row, sizes.hidden, team, scratch, plane, len(LATE_GATES), sizes, part,
            team.d_weights_late, rows,
        )  # fmt: skip
    for r in range(rows):
        for p in range(len(PREACTIVATION)):
            for q in range(part.first_block, part.end_block):
                at = p * padded + q * units
                add(team.d_bias, at, 0, LANE, load(team.d_z, r * team.z_row + at, 0, LANE, ONE))
    width = scratch.end_feature - scratch.first_feature
    if width > 0:
        add_input_gradient(sizes, arrays, team, scratch, part, first_step, rows, width)


def add_input_gradient(sizes, arrays, team, scratch, part, first_step, rows, width):
    """Write dL/dx = d_z W_xh^T of a chunk, for the features of this part."""
    for r in range(rows):
        clear(team.d_x, r * team.d_x_row + scratch.first_feature, width)
    depth = len(GATE) * sizes.blocks * len(LANE)
    d_z = Matrix(team.d_z, 0, team.z_row, 1)
    weights = Matrix(scratch.weights_x, 0, PACKED, depth)
    out = Matrix(team.d_x, scratch.first_feature, team.d_x_row, 1)
    multiply_chunk(d_z, weights, out, rows, depth, width)
    steps = rows // part.rows
    begin = scratch.first_feature
    count = width if scratch.end_feature <= sizes.features else sizes.features - begin
    for s in range(steps):
        for r in range(part.rows):
            source = (s * part.rows + r) * team.d_x_row
            target = ((first_step + steps - 1 - s) * sizes.batch + part.first_row + r) * sizes.features
            copy(arrays.d_x, target + begin, team.d_x, source + begin, count)


def run_backward(sizes, arrays, team, scratch, part, span):
    """Run the steps of `span` backward for one part."""
    units = len(LANE)
    padded = sizes.blocks * units
    first_unit, end_unit = part.first_block * units, part.end_block * units
    separate = (len(PREACTIVATION) - len(GATE)) * padded
    pack_transpose(
        arrays.weights_h, sizes.hidden, sizes.hidden, padded, EARLY_GATES, first_unit, end_unit, scratch.weights_early
    )
    if HAS_LATE:
        pack_transpose(
            arrays.weights_h, sizes.hidden, sizes.hidden, padded, LATE_GATES, first_unit, end_unit,
            scratch.weights_late,
        )  # fmt: skip
    pack_transpose(
        arrays.weights_x, sizes.features, sizes.hidden, padded, INPUT_GATES,
        scratch.first_feature, scratch.end_feature, scratch.weights_x,
    )  # fmt: skip
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
        d_z_early = Matrix(team.d_z, first * team.z_row + separate, team.z_row, 1)
        d_h = Matrix(team.d_state, first_unit, padded, 1)
        multiply_step(d_z_early, weights, d_h, part.rows, depth, end_unit - first_unit)
        chunk_step += 1
        if chunk_step == span.chunk or t == span.start:
            add_weight_gradients(sizes, arrays, team, scratch, part, t, chunk_step * part.rows)
            chunk_step = 0
            if part.members > 1:
                meetings += 1
                meet(team.counter, meetings * part.members)
