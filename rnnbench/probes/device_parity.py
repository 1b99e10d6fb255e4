"""Whether a backend computes what the reference does, and the same each time: the check for a new GPU.

    forward_error, backward_error          max |a - b| / max |b| of the array that is furthest off NumPy's in float64;
                                           of training, that of losses and gradient norms, and that of the weights
    forward_tolerance, backward_tolerance  what they may come to: see backends/cuda/comparisons.py
    differing_runs                         of `runs` equal runs, those that gave any other bit than the first: a race
    run_difference                         the greatest relative difference of a run from the first
    passed                                 1 where both errors are within tolerance, and all runs the same

and of a layer on a GPU how it was launched: `path` (0 stepwise, 1 independent, 2 persistent), `blocks`,
`shared_memory` of a block, `cooperative` launch, and whether the GPU was `simulated`. A layer's sequences have lengths
of their own, states are not zero, and gradients by states, inputs and parameters are all compared. Training is that of
one layer in one direction, on a squared error of its last answer.

A trial that does not pass has all of these rows, and fails: the run says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field, PositiveInt, model_validator

from rnnbench import backends, cells
from rnnbench.backends.base import Backend
from rnnbench.backends.cuda import Cuda, comparisons, toolkit
from rnnbench.backends.cuda.comparisons import Shape
from rnnbench.probes._device import asked, launch_rows, usable
from rnnbench.probes._parameters import LayerParameters
from rnnbench.probes.base import Measurement, Probe, ProbeParameters, Seeds
from rnnbench.probes.comparison import Disagreement

PLANNED: Literal["planned"] = "planned"


class DeviceParityParameters(LayerParameters):
    """Axes of the probe device_parity."""

    work: Literal["layer", "training"] = Field(
        default="layer", description="a layer forward and backward, or two steps of training"
    )
    way: Literal["planned", "independent", "persistent", "stepwise"] = Field(
        default=PLANNED, description="how a layer runs on a GPU; any other way than the planned one is forced"
    )
    length: PositiveInt = Field(default=50, description="steps T")
    batch: PositiveInt = Field(default=9, description="sequences B")
    features: PositiveInt = Field(default=5, description="inputs I")
    runs: int = Field(default=10, ge=2, description="equal runs, compared bit by bit")

    @model_validator(mode="after")
    def _backend_has_it(self) -> DeviceParityParameters:
        if not isinstance(backends.get(self.backend), Cuda):
            if self.way != PLANNED:
                raise ValueError(f"expected way planned with the backend {self.backend}; only a GPU's can be forced")
            if self.work == "training":
                raise ValueError(f"expected work layer; the backend {self.backend} trains no network by itself")
        if self.work == "training" and self.way != PLANNED:
            raise ValueError(f"expected way planned where the work is training; found {self.way}")
        return self

    def memory_bytes(self) -> int:
        """Return what the layer keeps, on the host, for every run and twice more for the reference in float64."""
        return (self.runs + 2) * self.layer_bytes(self.length, self.batch)


class DeviceParity(Probe):
    """Errors of a backend beside the reference, differences between equal runs, and how a GPU was launched."""

    name = "device_parity"
    Parameters = DeviceParityParameters
    hardware_counts = True

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield errors, tolerances and the launch; Disagreement after them where anything is wrong."""
        assert isinstance(parameters, DeviceParityParameters)
        p = parameters
        usable(p.backend)
        with asked(Comparer, p.backend, cells.get(p.cell)) as comparer:
            rows, complaints = comparer.ask("compare", p, seeds.generator("problem"))
        yield from rows
        if complaints:
            raise Disagreement(f"{p.backend} and the reference: {'; '.join(complaints)}")


class Comparer:
    """Compares where kernels run."""

    def compare(self, p: DeviceParityParameters, rng: np.random.Generator) -> tuple[list[Measurement], list[str]]:
        """Return the rows of a trial, and what is wrong in words."""
        cell, shape = cells.get(p.cell), Shape(p.length, p.batch, p.features, p.hidden)
        backend = chosen(p, shape)
        compare = comparisons.compare if p.work == "layer" else comparisons.compare_training
        agreement = compare(backend, cell, p.dtype, shape, p.runs, rng)
        complaints = agreement.complaints()
        found = {"forward_error": agreement.forward_error, "backward_error": agreement.backward_error}
        found |= dict(zip(("forward_tolerance", "backward_tolerance"), agreement.tolerance, strict=True))
        found |= {"differing_runs": agreement.differing_runs, "run_difference": agreement.run_difference}
        rows = [Measurement(name, value, "1") for name, value in found.items()]
        rows.append(Measurement("passed", not complaints, "1"))
        if isinstance(backend, Cuda) and p.work == "layer":
            device = toolkit.device()
            launch = comparisons.launch(backend.limits or device.limits, cell, shape, p.dtype)
            rows += launch_rows(launch, device.simulated)
        return rows, complaints


def chosen(p: DeviceParityParameters, shape: Shape) -> Backend:
    """Return the backend, with limits under which the layer runs the way that is asked for."""
    backend = backends.get(p.backend)
    if p.way == PLANNED or not isinstance(backend, Cuda):
        return backend
    limits = comparisons.limits_for(toolkit.device().limits, p.way, cells.get(p.cell), shape, p.dtype)
    return type(backend)(limits)
