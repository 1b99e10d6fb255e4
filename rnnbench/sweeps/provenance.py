"""What a run ran on, and with what: enough to judge its numbers years later.

Each row names the environment of the process that measured it, and a run's provenance.json describes all of them:
on a cluster, workers differ.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psutil

import rnnbench
from rnnbench.backends.cuda import toolkit
from rnnbench.backends.fingerprint import kernel_source_hash
from rnnbench.sweeps.hardware import describe_machine
from rnnbench.sweeps.trial import SCHEMA_VERSION, canonical, version_of

_PACKAGES = (
    "rnnbench", "numba", "llvmlite", "numpy", "scipy", "pandas", "matplotlib", "dask", "distributed", "scikit-learn",
    "torch", "onnxruntime", "jax",
)  # fmt: skip
_THREAD_VARIABLES = (
    "RNNBENCH_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
)  # fmt: skip


def describe_run(command: str, source: Path | None) -> dict[str, Any]:
    """Return provenance at the start of a run; `source` is the sweep file, if any."""
    environment = describe_environment()
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "kernel_source_hash": kernel_source_hash(),
        "package_git": environment["package_git"],
        "sweep_git": git_state(source.resolve()) if source else None,
        "load_average_at_start": list(psutil.getloadavg()),
        **describe_software(),
        "machine": {name: value for name, value in describe_machine().items() if name != "cpu_flags"},
        "environments": {environment_id(): environment},
    }


@cache
def describe_environment() -> dict[str, Any]:
    """Return all that is known of where this process measures: source, every installed version, machine."""
    return {
        "package_git": git_state(Path(rnnbench.__file__).parent),
        **describe_software(),
        "installed": installed_versions(),
        "machine": describe_machine(),
        **({"cuda": toolkit.describe()} if toolkit.installed() else {}),
    }


@cache
def environment_id() -> str:
    """Return 12 hex digits over the environment of this process, which its rows carry; not over what was timed in it.

    So processes of the same kind share one description, where the smallest step of the clock differs in each.
    """
    told = describe_environment()
    timer = {name: value for name, value in told["machine"]["timer"].items() if name != "smallest_step_s"}
    told = told | {"machine": told["machine"] | {"timer": timer}}
    return hashlib.sha256(canonical(told).encode()).hexdigest()[:12]


def installed_versions() -> dict[str, str]:
    """Return the version of every installed distribution, as imports find them: the first of a name on the path."""
    found: dict[str, str] = {}
    for each in distributions():
        name = each.metadata["Name"]
        if name:  # what is left of a broken installation has none
            found.setdefault(name, each.version)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def describe_software() -> dict[str, Any]:
    """Return versions of Python and packages, the BLAS libraries loaded, and the thread variables set."""
    return {
        "versions": {"python": platform.python_version(), **{name: version_of(name) for name in _PACKAGES}},
        "blas": blas_libraries(),
        "thread_variables": {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
    }


def blas_libraries() -> list[dict[str, Any]]:
    """Return name, version and threads of each BLAS and OpenMP library here; NumPy's is always one."""
    import numpy  # noqa: F401  (loads its BLAS)
    from threadpoolctl import threadpool_info

    wanted = ("internal_api", "version", "num_threads", "architecture", "threading_layer")
    return [{name: library[name] for name in wanted if name in library} for library in threadpool_info()]


def git_state(path: Path) -> dict[str, Any] | None:
    """Return what git says of a file or folder that it tracks; None without git.

    commit      the one that is checked out
    dirty       whether the file, or anything in the folder, differs from that commit
    diff_hash   16 hex digits over the differences and the new files; None where there are none
    """
    folder = path if path.is_dir() else path.parent
    name = "." if path.is_dir() else path.name

    def git(*arguments: str) -> bytes:
        command = ["git", "-C", str(folder), *arguments, "--", name]
        return subprocess.run(command, capture_output=True, check=True, timeout=10).stdout

    try:
        git("ls-files", "--error-unmatch")
        plain = ("--binary", "--no-ext-diff", "--no-textconv", "--no-color")  # whatever the user has git show
        digest = hashlib.sha256(difference := git("diff", "HEAD", *plain))
        added = [each for each in git("ls-files", "--others", "--exclude-standard", "-z").split(b"\0") if each]
        for each in added:
            digest.update(b"\0" + each + b"\0" + (folder / os.fsdecode(each)).read_bytes())
        dirty = bool(difference or added)
        commit = git("rev-parse", "HEAD").split()[0].decode()
        return {"commit": commit, "dirty": dirty, "diff_hash": digest.hexdigest()[:16] if dirty else None}
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
