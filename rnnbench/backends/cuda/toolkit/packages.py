"""numba-cuda itself, and the versions of what it comes with."""

from __future__ import annotations

from importlib import metadata
from typing import Any

PACKAGES = ("numba-cuda", "cuda-bindings", "nvidia-nvvm", "nvidia-nvjitlink")
"""Whose versions decide the machine code."""
CUPY = ("cupy-cuda12x", "cupy-cuda13x")


def version(package: str) -> str | None:
    """Return a package's version, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def numba_cuda() -> Any:
    """Return the module numba.cuda; ImportError where there is none."""
    from numba import cuda

    return cuda


def driver_version() -> str:
    """Return the newest version of CUDA that the driver knows."""
    from cuda.bindings import driver

    _, number = driver.cuDriverGetVersion()
    return f"{number // 1000}.{number % 1000 // 10}"
