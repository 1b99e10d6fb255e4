"""One point of a sweep: what it is, and what came of it. This is all that a worker process needs."""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import rnnbench
from rnnbench.backends.fingerprint import kernel_source_hash, measurement_source_hash
from rnnbench.backends.threads import available_cores, use_threads
from rnnbench.probes.base import Diverged, Measurement, Seeds
from rnnbench.sweeps import plugins
from rnnbench.sweeps.memory import PeakMemory

SCHEMA_VERSION = 1
"""Version of everything that is stored: a change of the rows' or the folder's layout raises it."""

Status = Literal["ok", "error", "diverged", "timeout", "killed", "out_of_memory"]


@cache
def _versions() -> dict[str, str]:
    """Return the versions that decide a trial's numbers, of this process."""
    return {f"{name}_version": version_of(name) for name in ("rnnbench", "numba", "numpy")}


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
    `packages` are those whose versions decide its numbers, besides rnnbench's own.
    """

    probe: str
    parameters: dict[str, Any]
    exclusive: bool = False
    timeout_s: float | None = None
    packages: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """16 hex digits over schema version, probe, parameters, versions and the source of all that measures."""
        parts = {
            "schema_version": SCHEMA_VERSION,
            "probe": self.probe,
            "parameters": self.parameters,
            "measurement_source_hash": measurement_source_hash(),
        }
        return hashlib.sha256(canonical(parts | self.versions).encode()).hexdigest()[:16]

    @property
    def versions(self) -> dict[str, str]:
        """The versions of `packages` in this process, each as NAME_version."""
        return {f"{name}_version": version_of(name) for name in self.packages}

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


def perform(trial: Trial) -> Outcome:
    """Run one trial in this process and return what came of it; an exception of the probe becomes a status.

    Kernels get one thread, or every core where the probe measures times and so has the machine to itself.
    """
    outcome = Outcome(trial.key, "ok", started_at=datetime.now(UTC).isoformat(timespec="milliseconds"))
    outcome.versions |= trial.versions
    try:
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
