"""What a probe is: parameters that pydantic checks, and a measurement that yields tidy rows."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field


class Measurement(NamedTuple):
    """One row of the table `measurements`; `index` is a step or a lag, None where the quantity is a scalar."""

    quantity: str
    value: float
    unit: str
    index: int | None = None  # type: ignore[assignment]


class ProbeParameters(BaseModel):
    """The axes of a probe with their defaults; a probe adds its own fields. Unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    seed: int = Field(default=0, ge=0, description="root of every random number in the trial")

    def memory_bytes(self) -> int:
        """Return how much memory the trial's arrays take at least; 0 where that is not known or little."""
        return 0


class Seeds:
    """Independent random streams of one trial, each told apart by what it is for.

    The same (seed, identity, purpose) gives the same stream alone, in a sweep, and on any worker. The engine's
    identity is the probe: trials of one seed start from the same numbers, so that cells, backends and recipes are
    compared in pairs.
    """

    def __init__(self, seed: int, identity: str) -> None:
        self._entropy = [seed, *_words(identity)]

    def generator(self, purpose: str) -> np.random.Generator:
        """Return the stream for one purpose, such as "weights", "training data" or "evaluation data"."""
        return np.random.default_rng(np.random.SeedSequence([*self._entropy, *_words(purpose)]))


def _words(text: str) -> list[int]:
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype=np.uint32).tolist()


class Diverged(ArithmeticError):
    """What is measured became NaN or infinite; rows yielded before it are kept, the trial's status says so."""


class Probe(ABC):
    """One kind of measurement. A subclass in its own file is found by name; the docstring's first line is its help."""

    name: ClassVar[str]
    Parameters: ClassVar[type[ProbeParameters]]
    exclusive: ClassVar[bool] = False
    """True where times are measured: the trial runs alone on the machine, with all of its cores."""
    hardware_counts: ClassVar[bool] = False
    """True where the hardware decides what is measured, though it is no time: part of a trial's key all the same."""

    def packages(self, parameters: ProbeParameters) -> tuple[str, ...]:
        """Return whose versions decide what is measured, besides rnnbench's own: part of a trial's key and record."""
        return ()

    @abstractmethod
    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield the rows of one trial."""
