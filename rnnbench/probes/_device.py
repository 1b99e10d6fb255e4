"""What probes of a device have in common: a process that ends with the trial, and how a layer was launched.

What a kernel damages may be all that comes after it in its process, and one that never ends cannot be stopped but with
it. So kernels of a GPU run in a process of their own: a trial costs itself, whatever it does. What cannot damage a
process, or is not known in another, runs in this one: NumPy, CPU kernels, the simulator, cells of a user's own file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rnnbench import backends, cells
from rnnbench.backends.cuda import Cuda, toolkit
from rnnbench.backends.cuda.comparisons import Launch
from rnnbench.backends.threads import available_cores
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError
from rnnbench.implementations.processes import THREAD_VARIABLES, Remote
from rnnbench.probes.base import Measurement

PATHS = ("stepwise", "independent", "persistent")
"""What the value of `path` stands for: a product and a kernel a step; one launch, of blocks that never meet; one
cooperative launch, of blocks that meet once a step."""


class Asked(Protocol):
    """An object that may live in another process."""

    def ask(self, method: str, *arguments: object) -> Any:
        """Call a method and return its result."""


class Here:
    """An object in this process, asked as one in another is."""

    def __init__(self, held: object) -> None:
        self._held = held

    def ask(self, method: str, *arguments: object) -> Any:
        """Call a method and return its result."""
        return getattr(self._held, method)(*arguments)


def usable(name: str) -> backends.base.Backend:
    """Return the backend of that name; InputError with the reason if it cannot run here."""
    backend = backends.get(name)
    if reason := backend.missing():
        raise InputError(f"the backend {name} cannot run here: {reason}")
    return backend


def stays_here(backend: str, cell: Cell) -> bool:
    """Return whether a trial of this backend and cell runs in this process."""
    own = cell is not cells.shipped().get(cell.name)
    return own or toolkit.simulating() or not isinstance(backends.get(backend), Cuda)


@contextmanager
def asked(make: Callable[[], object], backend: str, cell: Cell) -> Iterator[Asked]:
    """Make an object where trials of this backend and cell run; its process, where it has one, ends with the block."""
    if stays_here(backend, cell):
        yield Here(make())
        return
    # On any core, for others do the same beside it; what it computes on the host is little.
    threads = dict.fromkeys(THREAD_VARIABLES, "1")
    with Remote(backend, available_cores(), make, environment=threads) as process:
        yield process


def launch_rows(launch: Launch, simulated: bool) -> Iterator[Measurement]:
    """Yield how a layer was launched, and whether on a GPU of Python threads."""
    yield Measurement("path", PATHS.index(launch.path), "1")
    yield Measurement("blocks", launch.blocks, "1")
    yield Measurement("shared_memory", launch.shared_bytes, "byte")
    yield Measurement("cooperative", launch.path == "persistent", "1")
    yield Measurement("simulated", simulated, "1")
