"""Kernels for layers that no group of blocks can hold: the cell's functions alone, once a step, between products.

One thread an element (sequence, unit). Arrays lie as in forward.py and backward.py; `product` [B][gates][H] is what the
product before gave.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnbench.backends.cuda.elements import Elements
from rnnbench.cells.base import Cell

THREADS = 128
SIZES = ("now: int32", "step: int32", "batch: int32", "hidden: int32", "padded: int32")
"""The step in the sequence and in memory, B, H and Hp."""
OFFER_ARGUMENTS = (
    "x_product: number[]", "bias: number[]", "product: number[]", "h: number[]", "memory: number[]",
    "operand: number[]", *SIZES, "before: int32",
)  # fmt: skip
ADVANCE_ARGUMENTS = (
    "x_product: number[]", "bias: number[]", "product: number[]", "late_product: number[]", "h: number[]",
    "memory: number[]", "saved: number[]", "lengths: int32[]", *SIZES, "before: int32", "slot: int32", "keeps: int32",
)  # fmt: skip
DIFFERENTIATE_ARGUMENTS = (
    "d_h: number[]", "h: number[]", "memory: number[]", "saved: number[]", "d_z_all: number[]", "sequence: number[]",
    "d_state: number[]", "lengths: int32[]", *SIZES, "wants_sequence: int32",
)  # fmt: skip
THROUGH_OPERAND_ARGUMENTS = (
    "product: number[]", "h: number[]", "memory: number[]", "saved: number[]", "d_z_all: number[]",
    "operands: number[]", "d_state: number[]", "lengths: int32[]", *SIZES,
)  # fmt: skip
ADD_ARGUMENTS = ("product: number[]", "d_state: number[]", "lengths: int32[]", *SIZES)


class Counts:
    """How many of everything a cell has."""

    def __init__(self, cell: Cell) -> None:
        self.gates, self.late, self.z = len(cell.gates), len(cell.late), len(cell.preactivations)
        self.early, self.separate = self.gates - self.late, len(cell.separate)
        self.states, self.saved, self.kept = len(cell.states), len(cell.saved), max(len(cell.saved), 1)


def _shared_parts(tools: Any, count: Counts) -> tuple[Any, Any]:
    """Return device functions that fetch z without late gates, and the states."""
    gates, z_count, early, separate, states = count.gates, count.z, count.early, count.separate, count.states
    index = tools.index

    def fetch_z(x_product, bias, product, z, step, row, unit, batch, hidden):
        for p in range(z_count):
            z[p] = bias[index(p * hidden + unit)]
        for g in range(gates):
            z[g] += x_product[index(((step * batch + row) * gates + g) * hidden + unit)]
        for g in range(early):
            z[separate + g] += product[index((row * early + g) * hidden + unit)]

    def fetch_states(h, memory, state, now, slot, row, unit, batch, hidden, padded):
        state[0] = h[index((now * batch + row) * padded + unit)]
        for s in range(1, states):
            state[s] = memory[index(((slot * (states - 1) + s - 1) * batch + row) * hidden + unit)]

    return tools.inline(fetch_z), tools.inline(fetch_states)


def offer_kernel(tools: Any, cell: Cell, dtype: np.dtype, elements: Elements) -> Any:
    """Return the kernel that computes the operand of the late gates' product."""
    cuda, index, number, count = tools.cuda, tools.index, tools.number_type(dtype), Counts(cell)
    fetch_z, fetch_states = _shared_parts(tools, count)
    z_size, states, element = count.z, count.states, elements.operand

    def offer(x_product, bias, product, h, memory, operand, now, step, batch, hidden, padded, before):
        z = cuda.local.array(z_size, number)
        state = cuda.local.array(states, number)
        item = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if item < batch * hidden:
            row, unit = item // hidden, item % hidden
            fetch_z(x_product, bias, product, z, step, row, unit, batch, hidden)
            fetch_states(h, memory, state, now, before, row, unit, batch, hidden, padded)
            operand[index(item)] = element(z, 0, state, 0)

    return offer


def advance_kernel(tools: Any, cell: Cell, dtype: np.dtype, elements: Elements) -> Any:
    """Return the kernel that takes all units one step on; other states go from slot `before` to `slot`."""
    cuda, index, number, count = tools.cuda, tools.index, tools.number_type(dtype), Counts(cell)
    fetch_z, fetch_states = _shared_parts(tools, count)
    z_size, states, kept_size, saves = count.z, count.states, count.kept, count.saved
    late, first_late, element = count.late, count.separate + count.early, elements.forward

    def advance(
        x_product, bias, product, late_product, h, memory, saved, lengths,
        now, step, batch, hidden, padded, before, slot, keeps,
    ):  # fmt: skip
        z = cuda.local.array(z_size, number)
        state = cuda.local.array(states, number)
        next_state = cuda.local.array(states, number)
        kept = cuda.local.array(kept_size, number)
        item = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if item < batch * hidden:
            row, unit = item // hidden, item % hidden
            fetch_z(x_product, bias, product, z, step, row, unit, batch, hidden)
            for g in range(late):
                z[first_late + g] += late_product[index((row * late + g) * hidden + unit)]
            fetch_states(h, memory, state, now, before, row, unit, batch, hidden, padded)
            element(z, 0, state, 0, next_state, kept, 0)
            if now < lengths[index(row)]:
                for s in range(states):
                    state[s] = next_state[s]
            h[index(((now + 1) * batch + row) * padded + unit)] = state[0]
            for s in range(1, states):
                memory[index(((slot * (states - 1) + s - 1) * batch + row) * hidden + unit)] = state[s]
            if keeps:
                for v in range(saves):
                    saved[index(((step * batch + row) * saves + v) * hidden + unit)] = kept[v]

    return advance


def _fetch_step(tools: Any, count: Counts) -> Any:
    """Return a device function that fetches what the cell saved."""
    saves, index = count.saved, tools.index

    def fetch_saved(saved, kept, step, row, unit, batch, hidden):
        for v in range(saves):
            kept[v] = saved[index(((step * batch + row) * saves + v) * hidden + unit)]

    return tools.inline(fetch_saved)


def differentiate_kernel(tools: Any, cell: Cell, dtype: np.dtype, elements: Elements) -> Any:
    """Return the kernel of a step back: d_z, and in d_state what reaches the states before but by the product."""
    cuda, index, number = tools.cuda, tools.index, tools.number_type(dtype)
    count, zero = Counts(cell), dtype.type(0)
    (_, fetch_states), fetch_saved = _shared_parts(tools, count), _fetch_step(tools, count)
    z_size, states, kept_size, element = count.z, count.states, count.kept, elements.backward

    def differentiate(
        d_h, h, memory, saved, d_z_all, sequence, d_state, lengths, now, step, batch, hidden, padded, wants_sequence
    ):
        delta = cuda.local.array(states, number)
        state = cuda.local.array(states, number)
        previous = cuda.local.array(states, number)
        d_previous = cuda.local.array(states, number)
        kept = cuda.local.array(kept_size, number)
        d_z = cuda.local.array(z_size, number)
        item = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if item < batch * hidden:
            row, unit = item // hidden, item % hidden
            for s in range(states):
                delta[s] = d_state[index(s * batch * hidden + item)]
            delta[0] += d_h[index(now * batch * hidden + item)]
            if wants_sequence:
                for s in range(states):
                    sequence[index((now * states + s) * batch * hidden + item)] = delta[s]
            fetch_states(h, memory, state, now + 1, step + 1, row, unit, batch, hidden, padded)
            fetch_states(h, memory, previous, now, step, row, unit, batch, hidden, padded)
            fetch_saved(saved, kept, step, row, unit, batch, hidden)
            element(delta, state, previous, 0, kept, 0, d_z, 0, d_previous)
            running = now < lengths[index(row)]
            for p in range(z_size):
                d_z_all[index(((now * batch + row) * z_size + p) * hidden + unit)] = d_z[p] if running else zero
            for s in range(states):
                d_state[index(s * batch * hidden + item)] = d_previous[s] if running else delta[s]

    return differentiate


def through_operand_kernel(tools: Any, cell: Cell, dtype: np.dtype, elements: Elements) -> Any:
    """Return the kernel that takes the gradient by the operand on, to d_z and d_state."""
    cuda, index, number = tools.cuda, tools.index, tools.number_type(dtype)
    count, zero = Counts(cell), dtype.type(0)
    (_, fetch_states), fetch_saved = _shared_parts(tools, count), _fetch_step(tools, count)
    z_size, states, kept_size, element = count.z, count.states, count.kept, elements.operand_backward

    def through_operand(
        product, h, memory, saved, d_z_all, operands, d_state, lengths, now, step, batch, hidden, padded
    ):
        previous = cuda.local.array(states, number)
        d_previous = cuda.local.array(states, number)
        kept = cuda.local.array(kept_size, number)
        d_z = cuda.local.array(z_size, number)
        item = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if item < batch * hidden:
            row, unit = item // hidden, item % hidden
            operand = zero
            if now < lengths[index(row)]:
                fetch_states(h, memory, previous, now, step, row, unit, batch, hidden, padded)
                fetch_saved(saved, kept, step, row, unit, batch, hidden)
                for p in range(z_size):
                    d_z[p] = d_z_all[index(((now * batch + row) * z_size + p) * hidden + unit)]
                for s in range(states):
                    d_previous[s] = d_state[index(s * batch * hidden + item)]
                operand = element(product[index(item)], previous, 0, kept, 0, d_z, 0, d_previous)
                for p in range(z_size):
                    d_z_all[index(((now * batch + row) * z_size + p) * hidden + unit)] = d_z[p]
                for s in range(states):
                    d_state[index(s * batch * hidden + item)] = d_previous[s]
            operands[index(now * batch * hidden + item)] = operand

    return through_operand


def add_kernel(tools: Any) -> Any:
    """Return the kernel that adds a product to dL/dh of the sequences that have this step."""
    cuda, index = tools.cuda, tools.index

    def add(product, d_state, lengths, now, step, batch, hidden, padded):
        item = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if item < batch * hidden and now < lengths[index(item // hidden)]:
            d_state[index(item)] += product[index(item)]

    return add
