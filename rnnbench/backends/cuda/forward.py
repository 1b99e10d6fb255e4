"""The persistent forward kernel: all steps in one launch, W_hh in shared memory, the states in registers.

A step: multiply h_{t-1} by the block's columns of W_hh, add up over slices of H, let the cell's function run for each
of the block's units and rows, write h_t, and meet the group's other blocks. What the cell saves is written, and the
next step's x W_xh is read, between arriving at the meeting and waiting for the others.

Arrays are flat. T', B, H, P, S, V: steps of this launch, sequences, units, pre-activations, states, saved values.

    x_product   [T'][B][G][H]      x_t W_xh, gates in the order of the pre-activations
    bias        [P][H]
    weights     [blocks][slab]     see arrangement.Forward
    h           [T+1][B][Hp]       h[first] is the state before the first step
    operand     [B][Hp]            of late gates, from block to block
    memory      [slots][S-1][B][H] the other states: slot 0 is read, and T'+1 are written if `keeps`, else the last one
    saved       [T'][B][V][H]      written if `keeps`
    lengths     [B]                steps of each sequence
    arrivals    [groups][...]      zeros
"""

from __future__ import annotations

from typing import Any

from rnnbench.backends.cuda.arrangement import Forward
from rnnbench.backends.cuda.elements import Elements
from rnnbench.backends.cuda.product import forward_product

ARGUMENTS = (
    "x_product: number[]", "bias: number[]", "weights: number[]", "h: number[]", "operand: number[]",
    "memory: number[]", "saved: number[]", "lengths: int32[]", "arrivals: int32[]",
    "first: int32", "steps: int32", "batch: int32", "keeps: int32",
)  # fmt: skip
UNIT, LOCAL_ROW, STEPS = range(3)
PLACE = 3
"""What a thread knows of each of its elements: unit in the block, row in the group, and the steps of that sequence, 0
where there is no such unit or sequence."""


def places(tools: Any, plan: Any) -> Any:
    """Return a device function (place, lengths, thread, block, first_row, batch): see PLACE; units run fastest."""
    count, units, threads, rows, hidden = plan.elements, plan.units, plan.threads, plan.rows, plan.hidden
    index = tools.index

    def find(place, lengths, thread, block, first_row, batch):
        for e in range(count):
            element = thread + e * threads
            unit, row = element % units, element // units
            place[e * PLACE + UNIT] = unit
            place[e * PLACE + LOCAL_ROW] = row
            place[e * PLACE + STEPS] = 0
            if row < rows and first_row + row < batch and block * units + unit < hidden:
                place[e * PLACE + STEPS] = lengths[index(first_row + row)]

    return tools.inline(find)


def forward_kernel(tools: Any, plan: Forward, elements: Elements) -> Any:
    """Return the kernel as a plain function of the arrays above, then first step, steps, B, and whether it keeps."""
    cuda, number = tools.cuda, tools.number_type(plan.dtype)
    element, operand_element = elements.forward, elements.operand
    cell, hidden, padded, quad = plan.cell, plan.hidden, plan.padded, plan.quad
    alone, late, early, gates = plan.alone, plan.late, plan.early, plan.gates
    z_count, states, saves = len(cell.preactivations), len(cell.states), len(cell.saved)
    rows, units, threads, count, blocks = plan.rows, plan.units, plan.threads, plan.elements, plan.blocks
    slab, tile, h_at, operand_at = plan.slab, plan.rows * padded, plan.offsets["h"], plan.offsets["operand"]
    first_recurrent, first_late = len(cell.separate), len(cell.separate) + early
    kept_size, int32 = max(saves, 1), tools.int32
    place_size, z_size, state_size = count * PLACE, count * z_count, count * states
    kept_sizes = count * kept_size
    find = places(tools, plan)
    copy_quad, arrive, wait, index = tools.copy_quad, tools.arrive, tools.wait, tools.index
    early_product, early_sums = forward_product(tools, plan, 0, early)
    late_functions: Any = forward_product(tools, plan, early, late) if late else (None, None)
    late_product, late_sums = late_functions

    def begin(shared, weights, h, first, block, first_row, batch, thread):
        """Fetch the block's weights and, if no other block has a part in it, h."""
        at = thread * quad
        while at < slab:
            copy_quad(weights, block * slab + at, shared, at)
            at += threads * quad
        if alone:
            at = thread
            while at < tile:
                row = min(first_row + at // padded, batch - 1)
                shared[index(h_at + at)] = h[index((first * batch + row) * padded + at % padded)]
                if late:
                    shared[index(operand_at + at)] = 0
                at += threads

    def fetch_input(x_product, bias, z, e, step, row, unit, batch):
        """All of z but the recurrent parts."""
        for p in range(z_count):
            z[e * z_count + p] = bias[index(p * hidden + unit)]
        for g in range(gates):
            z[e * z_count + g] += x_product[index(((step * batch + row) * gates + g) * hidden + unit)]

    def fetch_states(h, memory, state, e, first, row, unit, batch):
        state[e * states] = h[index((first * batch + row) * padded + unit)]
        for s in range(1, states):
            state[e * states + s] = memory[index(((s - 1) * batch + row) * hidden + unit)]

    def offer_operand(shared, operand, z, state, e, local_row, row, unit):
        value = operand_element(z, e * z_count, state, e * states)
        if alone:
            shared[index(operand_at + local_row * padded + unit)] = value
        else:
            operand[index(row * padded + unit)] = value

    def advance(shared, h, z, state, kept, e, running, now, local_row, row, unit, batch):
        """One step of the cell; a sequence that has ended keeps its states."""
        next_state = cuda.local.array(states, number)
        element(z, e * z_count, state, e * states, next_state, kept, e * kept_size)
        if running:
            for s in range(states):
                state[e * states + s] = next_state[s]
        h[index(((now + 1) * batch + row) * padded + unit)] = state[e * states]
        if alone:
            shared[index(h_at + local_row * padded + unit)] = state[e * states]

    def keep(memory, saved, state, kept, e, step, row, unit, batch):
        for s in range(1, states):
            memory[index((((step + 1) * (states - 1) + s - 1) * batch + row) * hidden + unit)] = state[e * states + s]
        for v in range(saves):
            saved[index(((step * batch + row) * saves + v) * hidden + unit)] = kept[e * kept_size + v]

    begin, fetch_input, fetch_states = map(tools.inline, (begin, fetch_input, fetch_states))
    offer_operand, advance, keep = map(tools.inline, (offer_operand, advance, keep))

    def forward(
        x_product, bias, weights, h, operand, memory, saved, lengths, arrivals, first, steps, batch, keeps
    ):  # fmt: skip
        if not alone:
            cuda.cg.this_grid()  # makes the launch a cooperative one: all blocks are there at the same time
        shared = cuda.shared.array(0, number)
        place = cuda.local.array(place_size, int32)
        z = cuda.local.array(z_size, number)
        state = cuda.local.array(state_size, number)
        kept = cuda.local.array(kept_sizes, number)
        thread, block, group = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
        first_row, first_unit, meetings = group * rows, block * units, 0

        begin(shared, weights, h, first, block, first_row, batch, thread)
        find(place, lengths, thread, block, first_row, batch)
        for e in range(count):
            if place[e * PLACE + STEPS]:
                row, unit = first_row + place[e * PLACE + LOCAL_ROW], first_unit + place[e * PLACE + UNIT]
                fetch_states(h, memory, state, e, first, row, unit, batch)
                fetch_input(x_product, bias, z, e, 0, row, unit, batch)
        cuda.syncthreads()

        for step in range(steps):
            now = first + step
            if alone:
                early_product(shared, shared, h_at, first_row, batch, thread)
            else:
                early_product(shared, h, now * batch * padded, first_row, batch, thread)
            cuda.syncthreads()
            for e in range(count):
                if place[e * PLACE + STEPS]:
                    local_row, unit_in_block = place[e * PLACE + LOCAL_ROW], place[e * PLACE + UNIT]
                    row, unit = first_row + local_row, first_unit + unit_in_block
                    early_sums(shared, z, e * z_count + first_recurrent, local_row, unit_in_block)
                    if late:
                        offer_operand(shared, operand, z, state, e, local_row, row, unit)
            if late:
                if alone:
                    cuda.syncthreads()
                    late_product(shared, shared, operand_at, first_row, batch, thread)
                else:
                    meetings += 1
                    arrive(arrivals, group, thread)
                    wait(arrivals, group, thread, meetings * blocks)
                    late_product(shared, operand, 0, first_row, batch, thread)
                cuda.syncthreads()
            for e in range(count):
                if place[e * PLACE + STEPS]:
                    local_row, unit_in_block = place[e * PLACE + LOCAL_ROW], place[e * PLACE + UNIT]
                    row, unit = first_row + local_row, first_unit + unit_in_block
                    if late:
                        late_sums(shared, z, e * z_count + first_late, local_row, unit_in_block)
                    running = now < place[e * PLACE + STEPS]
                    advance(shared, h, z, state, kept, e, running, now, local_row, row, unit, batch)
            if not alone:
                arrive(arrivals, group, thread)
            for e in range(count):
                if place[e * PLACE + STEPS]:
                    row, unit = first_row + place[e * PLACE + LOCAL_ROW], first_unit + place[e * PLACE + UNIT]
                    if keeps:
                        keep(memory, saved, state, kept, e, step, row, unit, batch)
                    if step + 1 < steps:
                        fetch_input(x_product, bias, z, e, step + 1, row, unit, batch)
            if alone:
                cuda.syncthreads()
            else:
                meetings += 1
                wait(arrivals, group, thread, meetings * blocks)

        if not keeps:
            for e in range(count):
                if place[e * PLACE + STEPS]:
                    row, unit = first_row + place[e * PLACE + LOCAL_ROW], first_unit + place[e * PLACE + UNIT]
                    for s in range(1, states):
                        memory[index(((states - 1 + s - 1) * batch + row) * hidden + unit)] = state[e * states + s]

    return forward
