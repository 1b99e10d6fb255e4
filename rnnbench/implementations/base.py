"""What an implementation is: a library that computes the same layer from the same numbers.

Each runs in a process of its own (see worker.py), so that thread pools and compilers of different libraries never
meet. A new file with a subclass of `Implementation` in it is a new one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:  # a worker chooses its cores before NumPy starts threads
    from rnnbench.backends.base import Arrays

Direction = Literal["forward", "forward_backward", "training_step"]
Kind = Literal["cell", "direction", "dtype"]
"""Of what an implementation may have some and not others."""


@dataclass(frozen=True)
class Workload:
    """What is to be computed, and on how many threads.

    forward             h_t of every step (T, B, H), nothing kept for later
    forward_backward    also the gradients of sum(h * d_h) by x and by every parameter
    training_step       forward, squared error of a linear readout of h_T, backward, clipping, Adam
    """

    cell: str
    length: int
    batch: int
    features: int
    hidden: int
    direction: Direction
    dtype: str
    threads: int


class Prepared(ABC):
    """A workload in the hands of a library: weights and inputs in its own form, ready to be timed."""

    @abstractmethod
    def call(self) -> object:
        """Compute it once, and return when all of it is done; what comes back is dropped."""

    @abstractmethod
    def outputs(self) -> Arrays:
        """Compute it and return what is compared, in rnnbench's layouts and gate order.

        forward             h
        forward_backward    h, d_x and d_NAME of every parameter
        training_step       losses (N,) of one step on each of the N batches, in turn, from the given weights
        """


class Implementation(ABC):
    """One library. The docstring's first line is its help text.

    The class is imported in every process, the library in its worker only: import it inside of `prepare`.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    """What has to be importable; the times are those of these versions."""
    cells: ClassVar[tuple[str, ...]]
    """The cells it has."""
    directions: ClassVar[tuple[Direction, ...]] = ("forward", "forward_backward")
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64")
    uses_numba: ClassVar[bool] = False
    """True where Numba may compile during a call."""

    def missing(self) -> str | None:
        """Return why it cannot be used here, None where it can."""
        absent = [package for package in self.packages if find_spec(package) is None]
        if not absent:
            return None
        return f"{' and '.join(absent)} not installed; python -m pip install '.[peers]' in a clone of rnnbench"

    def refuses(self, kind: Kind, value: str) -> str | None:
        """Return why it has no such cell, direction or dtype, None where it has."""
        known = {"cell": self.cells, "direction": self.directions, "dtype": self.dtypes}[kind]
        if value in known:
            return None
        return f"{self.name} has no {kind} '{value}' here; expected one of {', '.join(known)}"

    def environment(self, workload: Workload) -> dict[str, str]:
        """Return environment variables that its process needs besides those that limit the threads of all."""
        return {}

    @abstractmethod
    def prepare(self, workload: Workload, arrays: Arrays) -> Prepared:
        """Take over weights and inputs, as problems.py makes them; called in the worker."""
