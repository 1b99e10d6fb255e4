"""What a layer costs on a GPU: by the GPU's own clock, beside PyTorch on the same GPU and beside the floor.

    time, median_time                       seconds of a pass, by repeat, and their median
    floor_time, fraction_of_floor           the least that the recurrence can take, and that over median_time;
                                            none where each step is a product and a kernel
    torch_P_time, torch_P_median_time       the same of PyTorch (cuDNN) in precision P: fp32, tf32 and fp16
    torch_P_ratio                           torch_P_median_time / median_time: above 1 this package is faster

and how the layer was launched, as in device_parity. Ours is float32 throughout, without TF32. I = H; forward alone
keeps nothing for backward. Weights and inputs are on the device before the clock starts, and in none of its caches:
see backends/cuda/timing.py, and peers.py for PyTorch. Without PyTorch, or its cells, there are no rows of it; a
precision that fails is told when everything else is measured; one that takes the process with it takes those after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field, PositiveInt

from rnnbench import backends, cells
from rnnbench.backends.cuda import Cuda, comparisons, toolkit
from rnnbench.backends.cuda.comparisons import Shape
from rnnbench.implementations.processes import ProcessError
from rnnbench.probes._device import asked, launch_rows, usable
from rnnbench.probes._parameters import BackendName, LayerParameters
from rnnbench.probes.base import Measurement, Probe, ProbeParameters, Seeds

PRECISIONS = ("fp32", "tf32", "fp16")


class PeerFailed(RuntimeError):
    """PyTorch is here, and cannot run such a layer."""


def _on_device(name: str) -> str:
    if not isinstance(backends.get(name), Cuda):
        devices = ", ".join(each for each, backend in backends.entries().items() if isinstance(backend, Cuda))
        raise ValueError(f"expected a backend of a GPU: {devices}; the probe throughput times {name}")
    return name


class DeviceSpeedParameters(LayerParameters):
    """Axes of the probe device_speed."""

    backend: Annotated[BackendName, AfterValidator(_on_device)] = Field(
        default="cuda", description="a backend of a GPU, see `rnnbench list backends`"
    )
    dtype: Literal["float32"] = "float32"
    length: PositiveInt = Field(default=1024, description="steps T")
    batch: PositiveInt = Field(default=16, description="sequences B")
    direction: Literal["forward", "forward_backward"] = "forward_backward"
    repeats: int = Field(default=15, ge=3, description="timed passes")

    @property
    def backward(self) -> bool:
        """Whether a pass is forward and backward."""
        return self.direction == "forward_backward"


class DeviceSpeed(Probe):
    """Time of a layer on a GPU, of PyTorch's in three precisions on the same GPU, and the floor of the recurrence."""

    name = "device_speed"
    Parameters = DeviceSpeedParameters
    exclusive = True

    def packages(self, parameters: ProbeParameters) -> tuple[str, ...]:
        """Return PyTorch and the cuDNN that comes with it."""
        return "torch", "nvidia-cudnn-cu12", "nvidia-cudnn-cu13"

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield our times, then PyTorch's by precision; PeerFailed at last where one of them cannot be had."""
        assert isinstance(parameters, DeviceSpeedParameters)
        p, failures = parameters, []
        usable(p.backend)
        with asked(Stopwatch, p.backend, cells.get(p.cell)) as stopwatch:
            times, rows = stopwatch.ask("ours", p)
            yield from timed("", times)
            yield from rows
            for precision in PRECISIONS:
                try:
                    peer_times = stopwatch.ask("theirs", p, precision)
                except (PeerFailed, ProcessError) as error:
                    failures.append(f"{precision}: {error}")
                    continue
                if peer_times is not None:
                    yield from timed(f"torch_{precision}_", peer_times)
                    yield Measurement(f"torch_{precision}_ratio", np.median(peer_times) / np.median(times), "1")
        if failures:
            raise PeerFailed(f"PyTorch was not timed in {'; '.join(failures)}")


def timed(prefix: str, times: np.ndarray) -> Iterator[Measurement]:
    """Yield the time of every repeat, and their median."""
    for repeat, seconds in enumerate(times):
        yield Measurement(f"{prefix}time", seconds, "s", repeat)
    yield Measurement(f"{prefix}median_time", np.median(times), "s")


class Stopwatch:
    """Takes times where kernels run."""

    def ours(self, p: DeviceSpeedParameters) -> tuple[np.ndarray, list[Measurement]]:
        """Return the seconds of every pass, and rows of the floor and of how the layer was launched."""
        backend, cell, device = backends.get(p.backend), cells.get(p.cell), toolkit.device()
        shape, dtype = Shape(p.length, p.batch, p.hidden, p.hidden), np.dtype(p.dtype)
        found = backend.device_seconds(cell, shape, dtype, p.backward, p.repeats)
        assert found is not None
        rows = list(launch_rows(comparisons.launch(device.limits, cell, shape, p.dtype), device.simulated))
        if found.floor is not None:
            rows.append(Measurement("floor_time", found.floor, "s"))
            rows.append(Measurement("fraction_of_floor", found.floor / np.median(found.layer), "1"))
        return found.layer, rows

    def theirs(self, p: DeviceSpeedParameters, precision: str) -> np.ndarray | None:
        """Return the seconds of every pass of PyTorch's; None where there is none, PeerFailed with its reason."""
        from rnnbench.backends.cuda import peers, timing
        from rnnbench.backends.cuda.layers import Sizes

        sizes, filler_bytes = Sizes(p.length, p.batch, p.hidden, p.hidden), timing.filler_bytes(toolkit.device().limits)
        try:
            return peers.torch_seconds(p.cell, sizes, precision, p.backward, p.repeats, filler_bytes)
        except Exception as error:  # cuDNN's, or of how PyTorch is installed
            raise PeerFailed(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from error
