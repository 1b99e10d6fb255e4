"""All that is imported of numba-cuda and CUDA, and everything private that is named of them: here and nowhere else.

    packages     numba-cuda itself, and versions            kernels    compiled, stored and loaded kernels
    intrinsics   what Numba has no function for, as LLVM     gpu        what kernels are made with, and run on

This face can be imported without numba-cuda, a driver or a GPU; `missing` then says what is not there. The test
tests/backends/cuda/test_cuda_canary.py names each private part, so that a new version cannot take one away unseen.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from rnnbench.backends.cuda.simulator import Simulator
from rnnbench.backends.cuda.toolkit.gpu import Gpu, Toolkit
from rnnbench.backends.cuda.toolkit.packages import CUPY, PACKAGES, driver_version, numba_cuda, version
from rnnbench.errors import InputError

__all__ = ["Gpu", "Toolkit", "describe", "device", "installed", "missing", "simulating"]

SIMULATE = "NUMBA_ENABLE_CUDASIM"
"""The variable of the environment that Numba's users know: with "1" kernels run as Python, on no GPU at all."""
OLDEST = 7, 0
"""The first compute capability with loads that acquire and additions that release."""
INSTALL = "python -m pip install 'rnnbench[cuda13]'  (cuda12 for a driver older than 580)"


def simulating() -> bool:
    """Return whether the simulator was asked for."""
    return os.environ.get(SIMULATE, "0") not in ("", "0")


def missing() -> str | None:
    """Return what keeps kernels from running here and what helps, None where nothing does."""
    return None if simulating() else _missing()


@cache
def _missing() -> str | None:
    try:
        cuda = numba_cuda()
    except ImportError as error:
        return f"numba-cuda cannot be imported ({error}); {INSTALL}"
    if getattr(cuda, "implementation", None) != "NVIDIA":
        return f"numba has only its old built-in CUDA target; {INSTALL}"
    try:
        gpu = cuda.get_current_device()
    except Exception as error:  # whatever the driver's loader raises, it is told in a line
        return f"no GPU can be used: {' '.join(str(error).split()).rstrip(': ')}"
    found = tuple(gpu.compute_capability[:2])
    if found < OLDEST:
        has, needs = (".".join(map(str, each)) for each in (found, OLDEST))
        return f"the GPU has compute capability {has}; expected {needs} or newer, whose blocks can wait for each other"
    return None


def installed() -> bool:
    """Return whether numba-cuda is here, usable or not."""
    return version("numba-cuda") is not None


def describe() -> dict[str, Any]:
    """Return what `rnnbench info` shows of CUDA: package, toolkit, driver, device, and what is missing."""
    found: dict[str, Any] = {name: version(name) for name in (*PACKAGES, *CUPY) if version(name)}
    lacking = missing()
    if lacking:
        return found | {"usable": False, "missing": lacking}
    gpu = device()
    limits = gpu.limits
    found |= {"usable": True, "device": limits.name, "compute_capability": list(limits.compute_capability)}
    found |= {"multiprocessors": limits.multiprocessors, "shared_bytes_of_a_block": limits.shared_bytes}
    return found | ({"simulated": True} if gpu.simulated else {"driver": driver_version()})


@cache
def device() -> Any:
    """Return the device that kernels run on: a Gpu or a Simulator; InputError says what is missing."""
    if simulating():
        return Simulator()
    lacking = missing()
    if lacking:
        raise InputError(f"the cuda backend cannot run here: {lacking}")
    return Gpu()
