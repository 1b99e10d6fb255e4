"""The order in which the cpu backend's products read their right sides, said in plain NumPy."""

from __future__ import annotations

import numpy as np

from rnnbench.backends.cpu.product import Tile


def panels(matrix: np.ndarray, tile: Tile) -> np.ndarray:
    """Return (depth, columns) as panels one after the other, each (depth, width) row by row.

    A panel is as wide as the tile; columns that are left go in panels of one vector.
    """
    vector, width = len(tile.lane), len(tile.lane) * len(tile.vector)
    whole = matrix.shape[1] // width * width
    starts = [*range(0, whole, width), *range(whole, matrix.shape[1], vector)]
    ends = [*starts[1:], matrix.shape[1]]
    return np.concatenate([matrix[:, start:end].ravel() for start, end in zip(starts, ends, strict=True)])


def padded(units: np.ndarray, size: int) -> np.ndarray:
    """Return the array with zeros at the end of its last axis, which is then `size` long."""
    return np.pad(units, [(0, 0)] * (units.ndim - 1) + [(0, size - units.shape[-1])])
