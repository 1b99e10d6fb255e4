"""The time loops compiled for one cell and dtype."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from rnnbench.backends.cpu import backward, forward, packing
from rnnbench.backends.cpu.compilation import compile_element, linked, specialise
from rnnbench.backends.cpu.elementary import implementations
from rnnbench.backends.cpu.layout import Layout
from rnnbench.backends.cpu.product import product_for
from rnnbench.backends.cpu.target import target
from rnnbench.backends.functions import source_tag
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
    tag = f"{cell.name}_{dtype}_x{target(dtype).lanes}_{source_tag(*elements.values())}"
    replacements = implementations(dtype)
    names: dict[str, Any] = {
        name: compile_element(function, replacements, tag) for name, function in elements.items() if function
    }
    counts = {
        "LANE": layout.units,
        "GATE": len(cell.gates),
        "STATE": len(cell.states),
        "MEMORY": len(cell.states) - 1,
        "PREACTIVATION": len(cell.preactivations),
        "SAVED": len(cell.saved),
    }
    names |= {name: (0,) * count for name, count in counts.items()}
    names |= {
        "HAS_LATE": layout.late > 0,
        "GROUP": layout.group,
        "INPUT_GATES": cell.input_gates,
        "EARLY_GATES": layout.early_gates,
        "LATE_GATES": layout.late_gates or (0,),
        "SEPARATE_GATES": tuple(range(len(cell.separate))) or (0,),
        "HAS_SEPARATE": len(cell.separate) > 0,
        "PLANE_TILE": layout.plane_tile,
        "SEPARATE_TILE": layout.block_tile(len(cell.separate) or 1),
    }
    for name, gates in {"INPUT": cell.input_gates, "EARLY": layout.early_gates, "LATE": names["LATE_GATES"]}.items():
        tile = layout.block_tile(len(gates))
        names[f"{name}_TILE"] = tile
        names[f"multiply_{name.lower()}"] = product_for(dtype, tile, ragged=False, ordered=name == "INPUT")
    names |= {
        "multiply_step": product_for(dtype, layout.plane_tile, ragged=True, ordered=False),
        "multiply_chunk": product_for(dtype, layout.plane_tile, ragged=True, ordered=True),
    }
    for function in (packing.pack_blocks, packing.pack_transpose, packing.pack_panels):
        names[function.__name__] = specialise(function, names, tag, decorate=linked)
    return Kernels(
        specialise(forward.run_forward, names, tag),
        specialise(backward.run_backward, names, tag),
    )
