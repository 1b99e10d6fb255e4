"""The same layer here and in another library, timed in turn, beside what the machine itself can do.

Each side runs in its own process, on the same cores, threads and numbers; a third process measures the machine. They
take turns, round by round, M A B, M B A, ...: what changes in the course of a trial meets all of them, each side goes
first as often as the other, and whoever is not asked uses no CPU. Outputs are compared before anything is timed.

    time, peer_time        seconds a call of ours and of the other library's, by round
    ratio                  median(peer_time) / median(time): above 1 this package is faster; with a 95 % interval
    floor_time             the least time that arithmetic and reading take at the machine's rates: see
                           rnnbench/implementations/floor.py
    fraction_of_floor      floor_time / median_time: 1 is as fast as it can be
    difference             max |a - b| / max |b| of the output that differs most
    unsettled_samples      after which threads still used CPU a second later, while others were timed
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field, PositiveInt, ValidationInfo, field_validator, model_validator

from rnnbench import implementations, tasks
from rnnbench.backends.base import Arrays
from rnnbench.errors import InputError
from rnnbench.implementations import problems
from rnnbench.implementations.base import Direction, Implementation, Workload
from rnnbench.implementations.floor import BOUNDS, Demands, demands, floor
from rnnbench.implementations.machine import Machine, Rates, largest_cache_bytes
from rnnbench.implementations.processes import Remote
from rnnbench.implementations.statistics import ratio_interval
from rnnbench.implementations.timing import Sample, Side
from rnnbench.probes._parameters import CellName
from rnnbench.probes._threads import Threads, threads_to_use
from rnnbench.probes.base import Measurement, Probe, ProbeParameters, Seeds

OURS = "rnnbench"
TOLERANCES = {"float32": 1e-4, "float64": 1e-10}
"""Differences that rounding explains: sums of thousands of products, carried over a thousand steps."""


class Disagreement(ArithmeticError):
    """Two implementations do not compute the same."""


def _implementation(name: str) -> str:
    return implementations.get(name).name


class ComparisonParameters(ProbeParameters):
    """Axes of the probe comparison."""

    implementation: Annotated[str, AfterValidator(_implementation)] = Field(
        default="torch", description="the other library, see `rnnbench list implementations`"
    )
    cell: CellName = Field(default="lstm", validate_default=True, description="a cell, see `rnnbench list cells`")
    length: PositiveInt = Field(default=100, description="steps T")
    batch: PositiveInt = Field(default=32, description="sequences B")
    hidden: PositiveInt = Field(default=64, description="units H")
    features: PositiveInt | None = Field(default=None, description="inputs I; as many as units unless given")
    direction: Direction = Field(default="forward_backward", validate_default=True)
    dtype: Literal["float32", "float64"] = Field(default="float32", validate_default=True)
    threads: Threads = None
    grid: str = Field(default="", description="the published benchmark that the shape is from")
    pairs: int = Field(default=11, ge=3, description="rounds, each with one sample of either side")

    @model_validator(mode="before")
    @classmethod
    def _features_follow(cls, values: Any) -> Any:
        """Without `features`, as many as units; the task of a training step has its own."""
        if values.get("features") is not None:
            return values
        training = values.get("direction") == "training_step"
        hidden = values.get("hidden", cls.model_fields["hidden"].default)
        return {**values, "features": tasks.get(problems.TASK).input_size if training else hidden}

    @field_validator("cell", "direction", "dtype")
    @classmethod
    def _library_has_it(cls, value: str, info: ValidationInfo) -> str:
        if name := info.data.get("implementation"):  # missing where it was refused itself
            kind: Any = info.field_name
            if reason := implementations.get(name).refuses(kind, value):
                raise ValueError(reason)
        return value

    @model_validator(mode="after")
    def _task_has_features(self) -> ComparisonParameters:
        size = tasks.get(problems.TASK).input_size
        if self.direction == "training_step" and self.features != size:
            raise ValueError(f"expected features {size}, as the task of a training step has; found {self.features}")
        return self

    def workload(self) -> Workload:
        """Return what is computed; InputError where there are fewer cores than threads."""
        assert self.features is not None
        sizes = (self.length, self.batch, self.features, self.hidden)
        return Workload(self.cell, *sizes, self.direction, self.dtype, threads_to_use(self.threads))


class Comparison(Probe):
    """Time of a layer or training step here and in another library, their ratio, and the machine's own floor."""

    name = "comparison"
    Parameters = ComparisonParameters
    exclusive = True

    def packages(self, parameters: ProbeParameters) -> tuple[str, ...]:
        """Return those of the other library."""
        assert isinstance(parameters, ComparisonParameters)
        return implementations.get(parameters.implementation).packages

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield the difference of outputs, the times of every round, and what they come to."""
        assert isinstance(parameters, ComparisonParameters)
        p = parameters
        workload = p.workload()
        sides = [usable(name) for name in (OURS, p.implementation)]
        arrays = problems.draw(workload, seeds.generator("problem"))
        needed = demands(workload)
        with ExitStack() as stack:
            ours, theirs = (stack.enter_context(start(side, workload)) for side in sides)
            machine = stack.enter_context(Remote("machine", workload.threads, Machine))
            for process in (ours, theirs):
                process.send("prepare", workload, arrays)
                process.send("outputs")
            machine.send("prepare", p.dtype, workload.threads, int(needed.weights_bytes))
            outputs, peer_outputs, _ = (process.finish() for process in (ours, theirs, machine))
            yield agreement(outputs, peer_outputs, p)
            compile_seconds = ours.ask("calibrate").compile_seconds
            theirs.ask("calibrate")
            found = []
            for number, each in enumerate(rounds(ours, theirs, machine, p.pairs)):
                yield Measurement("time", each.ours.seconds, "s", number)
                yield Measurement("peer_time", each.theirs.seconds, "s", number)
                found.append(each)
            unsettled = machine.ask("unsettled") + found[-1].ours.unsettled + found[-1].theirs.unsettled
        times, peer_times = (np.array([getattr(each, side).seconds for each in found]) for side in ("ours", "theirs"))
        rates = Rates(*np.median([each.machine for each in found], axis=0))
        yield from summary(times, peer_times, seeds.generator("bootstrap"))
        yield from floor_rows(needed, rates, np.median(times), np.median(peer_times))
        yield Measurement("compile_time", compile_seconds, "s")
        yield Measurement("discarded_samples", found[-1].ours.discarded, "1")
        yield Measurement("unsettled_samples", unsettled, "1")


class Round(NamedTuple):
    """What each of the three measured in one round."""

    ours: Sample
    theirs: Sample
    machine: Rates


def rounds(ours: Remote, theirs: Remote, machine: Remote, count: int) -> Iterator[Round]:
    """Yield round by round, the machine first, then each side as often before the other as after it."""
    for number in range(count):
        order = (machine, ours, theirs) if number % 2 == 0 else (machine, theirs, ours)
        found = {process: process.ask("sample") for process in order}
        yield Round(found[ours], found[theirs], found[machine])


def usable(name: str) -> Implementation:
    """Return the implementation of that name; InputError with the reason if it cannot be used here."""
    implementation = implementations.get(name)
    if reason := implementation.missing():
        raise InputError(reason)
    return implementation


def start(implementation: Implementation, workload: Workload) -> Remote:
    """Start the process of one side."""
    environment = implementation.environment(workload)
    return Remote(implementation.name, workload.threads, Side, type(implementation), environment=environment)


def agreement(ours: Arrays, theirs: Arrays, p: ComparisonParameters) -> Measurement:
    """Return the largest difference of outputs; Disagreement where rounding does not explain it."""
    difference, name = problems.largest_difference(ours, theirs)
    if not difference <= TOLERANCES[p.dtype]:
        raise Disagreement(
            f"{name} of {OURS} and {p.implementation} differ by {difference:.3g} of its largest value; "
            f"expected at most {TOLERANCES[p.dtype]:g} in {p.dtype}"
        )
    return Measurement("difference", difference, "1")


def summary(times: np.ndarray, peer_times: np.ndarray, rng: np.random.Generator) -> Iterator[Measurement]:
    """Yield the medians, and their ratio with its interval."""
    yield Measurement("median_time", np.median(times), "s")
    yield Measurement("peer_median_time", np.median(peer_times), "s")
    ratio = ratio_interval(times, peer_times, rng)
    yield Measurement("ratio", ratio.value, "1")
    yield Measurement("ratio_low", ratio.low, "1")
    yield Measurement("ratio_high", ratio.high, "1")


def floor_rows(needed: Demands, rates: Rates, time: float, peer_time: float) -> Iterator[Measurement]:
    """Yield the machine's rates and how close to its floor both sides are."""
    least, bound = floor(needed, rates, largest_cache_bytes())
    yield Measurement("gemm_rate", rates.flops / 1e9, "GFLOP/s")
    yield Measurement("memory_bandwidth", rates.memory / 1e9, "GB/s")
    yield Measurement("weights_bandwidth", rates.weights / 1e9, "GB/s")
    yield Measurement("floor_time", least, "s")
    yield Measurement("fraction_of_floor", least / time, "1")
    yield Measurement("peer_fraction_of_floor", least / peer_time, "1")
    yield Measurement("floor_bound", BOUNDS.index(bound), "1")
