"""How one cell's numbers lie in memory on the CPU, for one dtype and hidden size.

Units come in blocks of as many lanes as a vector has, padded with zero weights to whole blocks:

    states   [S][T+1][B][Hp]            row-major, so that h_t is the left side of the next product
    z        [step][row][Q][P][U]       a block's pre-activations side by side: one tile computes all its gates
    saved    [T][B][Q][V][U]            as the cell writes them
    d_z      [step][row][P][Hp]         a gate's units side by side: d_z W^T is then one product over G*Hp columns

with Hp = Q*U padded units, P pre-activations, S states, V saved values. The first G pre-activations come from
the input's product, the last G from the recurrent one, whose late gates are last of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rnnbench.backends.base import Arrays
from rnnbench.backends.cpu.product import Tile, packed, tile_for
from rnnbench.backends.cpu.target import target
from rnnbench.cells.base import Cell


@dataclass(frozen=True)
class Layout:
    """The sizes of one cell at one hidden size, and its weights in the order that the kernels read."""

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

    @property
    def padded(self) -> int:
        """Units with their padding."""
        return self.blocks * self.units

    @property
    def z_width(self) -> int:
        """Numbers in one row of z."""
        return len(self.cell.preactivations) * self.padded

    @property
    def late(self) -> int:
        """Late gates."""
        return len(self.cell.late)

    @cached_property
    def plane_tile(self) -> Tile:
        """The tile of products whose columns are units or features, of which there are any number."""
        return tile_for(self.dtype)

    def block_tile(self, gates: int) -> Tile:
        """Return the tile of products whose columns are the gates of one block of units."""
        return tile_for(self.dtype, gates * self.units // target(self.dtype).lanes)

    def gate_planes(self, matrix: np.ndarray, gates: tuple[int, ...]) -> np.ndarray:
        """Return (K, G*H) columns as (K, len(gates), Hp): the chosen gates in that order, units padded with zeros."""
        rows = matrix.shape[0]
        planes = np.zeros((rows, len(gates), self.padded), self.dtype)
        planes[:, :, : self.hidden] = matrix.reshape(rows, -1, self.hidden)[:, list(gates)]
        return planes

    def from_planes(self, planes: np.ndarray, gates: tuple[int, ...]) -> np.ndarray:
        """Return (K, len(gates), Hp) as (K, G*H) in the order of the weights: the inverse of gate_planes."""
        matrix = np.empty((planes.shape[0], len(gates), self.hidden), self.dtype)
        matrix[:, list(gates)] = planes[:, :, : self.hidden]
        return matrix.reshape(planes.shape[0], -1)

    def packed_by_block(self, matrix: np.ndarray, gates: tuple[int, ...]) -> np.ndarray:
        """Return weights as flat panels, block after block, each with the chosen gates of its units."""
        if not gates:
            return np.zeros(0, self.dtype)
        rows = matrix.shape[0]
        planes = self.gate_planes(matrix, gates).reshape(rows, len(gates), self.blocks, self.units)
        by_block = planes.transpose(0, 2, 1, 3).reshape(rows, -1)
        return packed(by_block, self.block_tile(len(gates)))

    def packed_transpose(self, matrix: np.ndarray, gates: tuple[int, ...]) -> np.ndarray:
        """Return the transpose of weights, (len(gates)*Hp, K padded to Hp or to vectors), as flat panels."""
        return packed(self.gate_planes(matrix, gates).reshape(len(matrix), len(gates) * self.padded).T, self.plane_tile)

    def packed_recurrent_transpose(self, matrix: np.ndarray, gates: tuple[int, ...]) -> np.ndarray:
        """Return the transpose of the chosen gates of W_hh, (len(gates)*Hp, Hp), as flat panels."""
        rows = np.zeros((self.padded, matrix.shape[1]), self.dtype)
        rows[: self.hidden] = matrix
        return self.packed_transpose(rows, gates)

    def padded_units(self, h: np.ndarray) -> np.ndarray:
        """Return (T, B, H) as contiguous (T, B, Hp), padded with zeros."""
        if self.padded == self.hidden:
            return np.ascontiguousarray(h, self.dtype)
        wide = np.zeros((*h.shape[:2], self.padded), self.dtype)
        wide[:, :, : self.hidden] = h
        return wide

    def bias_row(self, params: Arrays) -> np.ndarray:
        """Return what a row of z starts from, (Q, P, U) flat."""
        cell = self.cell
        planes = [self.gate_planes(params["b_h"][None], cell.input_gates)[0]]
        if cell.separate:
            separate = tuple(range(len(cell.separate)))
            planes.append(self.gate_planes(params[cell.separate_bias][None], separate)[0])
        row = np.concatenate(planes).reshape(-1, self.blocks, self.units)
        return row.transpose(1, 0, 2).ravel()

    @property
    def early_gates(self) -> tuple[int, ...]:
        """The recurrent gates whose product takes h itself, in the order of their pre-activations."""
        return self.cell.recurrent_gates[: len(self.cell.gates) - self.late]

    @property
    def late_gates(self) -> tuple[int, ...]:
        """The recurrent gates whose product takes the operand."""
        return self.cell.recurrent_gates[len(self.cell.gates) - self.late :]
