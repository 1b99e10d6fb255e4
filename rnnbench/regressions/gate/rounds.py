"""One round: a fresh process of each build, the same benchmarks in each, timed in turn, a few milliseconds at a time.

What a machine does to all (a neighbour's burst, heat, a changed clock) passes within seconds; between two builds whose
turns are milliseconds apart it cancels in their ratio. What is drawn anew with each process (addresses, the order of
allocations) is drawn once a round and build: the process is the unit of replication, and a round gives one ratio a
benchmark, of the medians of the two processes.

Sources: Kalibera & Jones 2013, "Rigorous benchmarking in reasonable time"; Bulej et al. 2020, "Duet benchmarking".
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnbench.regressions.gate.builds import Build

WORKER = Path(__file__).resolve().with_name("worker.py")
VISITS = 4
VISIT_S = 0.025
"""How often a benchmark is timed in a process, and for how long each time."""
PREPARE_TIMEOUT_S = 600.0
"""A first process compiles all kernels."""
VISIT_TIMEOUT_S = 120.0


class WorkerLost(RuntimeError):
    """A process ended, or did not answer in time; the message says what it printed last."""


class BenchmarkKilled(RuntimeError):
    """A benchmark took its process down: the round is lost, and the next one goes without it."""

    def __init__(self, side: str, identifier: str, reason: str) -> None:
        super().__init__(f"{identifier} on {side}: {reason}")
        self.side, self.identifier, self.reason = side, identifier, reason


class Worker:
    """A process of one build that times benchmarks on request."""

    def __init__(self, build: Build) -> None:
        self.build = build
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (open as long as the process)
        self._process = subprocess.Popen(
            [build.python, "-P", str(WORKER)],  # -P: no module of this folder shadows another
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=tempfile.gettempdir(),  # not in the tree, where `import rnnbench` would find it
            env=build.environment,
            text=True,
        )

    def send(self, **request: Any) -> None:
        """Send a request; WorkerLost where nobody is there to read it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._lost("ended") from None

    def receive(self, timeout_s: float) -> dict[str, Any]:
        """Return the answer; WorkerLost where the process ends, or does not answer in time."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                raise self._lost(f"did not answer within {timeout_s:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._lost("ended")
        return dict(json.loads(line))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()

    def _lost(self, what: str) -> WorkerLost:
        self._process.kill()
        code = self._process.wait()
        self._errors.seek(0)
        printed = self._errors.read().decode(errors="replace").strip().splitlines()[-5:]
        return WorkerLost("; ".join([f"the process {what} (exit code {code})", *printed]))


@contextlib.contextmanager
def workers(builds: Sequence[Build]) -> Iterator[dict[str, Worker]]:
    """Start a process of each build, and end them all."""
    started: dict[str, Worker] = {}
    try:
        for build in builds:
            started[build.side] = Worker(build)
        yield started
    finally:
        for each in started.values():
            each.close()


def prepare(build: Build, suite: Path, identifiers: Collection[str]) -> dict[str, str]:
    """Set every benchmark up in a build, which compiles its kernels; return why those that cannot run cannot.

    The reason is "skipped" for a benchmark that the commit knows it cannot do. Where a benchmark takes the process down
    with it, each is tried in a process of its own.
    """
    try:
        with workers([build]) as started:
            started[build.side].send(prepare=list(identifiers), suite=str(suite))
            return _reasons(started[build.side].receive(PREPARE_TIMEOUT_S))
    except WorkerLost as lost:
        if len(identifiers) == 1:
            return dict.fromkeys(identifiers, str(lost))
    reasons: dict[str, str] = {}
    for identifier in identifiers:
        reasons |= prepare(build, suite, [identifier])
    return reasons


def _reasons(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return why benchmarks cannot run, from the answer to `prepare`."""
    failed = {identifier: _last_line(traceback) for identifier, traceback in answer["failed"].items()}
    return dict.fromkeys(answer["skipped"], "skipped") | failed


def _last_line(traceback: str) -> str:
    return traceback.strip().splitlines()[-1]


def packages(build: Build) -> dict[str, str]:
    """Return the version of each package in a build's environment."""
    with workers([build]) as started:
        started[build.side].send(packages=True)
        return dict(started[build.side].receive(PREPARE_TIMEOUT_S)["packages"])


def run_round(
    builds: Sequence[Build], suite: Path, identifiers: Collection[str], rng: np.random.Generator
) -> dict[str, Any]:
    """Time every benchmark in a fresh process of each build; return what is stored of a round.

    medians   {side: {identifier: median seconds of a call}}
    counts    {side: {identifier: instructions of a call, or None}}
    failed    {side: {identifier: reason}}; such a benchmark has no median on that side

    All processes run on one core, drawn anew each round, and never two at a time. The order of benchmarks and that of
    the sides within each turn are drawn as well.
    """
    begun = time.perf_counter()
    core = _draw_core(rng)
    failed: dict[str, dict[str, str]] = {build.side: {} for build in builds}
    samples: dict[str, dict[str, list[float]]] = {build.side: {} for build in builds}
    counts: dict[str, dict[str, float | None]] = {build.side: {} for build in builds}
    order = list(rng.permutation(sorted(identifiers)))
    with workers(builds) as started:
        for process in started.values():  # each sets up while the others do
            process.send(prepare=order, suite=str(suite))
        for side, process in started.items():
            answer = process.receive(PREPARE_TIMEOUT_S)
            failed[side] = _reasons(answer)
        for visit in range(VISITS):
            for identifier in order:
                for side in rng.permutation(list(started)):
                    if identifier in failed[side]:
                        continue
                    taken = _ask(started[side], failed[side], identifier, time=identifier, seconds=VISIT_S, core=core)
                    samples[side].setdefault(identifier, []).extend(taken.get("samples", ()))
                    if visit == 0 and identifier not in failed[side]:
                        counted = _ask(started[side], failed[side], identifier, count=identifier)
                        counts[side][identifier] = counted.get("instructions")
    medians = {
        side: {
            identifier: float(np.median(values)) for identifier, values in own.items() if identifier not in failed[side]
        }
        for side, own in samples.items()
    }
    return {
        "core": core,
        "medians": medians,
        "counts": counts,
        "failed": failed,
        "seconds": time.perf_counter() - begun,
    }


def _ask(process: Worker, failed: dict[str, str], identifier: str, **request: Any) -> Mapping[str, Any]:
    """Return an answer; a failure is noted. BenchmarkKilled where the process is gone."""
    try:
        process.send(**request)
        answer = process.receive(VISIT_TIMEOUT_S)
    except WorkerLost as lost:
        raise BenchmarkKilled(process.build.side, identifier, str(lost)) from None
    if "failed" in answer:
        failed[identifier] = _last_line(answer["failed"])
    return answer


def _draw_core(rng: np.random.Generator) -> int | None:
    """Return one of the cores that may be used; None where the system has no such notion."""
    if sys.platform != "linux":
        return None
    return int(rng.choice(sorted(os.sched_getaffinity(0))))
