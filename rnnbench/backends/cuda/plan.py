"""Which way a layer runs on a GPU: weighed by what a step costs each way, in cycles of one multiprocessor.

    products    multiply-adds at 128 a cycle, and the reading of W_hh from shared memory
    exchange    what blocks read of each other's numbers, from the second-level cache
    meetings    of a group's blocks; none where one block holds W_hh

The smallest group that holds W_hh is where the search begins. More blocks share the products of a wide layer, fewer
sequences a group let more groups work; both are paid for in exchange. Nothing here needs a GPU, or numba-cuda.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np

from rnnbench.backends.cuda.arrangement import WARP, Arrangement, Backward, Forward, rounded
from rnnbench.backends.cuda.limits import Limits
from rnnbench.cells.base import Cell

MULTIPLY_ADDS = 128
"""A cycle and multiprocessor, in float32."""
SHARED_BYTES = 128
"""A cycle that a multiprocessor reads from shared memory."""
L2_BYTES = 64
"""A cycle that a multiprocessor reads from the second-level cache."""
MEETING_CYCLES = 1500
"""About 0.8 us at 1.8 GHz."""
STEP_CYCLES = 600
"""Of a step without products: the cell's functions, synchronisations, the first read."""
FULL_THREADS = 256
"""Fewer threads than these do not hide the latency of shared memory."""
RESERVED_BYTES = 1 << 10
"""Of shared memory, for what the toolkit puts into cooperative kernels."""
MOST_SUMS = {4: 64, 8: 32}
"""A thread keeps in registers, by the size of a number: half as many again where it has the states of one unit."""
MOST_ELEMENTS = {4: 4, 8: 2}
"""Units times rows whose states a thread keeps in registers, by the size of a number: float64's exponential functions
take registers of their own, and the compiler has those of all elements under way at once."""
MOST_REGISTERS = {4: 172, 8: 150}
"""Of the 255 that a thread can have, for what Forward and Backward count. The compiler takes the others for loads
ahead of their use; with more counted it was seen to keep numbers in local memory instead."""
MOST_GROUPS = 65535
"""Blocks of a grid in its second direction."""
TILE_ROWS = (1, 2, 4, 8)
WARPS = 8
Way = TypeVar("Way", Forward, Backward)
Cycles = Callable[[Any, Limits, int], float]


@dataclass(frozen=True)
class Plan:
    """How to run one layer on one device."""

    forward: Forward | None
    """None: step by step"""
    backward: Backward | None
    groups: int
    why: str

    @property
    def path(self) -> str:
        """The name of the way: persistent, independent or stepwise."""
        if self.forward is None:
            return "stepwise"
        return "independent" if self.forward.alone else "persistent"


@cache
def plan_for(cell: Cell, hidden: int, batch: int, dtype: np.dtype, limits: Limits) -> Plan:
    """Return the plan for B sequences in a layer of H units: forward and backward have groups of the same rows."""
    found = [
        (_forward_cycles(f, limits, groups) + _backward_cycles(b, limits, groups), groups, f, b)
        for rows in _rows(batch)
        for groups in [-(-batch // rows)]
        if groups <= MOST_GROUPS
        for f in [_best(_forwards(cell, dtype, hidden, rows, groups, limits), _forward_cycles, limits, groups)]
        for b in [_best(_backwards(cell, dtype, hidden, rows, groups, limits), _backward_cycles, limits, groups)]
        if f and b
    ]
    size = len(cell.gates) * hidden * hidden * dtype.itemsize
    weights = f"W_hh takes {size / 1024:,.0f} KiB"
    has = f"{limits.name} has {limits.multiprocessors} multiprocessors of {limits.shared_bytes / 1024:.0f} KiB"
    if len(cell.late) == len(cell.gates):
        return Plan(None, None, batch, "every gate waits for the operand, which no group computes by itself")
    if not found:
        return Plan(None, None, batch, f"{weights}, and {has}: they cannot hold it beside its operands")
    _, groups, forward, backward = min(found, key=lambda each: each[0])
    if forward.alone:
        why = f"{weights}, which one block holds: {groups} groups of up to {forward.rows} sequences never meet"
    else:
        why = (
            f"{weights}: {groups} group(s) of {forward.blocks} blocks forward and {backward.blocks} backward hold it, "
            f"each for up to {forward.rows} sequences, and meet once a product; {has}"
        )
    return Plan(forward, backward, groups, why)


def _rows(batch: int) -> list[int]:
    """Return the numbers of sequences a group may have: the batch in equal parts."""
    return sorted({-(-batch // groups) for groups in range(1, batch + 1)})


def _best(candidates: Iterator[Way], cycles: Cycles, limits: Limits, groups: int) -> Way | None:
    return min(candidates, key=lambda plan: cycles(plan, limits, groups), default=None)


def _group_sizes(hidden: int, groups: int, limits: Limits) -> range:
    """Return the numbers of blocks a group may have: all blocks of groups of several must run at the same time."""
    return range(1, max(1, min(hidden, limits.multiprocessors // groups)) + 1)


def _forwards(cell: Cell, dtype: np.dtype, hidden: int, rows: int, groups: int, limits: Limits) -> Iterator[Forward]:
    quads = rounded(hidden, 16 // dtype.itemsize) // (16 // dtype.itemsize)
    seen = set()
    for wanted in _group_sizes(hidden, groups, limits):
        for lanes in (4, 8, 16, 32):
            tile_units = -(-hidden // (wanted * lanes))
            blocks = -(-hidden // (tile_units * lanes))
            if (lanes, tile_units) in seen:
                continue
            seen.add((lanes, tile_units))
            warps = max(1, min(WARPS, quads * lanes // WARP, limits.threads // WARP))
            for tile_rows in _tile_rows(rows):
                plan = Forward(cell, dtype, hidden, blocks, rows, tile_rows, tile_units, lanes, warps)
                if plan.most_sums <= most_sums(plan) and _fits(plan, limits):
                    yield plan


def _backwards(cell: Cell, dtype: np.dtype, hidden: int, rows: int, groups: int, limits: Limits) -> Iterator[Backward]:
    quad = 16 // dtype.itemsize
    seen = set()
    for wanted in _group_sizes(hidden, groups, limits):
        units = -(-hidden // wanted)
        if units in seen:
            continue
        seen.add(units)
        for tile_rows in _tile_rows(rows):
            if tile_rows % quad and tile_rows < rows:
                continue  # tiles of rows start at whole quads
            tiles = -(-hidden // quad) * -(-rows // tile_rows)
            for split in (1, 2, 4, 8, 16):
                if split > 1 and (tiles * split > limits.threads or split > units * len(cell.gates)):
                    continue
                threads = min(limits.threads, max(WARP, rounded(max(tiles * split, units * rows), WARP)))
                plan = Backward(cell, dtype, hidden, -(-hidden // units), rows, tile_rows, units, threads, split)
                if tile_rows * quad <= MOST_SUMS[dtype.itemsize] and _fits(plan, limits):
                    yield plan


def most_sums(plan: Forward) -> int:
    """Return the sums that a thread may keep in registers."""
    most = MOST_SUMS[plan.dtype.itemsize]
    return most + most // 2 if plan.elements == 1 else most


def _tile_rows(rows: int) -> list[int]:
    """Return the rows a thread may multiply at once: no more than there are."""
    return [each for each in TILE_ROWS if each <= rows] + ([rows] if rows == 3 else [])


def _fits(plan: Forward | Backward, limits: Limits) -> bool:
    itemsize = plan.dtype.itemsize
    in_registers = plan.elements <= MOST_ELEMENTS[itemsize] and plan.registers <= MOST_REGISTERS[itemsize]
    return in_registers and plan.shared_bytes <= limits.shared_bytes - RESERVED_BYTES


def _products(plan: Forward | Backward, threads: int, bytes_read: float) -> float:
    """Return the cycles of a block's products, of all gates."""
    rate = MULTIPLY_ADDS * min(1.0, threads / FULL_THREADS)
    multiply_adds = plan.gates * plan.units * plan.padded * plan.tiled_rows
    return multiply_adds / rate + bytes_read / SHARED_BYTES


def _turns(plan: Arrangement, limits: Limits, groups: int) -> int:
    """Return how often a multiprocessor has another group: only groups that never meet can wait for their turn."""
    return -(-groups // limits.multiprocessors) if plan.alone else 1


def _meetings(plan: Arrangement) -> int:
    return (2 if plan.late else 1) * (0 if plan.alone else MEETING_CYCLES)


def _forward_cycles(plan: Forward, limits: Limits, groups: int) -> float:
    itemsize = plan.dtype.itemsize
    weights = plan.slab * itemsize * plan.chunks
    folding = plan.most_sums * (1 - 1 / plan.slices) * plan.chunks * plan.warps
    adding = plan.warps * plan.gates * plan.elements * 4
    exchange = 0 if plan.alone else plan.rows * plan.padded * itemsize / L2_BYTES
    products = _products(plan, plan.threads, weights)
    return _turns(plan, limits, groups) * (STEP_CYCLES + products + folding + adding + exchange + _meetings(plan))


def _backward_cycles(plan: Backward, limits: Limits, groups: int) -> float:
    itemsize = plan.dtype.itemsize
    weights = plan.slab * itemsize * plan.chunks
    busy = min(plan.threads, plan.items)
    handed = plan.split * plan.tiled_rows * plan.padded + plan.sources * plan.rows * plan.units
    exchange = handed * itemsize / (SHARED_BYTES if plan.alone else L2_BYTES)
    adding = -(-plan.sources // plan.parts) * plan.elements * 8
    products = _products(plan, busy, weights)
    return _turns(plan, limits, groups) * (STEP_CYCLES + products + exchange + adding + _meetings(plan))
