"""Probes that do to their worker what real trials do on a bad day."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Literal

import numba
import numpy as np

from rnnbench.probes.base import Diverged, Measurement, Probe, ProbeParameters, Seeds

Deed = Literal[
    "finish",
    "sleep",
    "raise",
    "diverge",
    "hang",
    "hang_compiled",
    "kill",
    "segfault",
    "exit",
    "allocate",
    "memory_error",
]


@numba.njit
def _spin(step: int) -> int:
    """Never return, and never give up the GIL."""
    count = 0
    while count >= 0:
        count = (count + step) % 1000
    return count


class DeedParameters(ProbeParameters):
    """What the trial does, and numbers that tell trials apart."""

    deed: Deed = "finish"
    seconds: float = 0.0
    number: int = 0


class Misbehave(Probe):
    """Yield one row, do the deed, yield another row if still alive."""

    name = "misbehave"
    Parameters = DeedParameters

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        assert isinstance(parameters, DeedParameters)
        yield Measurement("before", seeds.generator("number").uniform(), "1", 0)
        getattr(self, f"_{parameters.deed}")(parameters)
        yield Measurement("after", seeds.generator("number").uniform(), "1", 1)

    def _finish(self, parameters: DeedParameters) -> None:
        pass

    def _sleep(self, parameters: DeedParameters) -> None:
        time.sleep(parameters.seconds)

    def _raise(self, parameters: DeedParameters) -> None:
        raise ZeroDivisionError("the denominator\nwas zero")

    def _diverge(self, parameters: DeedParameters) -> None:
        raise Diverged("the loss is NaN at step 3")

    def _hang(self, parameters: DeedParameters) -> None:
        while True:
            pass

    def _hang_compiled(self, parameters: DeedParameters) -> None:
        _spin(1)

    def _segfault(self, parameters: DeedParameters) -> None:
        ctypes.string_at(0)

    def _kill(self, parameters: DeedParameters) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _exit(self, parameters: DeedParameters) -> None:
        sys.exit("the probe called sys.exit")

    def _allocate(self, parameters: DeedParameters) -> None:
        held = []
        while True:
            held.append(np.ones(2_000_000))
            time.sleep(0.02)  # slower than the nanny looks

    def _memory_error(self, parameters: DeedParameters) -> None:
        np.empty(2**46)


class Timing(Misbehave):
    """The same, alone on the machine."""

    name = "timing"
    exclusive = True


class NamedParameters(ProbeParameters):
    """A text of the sweep's own."""

    label: str = ""


class Named(Probe):
    """Yield a row of the given name, and fail in its name."""

    name = "named"
    Parameters = NamedParameters

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        assert isinstance(parameters, NamedParameters)
        yield Measurement(parameters.label, 1.0, parameters.label)
        raise ValueError(f"the trial is named {parameters.label}")
