"""What is computed: one file per cell, equations only. A new file with a `Cell` in it is a new cell."""

from __future__ import annotations

from functools import cache

from rnnbench import registry
from rnnbench.cells.base import Cell


@cache
def entries() -> dict[str, Cell]:
    """Return every cell by name."""
    return registry.instances(__name__, Cell)


def get(cell: str | Cell) -> Cell:
    """Return the cell of that name (a Cell is returned as it is); InputError names the nearest one."""
    return cell if isinstance(cell, Cell) else registry.lookup("cell", cell, entries())
