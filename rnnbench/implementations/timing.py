"""Seconds a call takes: samples of many calls, each after the caches are warm, none in which Numba compiled."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from rnnbench.backends.base import Arrays
from rnnbench.backends.compile_events import Compilations
from rnnbench.implementations.base import Implementation, Workload

SHORTEST_SAMPLE_S = 20e-3
"""A sample is as many calls as take this long, so that the clock's resolution and the threads' waking don't show."""
ATTEMPTS = 10
"""Samples in a row that may be thrown away before something is wrong."""
LONG_CALL_S = 0.5
"""A call as long as this needs no other to warm the caches for it."""
QUIET_S, QUIET_SHARE, LONGEST_WAIT_S = 16e-3, 0.1, 1.0
"""Longer than the tick by which systems count the time of a thread that never stops: 4 to 16 ms."""


class Sampler:
    """Times a call, the same number of times in a row in every sample.

    calls        how many that is
    call_s       seconds that one takes, roughly
    discarded    samples thrown away, and taken again, because Numba compiled during them
    unsettled    times that threads still used CPU when `rest` gave up
    """

    def __init__(
        self,
        call: Callable[[], object],
        compilations: Compilations | None = None,
        shortest_s: float = SHORTEST_SAMPLE_S,
    ) -> None:
        self.call, self.shortest_s = call, shortest_s
        self.compilations = compilations or Compilations()
        self.calls, self.call_s, self.discarded, self.unsettled = 1, 0.0, 0, 0

    def calibrate(self) -> None:
        """Warm up, and find how many calls a sample needs."""
        while (seconds := self._undisturbed()[0]) < self.shortest_s:
            needed = self.calls * self.shortest_s / max(seconds, 1e-9)
            self.calls = min(math.ceil(1.1 * needed), 10 * self.calls)  # by small steps: the first calls are slow
        self.call_s = seconds / self.calls

    def sample(self) -> float:
        """Return seconds a call, after one that is not timed; RuntimeError if Numba never stops compiling."""
        seconds, discarded = self._undisturbed()
        self.discarded += discarded
        return seconds / self.calls

    def rest(self) -> None:
        """Wait for threads to come to rest, and count if they do not."""
        self.unsettled += not settle()

    def _undisturbed(self) -> tuple[float, int]:
        """Return the seconds of a sample without a compilation in it, and how many came before it."""
        for discarded in range(ATTEMPTS):
            if self.call_s < LONG_CALL_S:
                self.call()  # others have emptied the caches
            before = self.compilations.count
            seconds = self._seconds()
            if self.compilations.count == before:
                return seconds, discarded
        raise RuntimeError(f"Numba compiled during each of {ATTEMPTS} samples in a row; expected compiled code to stay")

    def _seconds(self) -> float:
        """Time a sample as timeit does: without the collector of cyclic garbage, which runs at no fixed time."""
        enabled = gc.isenabled()
        gc.disable()
        try:
            start = time.perf_counter()
            for _ in range(self.calls):
                self.call()
            return time.perf_counter() - start
        finally:
            if enabled:
                gc.enable()


class Calibration(NamedTuple):
    """What a side had to do before it could be timed."""

    calls: int
    compile_seconds: float


class Sample(NamedTuple):
    """One sample of a side."""

    seconds: float
    """of one call"""
    discarded: int
    """samples thrown away until now"""
    unsettled: int
    """samples after which threads did not come to rest, until now"""


class Side:
    """One implementation; lives in a process of its own. Making it imports the library."""

    def __init__(self, implementation: type[Implementation]) -> None:
        self.implementation = implementation()
        self.compilations = Compilations()
        if self.implementation.uses_numba:
            self.compilations.__enter__()  # for as long as the process lives
        for package in self.implementation.packages:
            import_module(package)

    def prepare(self, workload: Workload, arrays: Arrays) -> None:
        """Take over a workload."""
        self.prepared = self.implementation.prepare(workload, arrays)
        self.sampler = Sampler(self.prepared.call, self.compilations)

    def outputs(self) -> Arrays:
        """Return what is compared."""
        found = self.prepared.outputs()
        settle()
        return found

    def calibrate(self) -> Calibration:
        """Warm up and fix the calls of a sample."""
        self.sampler.calibrate()
        settle()
        return Calibration(self.sampler.calls, self.compilations.seconds)

    def sample(self) -> Sample:
        """Take one sample."""
        seconds = self.sampler.sample()
        self.sampler.rest()
        return Sample(seconds, self.sampler.discarded, self.sampler.unsettled)


def settle() -> bool:
    """Wait until this process uses no CPU, a second at most; return whether it came to rest.

    Thread pools spin for a while after a call, on the others' cores: OpenMP's for some 5 ms, ONNX Runtime's for some
    40. To forbid them to (OMP_WAIT_POLICY, GOMP_SPINCOUNT, KMP_BLOCKTIME) would be simpler, and would time something
    else: what its users run spins, between the parts of a call as well.
    """
    end = time.perf_counter() + LONGEST_WAIT_S
    while time.perf_counter() < end:
        used, start = time.process_time(), time.perf_counter()
        time.sleep(QUIET_S)
        if time.process_time() - used < QUIET_SHARE * (time.perf_counter() - start):
            return True
    return False
