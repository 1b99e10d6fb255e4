"""The persistent backward kernel: from the last step of a launch to its first, W_hh in shared memory.

A step: let the cell's function run for each of the block's units and rows, multiply the block's d_z by its columns of
W_hh, which gives a part of dL/dh_{t-1} for all units, hand the parts round, and add up those of the own units. So the
blocks exchange sums of H numbers a row; were they to read each other's d_z, it would be G H.

Arrays are flat. T, T', B, H, P, S, V: all steps, steps of this launch, sequences, units, pre-activations, states,
saved values. Those of all steps are read and written from step `first` on.

    d_h         [T][B][H]           dL/dh_t from outside
    h           [T+1][B][Hp]
    memory      [T'+1][S-1][B][H]   the other states before and after each step
    saved       [T'][B][V][H]
    weights     [blocks][slab]      see arrangement.Backward
    d_z         [T][B][P][H]        written
    operands    [T][B][H]           of late gates, written
    sequence    [T][S][B][H]        dL/d(states after each step), written if `wants_sequence`
    d_state     [S][B][H]           dL/d(states after the last step), becomes that by those before the first
    parts       [2][groups][sources][rows][Hp]
                                    of dL/dh_{t-1}, from block to block; two in turn, so that one meeting a product does
    lengths     [B]                 steps of each sequence
    arrivals    [groups][...]       zeros
"""

from __future__ import annotations

from typing import Any

from rnnbench.backends.cuda.arrangement import Backward
from rnnbench.backends.cuda.elements import Elements
from rnnbench.backends.cuda.forward import LOCAL_ROW, PLACE, STEPS, UNIT, places

ARGUMENTS = (
    "d_h: number[]", "h: number[]", "memory: number[]", "saved: number[]", "weights: number[]", "d_z_all: number[]",
    "operands: number[]", "sequence: number[]", "d_state: number[]", "parts: number[]", "lengths: int32[]",
    "arrivals: int32[]", "first: int32", "steps: int32", "batch: int32", "wants_sequence: int32",
)  # fmt: skip


def parts_product(tools: Any, plan: Backward, first_gate: int, gates: int) -> Any:
    """Return a device function (shared, to, start, thread): the block's d_z of so many gates times W_hh^T.

    `to` gets [split][rows][Hp] from `start` on. d_z lies in shared memory as [gate][unit][rows].
    """
    cuda, number, zero = tools.cuda, tools.number_type(plan.dtype), plan.dtype.type(0)
    load_quad, store_quad = tools.load_quad, tools.store_quad
    quad, quads, padded, split, items = plan.quad, plan.quads, plan.padded, plan.split, plan.items
    rows, tile_rows, chunks, threads = plan.tiled_rows, plan.tile_rows, plan.chunks, plan.threads
    row_quads, tile_quads, d_z_at = plan.row_quads, -(-tile_rows // quad), plan.offsets["d_z"]
    d_size, sums_size = tile_quads * quad, tile_rows * quad
    first, end = first_gate * plan.units, (first_gate + gates) * plan.units

    def multiply_column(sums, shared, column, chunk, k):
        w = cuda.local.array(quad, number)
        d = cuda.local.array(d_size, number)
        load_quad(shared, column * padded + k * quad, w, 0)
        for q in range(tile_quads):
            load_quad(shared, d_z_at + (column * row_quads + chunk * tile_quads + q) * quad, d, q * quad)
        for r in range(tile_rows):
            for i in range(quad):
                sums[r * quad + i] += d[r] * w[i]

    multiply_tile = tools.inline(multiply_column)

    def multiply(shared, to, start, thread):
        sums = cuda.local.array(sums_size, number)
        item = thread
        while item < items:
            k, rest = item % quads, item // quads
            chunk, share = rest % chunks, rest // chunks
            for s in range(sums_size):
                sums[s] = zero
            column = first + share
            while column < end:
                multiply_tile(sums, shared, column, chunk, k)
                column += split
            for r in range(tile_rows):
                store_quad(sums, r * quad, to, start + (share * rows + chunk * tile_rows + r) * padded + k * quad)
            item += threads

    return tools.inline(multiply)


def parts_sum(tools: Any, plan: Backward) -> Any:
    """Return a device function (shared, parts, start, sums, thread, block): sums of all sources for the elements."""
    cuda, index, zero = tools.cuda, tools.index, plan.dtype.type(0)
    count, units, threads, hidden = plan.elements, plan.units, plan.threads, plan.hidden
    elements, at_once, sources = plan.units * plan.rows, plan.parts, plan.sources
    row_size, source_size, scratch = plan.padded, plan.tiled_rows * plan.padded, plan.offsets["parts"]

    def add_sources(parts, at, first, step):
        total = zero
        source = first
        while source < sources:
            total += parts[index(at + source * source_size)]
            source += step
        return total

    add = tools.inline(add_sources)

    def together(shared, parts, start, sums, thread, block):
        """Threads share the sources of an element, and meet in shared memory."""
        element, share = thread % elements, thread // elements
        unit, row = block * units + element % units, element // units
        if share < at_once and unit < hidden:
            shared[index(scratch + thread)] = add(parts, start + row * row_size + unit, share, at_once)
        cuda.syncthreads()
        sums[0] = zero
        if thread < elements and unit < hidden:
            for s in range(at_once):
                sums[0] += shared[index(scratch + s * elements + thread)]

    def each(shared, parts, start, sums, thread, block):
        for e in range(count):
            element = thread + e * threads
            unit, row = block * units + element % units, element // units
            sums[e] = zero
            if element < elements and unit < hidden:
                sums[e] = add(parts, start + row * row_size + unit, 0, 1)

    return tools.inline(together if at_once > 1 else each)


def backward_kernel(tools: Any, plan: Backward, elements: Elements) -> Any:
    """Return the kernel as a plain function of the arrays above, then first step, steps, B, and wants_sequence."""
    cuda, number, int32, zero = tools.cuda, tools.number_type(plan.dtype), tools.int32, plan.dtype.type(0)
    element, operand_element = elements.backward, elements.operand_backward
    cell, hidden, padded, quad = plan.cell, plan.hidden, plan.padded, plan.quad
    alone, late, early = plan.alone, plan.late, plan.early
    z_count, states, saves = len(cell.preactivations), len(cell.states), len(cell.saved)
    rows, units, threads, count, blocks = plan.rows, plan.units, plan.threads, plan.elements, plan.blocks
    slab, d_z_at, sources_at = plan.slab, plan.offsets["d_z"], plan.offsets["sources"]
    d_z_rows, d_z_size = plan.row_quads * quad, plan.offsets["parts"] - plan.offsets["d_z"]
    block_parts, group_parts = plan.split * plan.tiled_rows * padded, plan.sources * plan.tiled_rows * padded
    first_recurrent, first_late, kept_size = len(cell.separate), len(cell.separate) + early, max(saves, 1)
    place_size, z_size, state_size, kept_sizes = count * PLACE, count * z_count, count * states, count * kept_size
    find, sum_up = places(tools, plan), parts_sum(tools, plan)
    copy_quad, arrive, wait, index = tools.copy_quad, tools.arrive, tools.wait, tools.index
    early_parts = parts_product(tools, plan, 0, early)
    late_parts: Any = parts_product(tools, plan, early, late) if late else None

    def begin(shared, weights, block, thread):
        at = thread * quad
        while at < slab:
            copy_quad(weights, block * slab + at, shared, at)
            at += threads * quad
        at = thread
        while at < d_z_size:
            shared[index(d_z_at + at)] = zero
            at += threads

    def fetch(d_h, h, memory, saved, d_out, previous, kept, e, first, step, row, unit, batch):
        """Read what a step needs: the states before it, what the cell saved, and the gradient from outside."""
        d_out[e] = d_h[index(((first + step) * batch + row) * hidden + unit)]
        previous[e * states] = h[index(((first + step) * batch + row) * padded + unit)]
        for s in range(1, states):
            previous[e * states + s] = memory[index(((step * (states - 1) + s - 1) * batch + row) * hidden + unit)]
        for v in range(saves):
            kept[e * kept_size + v] = saved[index(((step * batch + row) * saves + v) * hidden + unit)]

    def fetch_last(d_state, h, memory, delta, state, e, first, steps, row, unit, batch):
        """Read the states after the last step, and the gradient by them."""
        state[e * states] = h[index(((first + steps) * batch + row) * padded + unit)]
        for s in range(1, states):
            state[e * states + s] = memory[index(((steps * (states - 1) + s - 1) * batch + row) * hidden + unit)]
        for s in range(states):
            delta[e * states + s] = d_state[index((s * batch + row) * hidden + unit)]

    def differentiate(delta, d_out, state, previous, kept, d_z, d_previous, e, running):
        """Run the cell's function; a sequence that has ended hands its gradient on as it is."""
        delta[e * states] += d_out[e]
        element(delta, state, previous, e * states, kept, e * kept_size, d_z, e * z_count, d_previous)
        if not running:
            for p in range(z_count):
                d_z[e * z_count + p] = zero
            for s in range(states):
                d_previous[e * states + s] = delta[e * states + s]

    def keep_sequence(sequence, delta, e, now, row, unit, batch):
        for s in range(states):
            sequence[index(((now * states + s) * batch + row) * hidden + unit)] = delta[e * states + s]

    def share_gates(shared, d_z, e, first_z, first_gate, number_of_gates, local_row, unit_in_block):
        for g in range(number_of_gates):
            column = (first_gate + g) * units + unit_in_block
            shared[index(d_z_at + column * d_z_rows + local_row)] = d_z[e * z_count + first_z + g]

    def through_operand(operands, sums, previous, kept, d_z, d_previous, e, running, now, row, unit, batch):
        value = zero
        if running:
            value = operand_element(sums[e], previous, e * states, kept, e * kept_size, d_z, e * z_count, d_previous)
        operands[index((now * batch + row) * hidden + unit)] = value

    def keep(d_z_all, d_z, e, now, row, unit, batch):
        for p in range(z_count):
            d_z_all[index(((now * batch + row) * z_count + p) * hidden + unit)] = d_z[e * z_count + p]

    def move_back(state, previous, e):
        for s in range(states):
            state[e * states + s] = previous[e * states + s]

    def add_products(delta, d_previous, sums, e, running):
        if running:
            d_previous[e * states] += sums[e]
        for s in range(states):
            delta[e * states + s] = d_previous[e * states + s]

    begin, fetch, fetch_last, keep_sequence, keep = map(tools.inline, (begin, fetch, fetch_last, keep_sequence, keep))
    differentiate, share_gates, through_operand = map(tools.inline, (differentiate, share_gates, through_operand))
    move_back, add_products = map(tools.inline, (move_back, add_products))

    def backward(
        d_h, h, memory, saved, weights, d_z_all, operands, sequence, d_state, parts, lengths, arrivals,
        first, steps, batch, wants_sequence,
    ):  # fmt: skip
        if not alone:
            cuda.cg.this_grid()  # makes the launch a cooperative one: all blocks are there at the same time
        shared = cuda.shared.array(0, number)
        place = cuda.local.array(place_size, int32)
        d_out = cuda.local.array(count, number)
        sums = cuda.local.array(count, number)
        d_z = cuda.local.array(z_size, number)
        delta = cuda.local.array(state_size, number)
        d_previous = cuda.local.array(state_size, number)
        state = cuda.local.array(state_size, number)
        previous = cuda.local.array(state_size, number)
        kept = cuda.local.array(kept_sizes, number)
        thread, block, group = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
        groups = cuda.gridDim.y
        first_row, first_unit, meetings = group * rows, block * units, 0

        begin(shared, weights, block, thread)
        find(place, lengths, thread, block, first_row, batch)
        for e in range(count):
            if place[e * PLACE + STEPS]:
                row, unit = first_row + place[e * PLACE + LOCAL_ROW], first_unit + place[e * PLACE + UNIT]
                fetch_last(d_state, h, memory, delta, state, e, first, steps, row, unit, batch)
                fetch(d_h, h, memory, saved, d_out, previous, kept, e, first, steps - 1, row, unit, batch)
        cuda.syncthreads()

        step = steps - 1
        while step >= 0:
            now = first + step
            for e in range(count):
                if place[e * PLACE + STEPS]:
                    local_row, unit_in_block = place[e * PLACE + LOCAL_ROW], place[e * PLACE + UNIT]
                    row, unit = first_row + local_row, first_unit + unit_in_block
                    differentiate(
                        delta, d_out, state, previous, kept, d_z, d_previous, e, now < place[e * PLACE + STEPS]
                    )
                    if wants_sequence:
                        keep_sequence(sequence, delta, e, now, row, unit, batch)
                    if late:
                        share_gates(shared, d_z, e, first_late, early, late, local_row, unit_in_block)
            if late:
                cuda.syncthreads()
                if alone:
                    late_parts(shared, shared, sources_at, thread)
                    cuda.syncthreads()
                    sum_up(shared, shared, sources_at, sums, thread, block)
                else:
                    start = ((meetings & 1) * groups + group) * group_parts
                    late_parts(shared, parts, start + block * block_parts, thread)
                    meetings += 1
                    arrive(arrivals, group, thread)
                    wait(arrivals, group, thread, meetings * blocks)
                    sum_up(shared, parts, start, sums, thread, block)
            for e in range(count):
                if place[e * PLACE + STEPS]:
                    local_row, unit_in_block = place[e * PLACE + LOCAL_ROW], place[e * PLACE + UNIT]
                    row, unit = first_row + local_row, first_unit + unit_in_block
                    if late:
                        running = now < place[e * PLACE + STEPS]
                        through_operand(
                            operands, sums, previous, kept, d_z, d_previous, e, running, now, row, unit, batch
                        )
                    share_gates(shared, d_z, e, first_recurrent, 0, early, local_row, unit_in_block)
            cuda.syncthreads()
            start = ((meetings & 1) * groups + group) * group_parts
            if alone:
                early_parts(shared, shared, sources_at, thread)
                cuda.syncthreads()
            else:
                early_parts(shared, parts, start + block * block_parts, thread)
                meetings += 1
                arrive(arrivals, group, thread)
            for e in range(count):
                if place[e * PLACE + STEPS]:
                    row, unit = first_row + place[e * PLACE + LOCAL_ROW], first_unit + place[e * PLACE + UNIT]
                    keep(d_z_all, d_z, e, now, row, unit, batch)
                    move_back(state, previous, e)
                    if step > 0:
                        fetch(d_h, h, memory, saved, d_out, previous, kept, e, first, step - 1, row, unit, batch)
            if alone:
                sum_up(shared, shared, sources_at, sums, thread, block)
            else:
                wait(arrivals, group, thread, meetings * blocks)
                sum_up(shared, parts, start, sums, thread, block)
            for e in range(count):
                if place[e * PLACE + STEPS]:
                    add_products(delta, d_previous, sums, e, now < place[e * PLACE + STEPS])
            step -= 1

        for e in range(count):
            if place[e * PLACE + STEPS]:
                row, unit = first_row + place[e * PLACE + LOCAL_ROW], first_unit + place[e * PLACE + UNIT]
                for s in range(states):
                    d_state[index((s * batch + row) * hidden + unit)] = delta[e * states + s]

    return backward
