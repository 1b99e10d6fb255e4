"""How one cell's numbers lie in memory on the CPU, for one dtype and hidden size.

Units come in blocks of as many lanes as a vector has, padded with zero weights to whole blocks:

    h        [T+1][B][Hp]              row-major, so that h_t is the left side of the next product
    memory   [S-1][slots][B][Hp]       the other states: T+1 slots where backward follows, else two in turn
    saved    [T][B][Q][V][U]           as the cell writes them; empty where no backward follows
    z        [step][row][Q][P][U]      a block's pre-activations side by side: one tile computes all its gates
    d_z      [step][row][P][Hp]        a gate's units side by side: d_z W^T is then one product over G*Hp columns

with Hp = Q*U padded units, P pre-activations, S states, V saved values. The first G pre-activations come from
the input's product, the last G from the recurrent one, whose late gates are last of all. Rows of z and d_z
are an odd number of cache lines apart, so that a column of them does not fall on a few sets of the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from rnnbench.backends.cpu.arrays import LINE_BYTES
from rnnbench.backends.cpu.product import Tile, tile_for
from rnnbench.backends.cpu.target import target
from rnnbench.cells.base import Cell


@dataclass(frozen=True, eq=False)
class Layout:
    """The sizes of one cell at one hidden size."""

    cell: Cell
    hidden: int
    dtype: np.dtype

    @cached_property
    def units(self) -> int:
        """Units a block: a vector of them, two for a cell of one gate, whose tile would be too narrow."""
        return target(self.dtype).lanes * (2 if len(self.cell.gates) == 1 else 1)

    @cached_property
    def blocks(self) -> int:
        """Blocks of units."""
        return -(-self.hidden // self.units)

    @cached_property
    def padded(self) -> int:
        """Units with their padding."""
        return self.blocks * self.units

    @cached_property
    def z_width(self) -> int:
        """Numbers in one row of z."""
        return self.preactivations * self.padded

    @cached_property
    def gates(self) -> int:
        """Gates."""
        return len(self.cell.gates)

    @cached_property
    def preactivations(self) -> int:
        """Pre-activations."""
        return len(self.cell.preactivations)

    @cached_property
    def values(self) -> int:
        """Numbers that backward needs of each unit and step: states and what the cell saves."""
        return len(self.cell.states) + len(self.cell.saved)

    @cached_property
    def late(self) -> int:
        """Late gates."""
        return len(self.cell.late)

    @cached_property
    def plane_tile(self) -> Tile:
        """The tile of products whose columns are units or features, of which there are any number."""
        return tile_for(self.dtype)

    @cached_property
    def group(self) -> int:
        """Rows of a product that are packed at once: a few tiles of them."""
        return 4 * len(self.plane_tile.row)

    def block_tile(self, gates: int) -> Tile:
        """Return the tile of products whose columns are the gates of one block of units."""
        return tile_for(self.dtype, gates * self.units // target(self.dtype).lanes)

    def row_stride(self, numbers: int) -> int:
        """Return the distance of rows of so many numbers in a scratch array: an odd number of cache lines."""
        per_line = LINE_BYTES // self.dtype.itemsize
        return (-(-numbers // per_line) | 1) * per_line

    def from_planes(self, planes: np.ndarray, gates: tuple[int, ...]) -> np.ndarray:
        """Return (K, len(gates), Hp) as (K, G*H): the gates in the order of the weights, without padding."""
        if self.padded == self.hidden and gates == tuple(range(len(gates))):
            return planes.reshape(planes.shape[0], -1)
        matrix = np.empty((planes.shape[0], len(gates), self.hidden), self.dtype)
        matrix[:, list(gates)] = planes[:, :, : self.hidden]
        return matrix.reshape(planes.shape[0], -1)

    @cached_property
    def early_gates(self) -> tuple[int, ...]:
        """The recurrent gates whose product takes h itself, in the order of their pre-activations."""
        return self.cell.recurrent_gates[: len(self.cell.gates) - self.late]

    @cached_property
    def late_gates(self) -> tuple[int, ...]:
        """The recurrent gates whose product takes the operand."""
        return self.cell.recurrent_gates[len(self.cell.gates) - self.late :]


layout_of = cache(Layout)
"""Layout(cell, hidden, dtype), made once."""
