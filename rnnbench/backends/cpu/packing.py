"""Weights in the order that tiles read them, packed once a call by compiled code; see layout.py and product.py.

The names in the first block stand for one cell's sizes when `specialise` compiles these functions.
"""

from __future__ import annotations

from rnnbench.backends.cpu.lanes import load, load_part, store, transpose
from rnnbench.backends.cpu.product import Tile

LANE: tuple[int, ...]
PLANE_TILE: Tile
ROWS_AT_ONCE = 8
ONE = (0,)


def pack_blocks(weights, rows, stride, hidden, gates, first_block, end_block, vectors, packed):
    """Pack columns of weights, block after block of units, each with the chosen gates in that order.

    A row of weights has `stride` = gates * H numbers. A block's columns are cut into panels of so many vectors;
    packed is [block][panel][row][vector][lane]. A few rows go at a time, so that what is read of a cache line is read
    while it is in cache.
    """
    lane = PLANE_TILE.lane
    lanes, units = len(lane), len(LANE)
    width, columns = lanes * vectors, len(gates) * units
    for first_row in range(0, rows, ROWS_AT_ONCE):
        for q in range(first_block, end_block):
            for column in range(0, columns, lanes):
                unit = q * units + column % units
                source = first_row * stride + gates[column // units] * hidden + unit
                panel = column // width * width
                at = ((q - first_block) * columns + panel) * rows + first_row * width + column - panel
                for _ in range(ROWS_AT_ONCE if first_row + ROWS_AT_ONCE <= rows else rows - first_row):
                    store(packed, at, 0, lane, load_part(weights, source, 0, lane, ONE, hidden - unit, 1))
                    at += width
                    source += stride


def pack_transpose(weights, rows, stride, hidden, padded, gates, first_row, end_row, packed):
    """Pack the transpose of rows first_row .. end_row of (rows, stride = G*H) weights: its columns are those rows.

    Its depth is the chosen gates in that order, each of `padded` units. Columns are cut into panels of the
    tile's width, then of single vectors, and padded with zeros up to end_row.
    """
    lane = PLANE_TILE.lane
    lanes, depth = len(lane), len(gates) * padded
    start, column = 0, first_row
    while column < end_row:
        width = lanes * len(PLANE_TILE.vector)
        if column + width > end_row:
            width = lanes
        for j in range(0, width, lanes):
            first = column + j
            for p in range(len(gates)):
                for unit in range(0, padded, lanes):
                    source = first * stride + gates[p] * hidden + unit
                    square = load_part(weights, source, stride, lane, lane, hidden - unit, rows - first)
                    store(packed, start + (p * padded + unit) * width + j, width, lane, transpose(square))
        start += depth * width
        column += width


def pack_panels(rows_of, row, rows, first, end, packed, start):
    """Pack columns first .. end of plain rows, `row` numbers apart, as panels of the tile's width, then of vectors."""
    lane = PLANE_TILE.lane
    lanes, column = len(lane), first
    while column < end:
        width = lanes * len(PLANE_TILE.vector)
        if column + width > end:
            width = lanes
        for k in range(rows):
            for j in range(0, width, lanes):
                store(packed, start + k * width + j, 0, lane, load(rows_of, k * row + column + j, 0, lane, ONE))
        start += rows * width
        column += width
