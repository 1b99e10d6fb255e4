"""How the recurrence is laid over blocks and threads of a GPU: the sizes that kernels are compiled for.

A group of `blocks` blocks holds W_hh and runs `rows` sequences; groups never meet. Each block has `units` units:

    forward     z of its units: it reads all of h_{t-1}, multiplies by its columns of W_hh, and writes its units of h_t
    backward    its units' share of dL/dh_{t-1}: it multiplies its d_z by its columns of W_hh, and the group adds up

A quad is what one load instruction takes, 16 bytes: 4 float32 or 2 float64. Hp is H rounded up to whole quads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rnnbench.cells.base import Cell

WARP = 32
QUAD_BYTES = 16
BANK_BYTES = 128
"""Of shared memory that all banks together hand out in a cycle."""
REGISTER_BYTES = 4
FORWARD_ADDRESSES, BACKWARD_ADDRESSES = 19, 11
"""Registers of each element: its place, and where it reads and writes; what the compiler was seen to take."""


def rounded(number: int, multiple: int) -> int:
    """Return the number rounded up to a multiple."""
    return -(-number // multiple) * multiple


@dataclass(frozen=True)
class Arrangement:
    """What forward and backward have in common."""

    cell: Cell
    dtype: np.dtype
    hidden: int
    blocks: int
    """in a group"""
    rows: int
    """sequences of a group"""
    tile_rows: int
    """rows that a thread multiplies at once"""

    @property
    def tag(self) -> str:
        """Every size but the cell's: kernels of a cell with the same tag are the same."""
        return "_".join(str(value) for name, value in vars(self).items() if name not in ("cell", "offsets"))

    @property
    def quad(self) -> int:
        """Numbers a quad."""
        return QUAD_BYTES // self.dtype.itemsize

    @property
    def padded(self) -> int:
        """Units in whole quads, Hp."""
        return rounded(self.hidden, self.quad)

    @property
    def quads(self) -> int:
        """Quads a row of h."""
        return self.padded // self.quad

    @property
    def alone(self) -> bool:
        """Whether one block holds everything, and meets no other."""
        return self.blocks == 1

    @property
    def gates(self) -> int:
        """Gates."""
        return len(self.cell.gates)

    @property
    def late(self) -> int:
        """Late gates."""
        return len(self.cell.late)

    @property
    def early(self) -> int:
        """Gates whose product takes h."""
        return self.gates - self.late

    @property
    def chunks(self) -> int:
        """Times that a thread goes through its part of W_hh for all rows."""
        return -(-self.rows // self.tile_rows)

    @property
    def tiled_rows(self) -> int:
        """Rows, rounded up to whole tiles."""
        return self.chunks * self.tile_rows


@dataclass(frozen=True)
class Forward(Arrangement):
    """A thread multiplies `tile_units` units' gates by `tile_rows` rows, over one of the slices that cut H.

    A warp's lanes are `column_lanes` columns of units times 32 / column_lanes slices.
    """

    tile_units: int
    column_lanes: int
    warps: int

    @property
    def threads(self) -> int:
        """Threads a block."""
        return self.warps * WARP

    @property
    def units(self) -> int:
        """Units a block."""
        return self.tile_units * self.column_lanes

    @property
    def slices(self) -> int:
        """Slices of H in a warp."""
        return WARP // self.column_lanes

    @property
    def elements(self) -> int:
        """Units times rows that a thread has the states of."""
        return -(-self.units * self.rows // self.threads)

    @property
    def columns(self) -> int:
        """Quads from one quad of H to the next in the packed weights.

        Lanes of two slices read at once where a warp has four columns: an odd number of half rows of banks apart.
        """
        width = self.gates * self.units
        return width + 4 if self.column_lanes == 4 and width % 8 == 0 else width

    @property
    def slab(self) -> int:
        """Numbers of W_hh a block holds: [quad of H][gate][unit][number of the quad]."""
        return self.quads * self.columns * self.quad

    def sums(self, gates: int) -> int:
        """Sums a thread has, in whole slices so that the slices can share them out."""
        return rounded(self.tile_units * gates * self.tile_rows, self.slices)

    @property
    def most_sums(self) -> int:
        """Sums a thread has at once."""
        return max(self.sums(self.early), self.sums(self.late))

    @property
    def registers(self) -> int:
        """Registers that a thread has in use at its fullest: sums, a quad of each row and of W_hh, its elements."""
        shared = self.most_sums + (self.tile_rows + 1) * self.quad
        own = len(self.cell.preactivations) + len(self.cell.states) + len(self.cell.saved)
        numbers = shared + self.elements * own
        return numbers * self.dtype.itemsize // REGISTER_BYTES + self.elements * FORWARD_ADDRESSES

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Where things lie in shared memory, in numbers: weights, sums of all warps, h and the operand if alone."""
        tile = self.tiled_rows * self.padded if self.alone else 0
        sizes = {
            "weights": self.slab,
            "sums": rounded(self.chunks * self.warps * self.column_lanes * (self.most_sums + 1), self.quad),
            "h": tile,
            "operand": tile if self.late else 0,
        }
        return cut(sizes)

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block."""
        return self.offsets["end"] * self.dtype.itemsize


@dataclass(frozen=True)
class Backward(Arrangement):
    """A thread adds up d_z W_hh^T for a quad of units and `tile_rows` rows, over every `split`-th of its columns."""

    units: int
    threads: int
    split: int

    @property
    def sources(self) -> int:
        """Parts that make up dL/dh_{t-1} of a unit."""
        return self.blocks * self.split

    @property
    def elements(self) -> int:
        """Units times rows that a thread has the gradients of."""
        return -(-self.units * self.rows // self.threads)

    @property
    def parts(self) -> int:
        """Threads that add up the sources of one unit and row."""
        return max(1, min(self.threads // (self.units * self.rows), self.sources))

    @property
    def registers(self) -> int:
        """Registers that a thread has in use at its fullest: sums, d_z of all rows, a quad of W_hh, its elements."""
        shared = (self.tile_rows + 1) * self.quad + rounded(self.tile_rows, self.quad)
        own = 2 + len(self.cell.preactivations) + 4 * len(self.cell.states) + len(self.cell.saved)
        numbers = shared + self.elements * own
        return numbers * self.dtype.itemsize // REGISTER_BYTES + self.elements * BACKWARD_ADDRESSES

    @property
    def items(self) -> int:
        """Tiles of a block."""
        return self.quads * self.chunks * self.split

    @property
    def row_quads(self) -> int:
        """Quads of rows of d_z in shared memory."""
        return -(-self.tiled_rows // self.quad)

    @property
    def slab(self) -> int:
        """Numbers of W_hh a block holds: [gate][unit][Hp]."""
        return self.gates * self.units * self.padded

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Where things lie in shared memory, in numbers: weights, d_z, sums of the parts, and all sources if alone."""
        sizes = {
            "weights": self.slab,
            "d_z": self.gates * self.units * self.row_quads * self.quad,
            "parts": rounded(self.parts * self.units * self.rows, self.quad) if self.parts > 1 else 0,
            "sources": self.sources * self.tiled_rows * self.padded if self.alone else 0,
        }
        return cut(sizes)

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block."""
        return self.offsets["end"] * self.dtype.itemsize


def cut(sizes: dict[str, int]) -> dict[str, int]:
    """Return where pieces of these sizes start, one after the other, and where the last ends."""
    starts, end = {}, 0
    for name, size in sizes.items():
        starts[name] = end
        end += size
    return starts | {"end": end}
