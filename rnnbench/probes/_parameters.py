"""Parameters that several probes share: names checked against the registries, sizes against their ranges."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field, PositiveInt, model_validator

from rnnbench import backends, cells, tasks
from rnnbench.initialization import SCHEMES
from rnnbench.probes.base import ProbeParameters
from rnnbench.registry import lookup


def _cell(name: str) -> str:
    return cells.get(name).name


def _backend(name: str) -> str:
    return backends.get(name).name


def _task(name: str) -> str:
    return tasks.get(name).name


def _scheme(name: str) -> str:
    lookup("initialization", name, SCHEMES)
    return name


CellName = Annotated[str, AfterValidator(_cell)]
BackendName = Annotated[str, AfterValidator(_backend)]
TaskName = Annotated[str, AfterValidator(_task)]
SchemeName = Annotated[str, AfterValidator(_scheme)]


class LayerParameters(ProbeParameters):
    """What a probe needs to make a layer."""

    cell: CellName = Field(default="lstm", description="a cell, see `rnnbench list cells`")
    hidden: PositiveInt = Field(default=64, description="units H")
    dtype: Literal["float32", "float64"] = "float32"
    backend: BackendName = Field(default="cpu", description="a backend, see `rnnbench list backends`")

    def layer_bytes(self, length: int, batch: int, backward: bool = True) -> int:
        """Return what one layer's run through T steps of B sequences keeps at least: weights, states, saved values.

        (T B (S + V) + H (H + 1) G) itemsize, for S states, V saved values and G gates; without backward S is h alone.
        """
        cell = cells.get(self.cell)
        kept = len(cell.states) + len(cell.saved) if backward else 1
        values = length * batch * self.hidden * kept + self.hidden * (self.hidden + 1) * len(cell.gates)
        return values * np.dtype(self.dtype).itemsize


class InitializedParameters(LayerParameters):
    """A layer's initial weights as axes."""

    initialization: SchemeName = Field(default="orthogonal", description=", ".join(SCHEMES))
    gain: float = Field(default=1.0, gt=0, description="multiplies W_hh")
    gate_bias: float | None = Field(default=1.0, description="of the gate that keeps memory; none where there is none")
    chrono: int | None = Field(default=None, ge=3, description="longest time in gate biases ln U(1, chrono - 1)")

    @model_validator(mode="before")
    @classmethod
    def _no_gate_no_bias(cls, values: Any) -> Any:
        """A cell without a memory gate has no bias for it, so that trials that differ by nothing are one."""
        name = values.get("cell", cls.model_fields["cell"].default)
        cell = cells.entries().get(name) if isinstance(name, str) else None
        if cell is not None and cell.memory_gate is None:
            return {**values, "gate_bias": None, "chrono": None}
        return {**values, "gate_bias": None} if values.get("chrono") is not None else values

    def initial(self) -> dict[str, Any]:
        """Return what Layer and Architecture are told about initial weights."""
        return {
            "initialization": self.initialization,
            "gain": self.gain,
            "gate_bias": self.gate_bias or 0.0,
            "chrono": self.chrono,
        }
