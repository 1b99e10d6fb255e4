"""What is computed: one file per cell, equations only. A new file with a `Cell` in it is a new cell.

Cells of a user's own are registered: by `register`, by a file that a sweep names, or by an installed package,

    [project.entry-points."rnnbench.cells"]
    my_cell = "my_package.my_module:MY_CELL"
"""

from __future__ import annotations

from functools import cache

from rnnbench import registry
from rnnbench.cells._check import check
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError

GROUP = "rnnbench.cells"

_registered: dict[str, Cell] = {}


@cache
def shipped() -> dict[str, Cell]:
    """Return rnnbench's own cells by name."""
    return registry.instances(__name__, Cell)


@cache
def _installed() -> dict[str, Cell]:
    """Return the cells of other packages; InputError for one that is none, or whose gradients are wrong."""
    found = {}
    for where, cell in registry.installed(GROUP).items():
        if not isinstance(cell, Cell):
            raise InputError(f"{where}: expected a {Cell.__name__}")
        check(cell)
        found[cell.name] = cell
    return found


def entries() -> dict[str, Cell]:
    """Return every cell by name; none can take the place of one of rnnbench's own."""
    return {**_installed(), **_registered, **shipped()}


def register(cell: Cell) -> Cell:
    """Make a cell known by its name in this process, and return it; one registered before under the name gives way.

    Raises InputError, which names the cell, for a name that rnnbench has, for functions that don't fit the names, and
    for a gradient that differs from complex steps through forward_element: see `rnnbench.cells._check`.
    """
    if cell.name in shipped():
        raise InputError(f"cell '{cell.name}': rnnbench has a cell of that name; expected another")
    check(cell)
    _registered[cell.name] = cell
    return cell


def get(cell: str | Cell) -> Cell:
    """Return the cell of that name (a Cell is returned as it is); InputError names the nearest one."""
    return cell if isinstance(cell, Cell) else registry.lookup("cell", cell, entries())
