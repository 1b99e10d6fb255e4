"""What a layer costs: time forward, and forward and backward, beside the rate of a plain matrix product.

    sequence_step_rate      T B / time                                       sequence-steps a second
    flop_rate               2 G H (H + I) T B / time forward, three times as many with backward        GFLOP/s
    sgemm_flop_rate         of a large matrix product by NumPy's BLAS on the same threads: the line to reach

with I = H; forward alone keeps nothing for backward. Element-wise work is not counted. The layer and the matrix
product are timed in turn, repeat by repeat, so that both see the same neighbours; times are medians over repeats.
float64 is measured beside `dgemm_flop_rate`. On a GPU the device's own clock times what runs there, with numbers that
are there already, and `floor_time` is the least that the recurrence can take (see backends/cuda/timing.py). Times say
something about the machine they were taken on, ratios more than that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from pydantic import Field, PositiveInt

from rnnbench import backends, cells
from rnnbench.backends.compile_events import Compilations
from rnnbench.backends.threads import use_threads
from rnnbench.implementations.timing import Sampler
from rnnbench.layer import Layer
from rnnbench.probes._parameters import LayerParameters
from rnnbench.probes._threads import Threads, threads_to_use
from rnnbench.probes.base import Measurement, Probe, ProbeParameters, Seeds

MATRIX_SIZE = 1024
SHORTEST_SAMPLE_S = 10e-3
"""A sample is as many calls as take this long, so that the clock's resolution and the pool's waking don't show."""


class ThroughputParameters(LayerParameters):
    """Axes of the probe throughput."""

    length: PositiveInt = Field(default=100, description="steps T")
    batch: PositiveInt = Field(default=32, description="sequences B")
    direction: Literal["forward", "forward_backward"] = "forward_backward"
    repeats: int = Field(default=7, ge=3, description="timed samples")
    threads: Threads = None

    def memory_bytes(self) -> int:
        """Return what the layer keeps, and its inputs and their gradients, with I = H."""
        inputs = 2 * self.length * self.batch * self.hidden * np.dtype(self.dtype).itemsize
        return inputs + self.layer_bytes(self.length, self.batch, self.direction == "forward_backward")


class Throughput(Probe):
    """Sequence-steps and floating-point operations a second of one layer, beside the machine's own matrix product."""

    name = "throughput"
    Parameters = ThroughputParameters
    exclusive = True

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield the time of every repeat, and the rates of their median."""
        assert isinstance(parameters, ThroughputParameters)
        p = parameters
        if on_device := self._on_device(p):
            yield from on_device
            return
        layer = Layer(p.cell, p.hidden, p.hidden, p.dtype, p.backend, seeds.generator("weights"))
        rng = seeds.generator("inputs")
        x, d_h = (rng.standard_normal((p.length, p.batch, p.hidden)).astype(p.dtype) for _ in range(2))
        a, b = (rng.standard_normal((MATRIX_SIZE, MATRIX_SIZE)).astype(p.dtype) for _ in range(2))

        def run_layer() -> None:
            trace = layer.forward(x, store=p.direction == "forward_backward")
            if p.direction == "forward_backward":
                layer.backward(trace, d_h, state_sequence=False)
            layer.backend.synchronize()

        with use_threads(threads_to_use(p.threads)), Compilations() as compilations:
            samplers = [Sampler(call, compilations, SHORTEST_SAMPLE_S) for call in (run_layer, lambda: np.matmul(a, b))]
            for sampler in samplers:
                sampler.calibrate()
            compile_time = compilations.seconds
            samples = alternating_times(samplers, p.repeats)
        yield from rows(p, samples[0], 2 * MATRIX_SIZE**3 / np.median(samples[1]))
        yield Measurement("compile_time", compile_time, "s")
        yield Measurement("discarded_samples", samplers[0].discarded, "1")
        yield Measurement("unsettled_samples", sum(sampler.unsettled for sampler in samplers), "1")

    def _on_device(self, p: ThroughputParameters) -> list[Measurement]:
        """Return the rows of a backend with a clock of its own, none for any other."""
        shape, backward = (p.length, p.batch, p.hidden, p.hidden), p.direction == "forward_backward"
        backend = backends.get(p.backend)
        found = backend.device_seconds(cells.get(p.cell), shape, np.dtype(p.dtype), backward, p.repeats)
        if found is None:
            return []
        floor = [] if found.floor is None else [Measurement("floor_time", found.floor, "s")]
        return [*rows(p, found.layer, 2 * found.product_size**3 / found.product), *floor]


def rows(p: ThroughputParameters, times: np.ndarray, product_rate: float) -> Iterator[Measurement]:
    """Yield the time of every repeat, and what their median comes to beside the rate of a matrix product."""
    for repeat, seconds in enumerate(times):
        yield Measurement("time", seconds, "s", repeat)
    median = np.median(times)
    passes = 1 if p.direction == "forward" else 3
    operations = passes * 2 * len(cells.get(p.cell).gates) * p.hidden * 2 * p.hidden * p.length * p.batch
    gemm = "sgemm_flop_rate" if p.dtype == "float32" else "dgemm_flop_rate"
    yield Measurement("median_time", median, "s")
    yield Measurement("sequence_step_rate", p.length * p.batch / median, "sequence-step/s")
    yield Measurement("flop_rate", operations / median / 1e9, "GFLOP/s")
    yield Measurement(gemm, product_rate / 1e9, "GFLOP/s")
    yield Measurement("fraction_of_gemm", operations / median / product_rate, "1")


def alternating_times(samplers: Sequence[Sampler], repeats: int) -> np.ndarray:
    """Return seconds a call, (samplers, repeats): a sample of each in turn, threads at rest in between."""
    return np.array([[_settled(sampler) for sampler in samplers] for _ in range(repeats)]).T


def _settled(sampler: Sampler) -> float:
    seconds = sampler.sample()
    sampler.rest()
    return seconds
