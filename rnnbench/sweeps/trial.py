"""One point of a sweep: what it is, and what came of it. This is all that a worker process needs."""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import psutil

import rnnbench
from rnnbench.backends.fingerprint import kernel_source_hash
from rnnbench.backends.threads import available_cores, use_threads
from rnnbench.errors import InputError
from rnnbench.probes.base import Diverged, Measurement, Probe, ProbeParameters, Seeds
from rnnbench.sweeps import plugins, sources
from rnnbench.sweeps.hardware import hardware
from rnnbench.sweeps.memory import PeakMemory
from rnnbench.sweeps.own_files import OwnFile

SCHEMA_VERSION = 1
"""Version of everything that is stored: a change of the rows' or the folder's layout raises it."""

Status = Literal["ok", "error", "diverged", "timeout", "killed", "out_of_memory"]


@cache
def _versions() -> dict[str, str]:
    """Return the versions that decide a trial's numbers, of this process."""
    return {f"{name}_version": version_of(name) for name in ("rnnbench", "numba", "numpy")}


@cache
def version_of(package: str) -> str:
    """Return the version of a package, "not installed" where there is none."""
    if package == rnnbench.__name__:
        return rnnbench.__version__  # also right in a checkout that is not installed
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@dataclass(frozen=True)
class Trial:
    """A probe and its parameters, all of them, as plain JSON values.

    Two trials are the same when their keys are; `timeout_s` and `exclusive` say how to run, not what it is.
    `packages` are those whose versions decide its numbers, besides rnnbench's own; `source_hash` is that of the files
    that do, `files` are a user's own, of which it needs a cell or task, and `hardware`, where it decides
    what is measured, is what that is. `memory_bytes` is the least that its arrays take.
    """

    probe: str
    parameters: dict[str, Any]
    exclusive: bool = False
    timeout_s: float | None = None
    packages: tuple[str, ...] = ()
    files: tuple[OwnFile, ...] = ()
    source_hash: str = ""
    hardware: str = ""
    memory_bytes: int = 0

    @classmethod
    def of(cls, probe: Probe, checked: ProbeParameters, timeout_s: float | None = None) -> Trial:
        """Return a probe's trial with parameters that it has checked, and the source and packages of this process."""
        parameters = json.loads(json.dumps(checked.model_dump(), default=str))
        packages = (*probe.packages(checked), *sources.numerical_packages(probe, parameters))
        source_hash = sources.source_hash(probe, parameters)
        return cls(
            probe.name,
            parameters,
            probe.exclusive,
            timeout_s,
            packages=tuple(dict.fromkeys(packages)),
            source_hash=source_hash,
            memory_bytes=checked.memory_bytes(),
        )

    @cached_property
    def key(self) -> str:
        """16 hex digits over schema version, probe, parameters, source, versions, and the hardware that is timed."""
        parts = {
            "schema_version": SCHEMA_VERSION,
            "probe": self.probe,
            "parameters": self.parameters,
            "source_hash": self.source_hash,
        }
        if self.files:
            parts["files"] = sorted(file.digest for file in self.files)
        if self.hardware:
            parts["hardware"] = self.hardware
        return hashlib.sha256(canonical(parts | self.versions).encode()).hexdigest()[:16]

    @property
    def versions(self) -> dict[str, str]:
        """The versions of `packages` in this process, each as NAME_version."""
        return {f"{name}_version": version_of(name) for name in self.packages}

    def here(self) -> Trial:
        """Return the trial as this process would run it: with its source, its packages' versions and its hardware."""
        source_hash = sources.source_hash(plugins.get(self.probe), self.parameters)
        return replace(self, source_hash=source_hash, hardware=hardware() if self.hardware else "")

    @property
    def identity(self) -> str:
        """What random numbers are drawn for besides the seed: the probe, so that trials of a seed are pairs."""
        return self.probe

    def label(self) -> str:
        """Return one short line for people: the probe and its parameters."""
        return " ".join([self.probe, *(f"{name}={value}" for name, value in self.parameters.items())])


@dataclass
class Outcome:
    """What came of one trial: its status, its rows, and the circumstances they were measured under."""

    key: str
    status: Status
    reason: str = ""
    traceback: str = ""
    rows: list[Measurement] = field(default_factory=list)
    started_at: str = ""
    runtime_s: float = float("nan")
    peak_memory_bytes: int | None = None
    kernel_source_hash: str = field(default_factory=kernel_source_hash)
    versions: dict[str, str] = field(default_factory=lambda: _versions().copy())
    source_hash: str = ""
    hardware: str = ""
    environment: str = ""
    """Names the entry of the run's provenance that describes where this was measured; "" where no process told."""
    git_commit: str | None = None
    git_diff_hash: str | None = None
    load_average: float | None = None
    """Of the last minute, over all of the machine, when the trial began."""
    environments: dict[str, Any] = field(default_factory=dict)
    """The description of `environment` by its name: for the run's provenance, not for each row."""


def perform(trial: Trial) -> Outcome:
    """Run one trial in this process and return what came of it; an exception of the probe becomes a status.

    Kernels get one thread, or every core where the probe measures times and so has the machine to itself.
    """
    outcome = Outcome(trial.key, "ok", started_at=datetime.now(UTC).isoformat(timespec="milliseconds"))
    outcome.versions |= trial.versions
    _tell_where(outcome)
    try:
        for file in trial.files:
            file.register()
        if trial.source_hash and (here := trial.here()).key != trial.key:
            raise InputError(_difference(trial, here))
        outcome.source_hash = trial.source_hash
        probe = plugins.get(trial.probe)
        parameters = probe.Parameters.model_validate_json(canonical(trial.parameters))
        seeds = Seeds(trial.parameters["seed"], trial.identity)
        with use_threads(available_cores() if trial.exclusive else 1), _measuring(outcome):
            for row in probe.measure(parameters, seeds):
                outcome.rows.append(_plain(row))
    except Diverged as error:
        outcome.status, outcome.reason = "diverged", one_line(error)
    except MemoryError as error:
        outcome.status, outcome.reason, outcome.traceback = (
            "out_of_memory",
            one_line(error),
            traceback.format_exc(),
        )
    except (Exception, SystemExit) as error:
        outcome.status, outcome.reason, outcome.traceback = "error", one_line(error), traceback.format_exc()
    return outcome


def _tell_where(outcome: Outcome) -> None:
    """Note the circumstances that this process measures under."""
    from rnnbench.sweeps.provenance import describe_environment, environment_id

    environment = describe_environment()
    git = environment["package_git"] or {}
    outcome.git_commit, outcome.git_diff_hash = git.get("commit"), git.get("diff_hash")
    outcome.hardware, outcome.load_average = hardware(), psutil.getloadavg()[0]
    outcome.environment = environment_id()
    outcome.environments = {outcome.environment: environment}


def _difference(trial: Trial, here: Trial) -> str:
    """Say in what this process differs from the one that named the trial."""
    if trial.source_hash != here.source_hash:
        found = f"source {here.source_hash}, of rnnbench {rnnbench.__version__}, where the run has {trial.source_hash}"
    elif trial.hardware != here.hardware:
        found = f"other hardware ({here.hardware}) than the run is measured on ({trial.hardware})"
    else:
        found = "other versions than the run: " + ", ".join(f"{n} {v}" for n, v in here.versions.items())
    return f"the worker has {found}; install the same on both"


@contextmanager
def _measuring(outcome: Outcome) -> Iterator[None]:
    """Note wall time and peak memory of the block, whether it succeeds or not."""
    memory = PeakMemory()
    try:
        with memory:
            start = time.perf_counter()
            yield
    finally:
        outcome.runtime_s = time.perf_counter() - start
        outcome.peak_memory_bytes = memory.peak_bytes


def _plain(row: Measurement) -> Measurement:
    """Return the row with plain Python numbers, so that NumPy scalars that a probe yields can be stored."""
    index = None if row.index is None else int(row.index)
    return Measurement(str(row.quantity), float(row.value), str(row.unit), index)


def one_line(error: BaseException) -> str:
    """Return `Type: message` on one line of at most 500 characters."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__


def canonical(value: Any) -> str:
    """Return the one JSON text of a value, sorted and without spaces; keys and identities hash it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
