"""Two biases and one: libraries add a bias to each product, a cell keeps one where only their sum counts."""

from __future__ import annotations

import numpy as np

from rnnbench.backends.base import Arrays
from rnnbench.cells.base import Cell


def folded(cell: Cell, bias: np.ndarray, recurrent: np.ndarray) -> Arrays:
    """Return the parameters b_h, and b_hn where the cell has it, of the biases (G*H,) of the two products.

    b_h = b_input + b_recurrent, but for gates whose products are not added: their recurrent bias stays apart.
    """
    if not cell.separate:
        return {"b_h": bias + recurrent}
    apart = _separate_columns(cell, len(bias))
    return {"b_h": bias + np.where(apart, 0, recurrent), cell.separate_bias: recurrent[apart]}


def unfolded(cell: Cell, params: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Return biases (G*H,) of the input's and of the recurrent product: all is in the first but what stays apart."""
    recurrent = np.zeros_like(params["b_h"])
    if cell.separate:
        recurrent[_separate_columns(cell, len(recurrent))] = params[cell.separate_bias]
    return params["b_h"], recurrent


def _separate_columns(cell: Cell, width: int) -> np.ndarray:
    return np.repeat([gate in cell.separate for gate in cell.gates], width // len(cell.gates))
