"""Where the time of a step goes: one layer forward, beside the same layer without a part of its work.

    step_time       (time of T steps - time of 1 step) / (T - 1)                                   seconds a step
    call_time       time of 1 step - step_time: what a call costs however short, packing of weights included
    element_time    step_time - that of a cell of the same gates and states whose elements only add them up
    input_time      step_time - that of a layer with one feature instead of H
    product_time    what is left of step_time: the recurrent product, and what comes with it
    product_floor   the least time of that product: 2 B G H^2 operations at the rate of a large matrix product, or one
                    reading of W_hh at the rate of an array of its size, whichever is longer

Inference: nothing is kept for backward. All layers and the machine's rates are timed in turn, round by round; each
quantity is the median of the differences within rounds. Differences of times near each other are uncertain: what
comes out below 0 is 0 within the noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from pydantic import Field, PositiveInt

from rnnbench.backends.compile_events import Compilations
from rnnbench.backends.threads import use_threads
from rnnbench.cells.base import Cell, Scalars
from rnnbench.errors import InputError
from rnnbench.implementations.machine import Machine, Rates
from rnnbench.implementations.timing import Sampler
from rnnbench.layer import Layer
from rnnbench.probes._parameters import LayerParameters
from rnnbench.probes._threads import Threads, threads_to_use
from rnnbench.probes.base import Measurement, Probe, ProbeParameters, Seeds

SHORTEST_SAMPLE_S = 10e-3
SCALE = 0.25
"""Of the sums below: keeps the states of a linear recurrence small."""


class StepProfileParameters(LayerParameters):
    """Axes of the probe step_profile."""

    length: int = Field(default=65, ge=2, description="steps T")
    batch: PositiveInt = Field(default=1, description="sequences B")
    repeats: int = Field(default=11, ge=3, description="rounds")
    threads: Threads = 1


class StepProfile(Probe):
    """The parts of a step forward: input product, recurrent product, elements; and what a call costs by itself."""

    name = "step_profile"
    Parameters = StepProfileParameters
    exclusive = True

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield every part's median over the rounds, the floor of the product, and the machine's rates."""
        assert isinstance(parameters, StepProfileParameters)
        p, rng = parameters, seeds.generator("inputs")
        layer = Layer(p.cell, p.hidden, p.hidden, p.dtype, p.backend, seeds.generator("weights"))
        others = {
            "without elements": Layer(without_elements(layer.cell), p.hidden, p.hidden, p.dtype, p.backend),
            "one feature": Layer(layer.cell, 1, p.hidden, p.dtype, p.backend),
        }
        calls: list[Callable[[], object]] = []
        for each in (layer, *others.values()):
            for steps in (p.length, 1):
                x = rng.standard_normal((steps, p.batch, each.input_size)).astype(p.dtype)
                calls.append(partial(each.forward, x, store=False))
        threads = threads_to_use(p.threads)
        gates, itemsize = len(layer.cell.gates), layer.dtype.itemsize
        weights_bytes = gates * p.hidden**2 * itemsize
        with use_threads(threads), Compilations() as compilations:
            samplers = [Sampler(call, compilations, SHORTEST_SAMPLE_S) for call in calls]
            for sampler in samplers:
                sampler.calibrate()
            machine = Machine()
            machine.prepare(p.dtype, threads, weights_bytes)
            times, rates = [], []
            for _ in range(p.repeats):
                times.append([sampler.sample() for sampler in samplers])
                rates.append(machine.sample())
        rate = Rates(*np.median(rates, axis=0))
        yield from parts(np.array(times), p.length)
        operations = 2.0 * p.batch * gates * p.hidden**2
        yield Measurement("product_floor", max(operations / rate.flops, weights_bytes / rate.weights), "s")
        yield Measurement("weights", weights_bytes, "byte")
        yield Measurement("gemm_rate", rate.flops / 1e9, "GFLOP/s")
        yield Measurement("weights_bandwidth", rate.weights / 1e9, "GB/s")


def parts(times: np.ndarray, length: int) -> Iterator[Measurement]:
    """Yield the parts, given seconds (rounds, 6): of T steps and of 1, of the layer and its two others in turn."""
    steps = (times[:, 0::2] - times[:, 1::2]) / (length - 1)
    whole, elements, inputs = steps[:, 0], steps[:, 0] - steps[:, 1], steps[:, 0] - steps[:, 2]
    quantities = {
        "step_time": whole,
        "element_time": elements,
        "input_time": inputs,
        "product_time": whole - elements - inputs,
        "call_time": times[:, 1] - whole,
    }
    for name, seconds in quantities.items():
        yield Measurement(name, float(np.median(seconds)), "s")


def without_elements(cell: Cell) -> Cell:
    """Return a cell of the same gates and states whose elements only add up the pre-activations.

    InputError for a cell of more than four pre-activations.
    """
    sums = {1: sum_of_1, 2: sum_of_2, 3: sum_of_3, 4: sum_of_4}
    count = len(cell.preactivations)
    if count not in sums:
        raise InputError(f"a {cell.name} has {count} pre-activations; expected at most {max(sums)}")
    return replace(cell, name=f"{cell.name}_without_elements", saved=(), forward_element=sums[count])


def sum_of_1(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    """h' = z / 4; other states stay."""
    return (z[0] * SCALE, *state[1:]), ()


def sum_of_2(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    """h' = (z_0 + z_1) / 4; other states stay."""
    return ((z[0] + z[1]) * SCALE, *state[1:]), ()


def sum_of_3(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    """h' = (z_0 + z_1 + z_2) / 4; other states stay."""
    return ((z[0] + z[1] + z[2]) * SCALE, *state[1:]), ()


def sum_of_4(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    """h' = (z_0 + z_1 + z_2 + z_3) / 4; other states stay."""
    return ((z[0] + z[1] + z[2] + z[3]) * SCALE, *state[1:]), ()
