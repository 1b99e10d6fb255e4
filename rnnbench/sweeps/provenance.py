"""What a run ran on, and with what: enough to judge its numbers years later."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from rnnbench.backends.cuda import toolkit
from rnnbench.backends.fingerprint import kernel_source_hash
from rnnbench.backends.threads import available_cores
from rnnbench.sweeps.trial import SCHEMA_VERSION, version_of

_PACKAGES = (
    "rnnbench", "numba", "llvmlite", "numpy", "scipy", "pandas", "matplotlib", "dask", "distributed", "scikit-learn",
    "torch", "onnxruntime", "jax",
)  # fmt: skip
_THREAD_VARIABLES = (
    "RNNBENCH_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
)  # fmt: skip


def describe_run(command: str, source: Path | None, results: Path) -> dict[str, Any]:
    """Return provenance at the start of a run into the folder `results`; `source` is the sweep file, if any."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "kernel_source_hash": kernel_source_hash(),
        "package_git": git_state(Path(__file__), results),
        "sweep_git": git_state(source.resolve(), results) if source else None,
        "load_average_at_start": list(psutil.getloadavg()),
        **describe_software(),
        "machine": describe_machine(),
        **({"cuda": toolkit.describe()} if toolkit.installed() else {}),
    }


def describe_software() -> dict[str, Any]:
    """Return versions of Python and packages, the BLAS libraries loaded, and the thread variables set."""
    return {
        "versions": {"python": platform.python_version(), **{name: version_of(name) for name in _PACKAGES}},
        "blas": blas_libraries(),
        "thread_variables": {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
    }


@cache
def describe_machine() -> dict[str, Any]:
    """Return operating system, CPU, cores and memory; no host or user name. Takes a second, once."""
    import cpuinfo

    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    return {
        "os": platform.platform(),
        "cpu": cpuinfo.get_cpu_info().get("brand_raw") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cpu_max_mhz": (frequency and frequency.max) or None,
        "physical_cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(logical=True),
        "available_cores": available_cores(),
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "memory_bytes": psutil.virtual_memory().total,
        "python_build": f"{platform.python_implementation()} {platform.python_compiler()} on {sys.platform}",
    }


def blas_libraries() -> list[dict[str, Any]]:
    """Return name, version and threads of each BLAS and OpenMP library here; NumPy's is always one."""
    import numpy  # noqa: F401  (loads its BLAS)
    from threadpoolctl import threadpool_info

    wanted = ("internal_api", "version", "num_threads", "architecture", "threading_layer")
    return [{name: library[name] for name in wanted if name in library} for library in threadpool_info()]


def git_state(path: Path, results: Path) -> dict[str, Any] | None:
    """Return commit and dirty flag of the git tree that tracks a file; None without one, or git.

    What the run itself writes, below `results`, does not make the tree dirty.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(path.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout

    try:
        git("ls-files", "--error-unmatch", path.name)
        top = Path(git("rev-parse", "--show-toplevel").strip())
        changes = git("status", "--porcelain", "--untracked-files=all", "-z").split("\0")
        changed = [top / entry[3:] for entry in changes if entry]
        dirty = any(not file.is_relative_to(results.resolve()) for file in changed)
        return {"commit": git("rev-parse", "HEAD").strip(), "dirty": dirty}
    except (OSError, subprocess.SubprocessError):
        return None


def describe_installation() -> dict[str, Any]:
    """Return what `rnnbench info` shows: software, machine, threads, compiled kernels, backends."""
    from rnnbench import backends
    from rnnbench.backends.cpu.compilation import cache_folder
    from rnnbench.backends.threads import thread_count

    return {
        **describe_software(),
        "machine": describe_machine(),
        "kernel_threads": thread_count(),
        "kernel_source_hash": kernel_source_hash(),
        "compiled_code_cache": str(cache_folder()),
        "backends": sorted(backends.entries()),
        "cuda": toolkit.describe(),
    }
