"""The time loops compiled for one cell and dtype."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from rnnbench.backends.cpu import backward, forward
from rnnbench.backends.cpu.compilation import compile_element, source_tag, specialise
from rnnbench.backends.cpu.elementary import implementations
from rnnbench.backends.cpu.layout import Layout
from rnnbench.cells.base import Cell


class Kernels(NamedTuple):
    """run_forward and run_backward of one cell."""

    run_forward: Any
    run_backward: Any


@cache
def kernels(cell: Cell, dtype: np.dtype) -> Kernels:
    """Return the loops for a cell, compiled at their first call."""
    layout = Layout(cell, 1, dtype)
    elements = {
        "forward_element": cell.forward_element,
        "backward_element": cell.backward_element,
        "operand_element": cell.operand_element,
        "operand_backward_element": cell.operand_backward_element,
    }
    tag = f"{cell.name}_{dtype}_{source_tag(*elements.values())}"
    replacements = implementations(dtype)
    names = {name: compile_element(function, replacements, tag) for name, function in elements.items() if function}
    counts = {
        "LANE": layout.units,
        "GATE": len(cell.gates),
        "EARLY": len(layout.early_gates),
        "LATE": layout.late,
        "STATE": len(cell.states),
        "PREACTIVATION": len(cell.preactivations),
        "SAVED": len(cell.saved),
    }
    names["HAS_LATE"] = layout.late > 0
    names |= {name: (0,) * count for name, count in counts.items()}
    names |= {
        "INPUT_TILE": layout.block_tile(len(cell.gates)),
        "EARLY_TILE": layout.block_tile(len(layout.early_gates)),
        "LATE_TILE": layout.block_tile(max(1, layout.late)),
        "PLANE_TILE": layout.plane_tile,
    }
    return Kernels(
        specialise(forward.run_forward, names, tag),
        specialise(backward.run_backward, names, tag),
    )
