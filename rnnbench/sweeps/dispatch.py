"""Run trials on Dask workers, and find out what became of those that never answer.

Dask does not say why a task was lost, knows no time limit for one, and blames whatever else was assigned to
a worker that dies. So the driver keeps the clock itself, kills the one worker whose trial is late, and
takes the death of a worker for a suspicion only: suspects run again, each alone, and what dies alone is
recorded with its cause.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import dask
from distributed import Client, Future, LocalCluster
from distributed.scheduler import KilledWorker
from distributed.system import MEMORY_LIMIT

from rnnbench.backends.fingerprint import kernel_source_hash
from rnnbench.errors import InputError
from rnnbench.sweeps.hardware import hardware
from rnnbench.sweeps.processes import MAIN_GUARD, death_notices, interrupts_held, kill_process
from rnnbench.sweeps.trial import Outcome, Status, Trial, one_line, perform

POLL_S = 0.5
"""How often the driver looks at what is running; a time limit is kept to within this."""

IN_FLIGHT_PER_WORKER = 16
"""Enough submitted ahead to hide the way there and back; they wait at the scheduler, not at the worker."""

CONNECT_TIMEOUT_S = 10

_CONFIGURATION = {
    "distributed.scheduler.allowed-failures": 0,  # a lost trial is told to the driver, which judges
    "distributed.scheduler.worker-saturation": 1.0,  # trials wait at the scheduler, not behind a long one
    "distributed.scheduler.worker-ttl": None,  # a worker may be silent for as long as a kernel runs
    "distributed.worker.memory.target": False,  # trials hold no data that could be spilled to disk
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.preload": ["rnnbench.sweeps.preload"],
    "distributed.admin.system-monitor.disk": False,
    # Not Dask's own MALLOC_TRIM_THRESHOLD_: with it every step of a training run gives its arrays back to the system
    # and faults them in again.
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1, "MKL_NUM_THREADS": 1},
}


def memory_limit(workers: int) -> int:
    """Return the bytes each of so many workers may use: equal shares of this machine or container."""
    return int(MEMORY_LIMIT // workers)


class Pool:
    """Dask workers, one thread each: a cluster of this machine's, or one that runs already at `scheduler`.

    `alone` is for trials that run one at a time: one worker that may use all of the memory. It starts with
    the environment of this process; what Dask adds by default, such as an eager malloc, would alter timings.
    """

    def __init__(self, workers: int, scheduler: str | None = None, alone: bool = False) -> None:
        self.alone = alone
        self._resources = contextlib.ExitStack()
        self._deaths = self._resources.enter_context(death_notices())
        configuration: dict[str, Any] = dict(_CONFIGURATION)
        if alone:
            configuration["distributed.nanny.pre-spawn-environ"] = {}
        self._resources.enter_context(dask.config.set(configuration))
        with interrupts_held():
            try:
                self.client = self._connect(workers, scheduler)
            except BaseException:
                self._resources.close()
                raise
        self.workers = workers if scheduler is None else max(1, len(self._worker_info()))
        self.placement = self._one_machine() if alone else {}

    def _connect(self, workers: int, scheduler: str | None) -> Client:
        if scheduler is not None:
            try:
                return self._resources.enter_context(Client(scheduler, timeout=CONNECT_TIMEOUT_S))
            except (OSError, ValueError, TimeoutError) as error:
                raise InputError(
                    f"--scheduler {scheduler}: cannot connect ({one_line(error)}); expected the address of a "
                    "running Dask scheduler, such as tcp://127.0.0.1:8786"
                ) from None
        try:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # any port: several may run at once
                memory_limit=memory_limit(workers),
                resources={"machine": 1} if self.alone else None,
                silence_logs=logging.CRITICAL,
            )
        except RuntimeError as error:
            raise InputError(f"worker processes do not start ({error}); {MAIN_GUARD}") from error
        self._resources.callback(_close, cluster)
        return self._resources.enter_context(Client(cluster, set_as_default=False))

    def _worker_info(self) -> list[dict[str, Any]]:
        return list(self.client.scheduler_info(n_workers=-1)["workers"].values())

    def _one_machine(self) -> dict[str, Any]:
        """Return where what runs alone is to run: always on the same host, so that times can be compared.

        Workers started with `--resources machine=1` are preferred; that keeps other clients off them.
        """
        info = self._worker_info()
        if not info:
            raise InputError("the Dask cluster has no workers; start one with `dask worker ADDRESS --nthreads 1`")
        declared = [worker for worker in info if "machine" in worker["resources"]]
        host = min(worker["host"] for worker in declared or info)
        return {"workers": [host], "resources": {"machine": 1} if declared else None}

    def hardware(self) -> str:
        """Return the hardware of a worker where what runs alone is to run."""
        host = self.placement["workers"][0]
        worker = min(name for name, info in self.client.scheduler_info(n_workers=-1)["workers"].items() if info["host"] == host)
        return str(self.client.run(hardware, workers=[worker])[worker])

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()

    def run(
        self, trials: Iterable[Trial], on_poll: Callable[[list[Trial]], None]
    ) -> Iterator[tuple[Trial, Outcome | None]]:
        """Yield each trial with its outcome as it finishes; None for a suspect, to be run again alone.

        `on_poll` is called a few times a second with the trials that run now.
        """
        return _Flight(self, deque(trials), on_poll).outcomes()

    def cause_of_death(self, since: float) -> tuple[Status, str]:
        """Return status and reason for a worker that died alone: what its nanny has noted since that time."""
        for stamp, event in self.client.get_events("worker-restart-memory") or ():
            if stamp >= since:
                used = f"{event['rss'] / 2**30:.2f} GiB"
                return "out_of_memory", f"stopped at {used}, close to its worker's memory limit"
        deadline = time.monotonic() + 2  # the nanny may hear of a death after the scheduler does
        while time.monotonic() < deadline:
            if notices := [text for stamp, text in self._deaths if stamp >= since]:
                return "killed", notices[-1]
            time.sleep(0.02)
        return "killed", "the worker process was lost"


class _Flight:
    """The trials of one `Pool.run` that are submitted and not finished."""

    def __init__(self, pool: Pool, waiting: deque[Trial], on_poll: Callable[[list[Trial]], None]) -> None:
        self.pool, self.client, self.waiting, self.on_poll = pool, pool.client, waiting, on_poll
        self.limit = 1 if pool.alone else IN_FLIGHT_PER_WORKER * pool.workers
        self.submitted: dict[str, tuple[Trial, Future]] = {}
        self.finished: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self.clocks: dict[str, dict[str, float]] = {}

    def outcomes(self) -> Iterator[tuple[Trial, Outcome | None]]:
        last_poll = time.monotonic()
        while self.waiting or self.submitted:
            if len(self.submitted) <= self.limit // 2:
                self._submit()
            yield from self._collect()
            if time.monotonic() - last_poll >= POLL_S:
                yield from self._poll()
                last_poll = time.monotonic()

    def _submit(self) -> None:
        batch = [self.waiting.popleft() for _ in range(min(self.limit - len(self.submitted), len(self.waiting)))]
        if not batch:
            return
        # A new name each time: Dask remembers that an old one failed.
        names = [f"trial-{trial.key}-{time.time_ns()}" for trial in batch]
        self.submitted_at = time.time()
        futures = self.client.map(perform, batch, key=names, pure=False, **self.pool.placement)
        for trial, future in zip(batch, futures, strict=True):
            self.submitted[str(future.key)] = (trial, future)
            future.add_done_callback(self.finished.put)

    def _collect(self) -> Iterator[tuple[Trial, Outcome | None]]:
        """Wait for the next poll at most, and yield what has finished by then."""
        try:
            done = [self.finished.get(timeout=POLL_S)]
        except queue.Empty:
            return
        with contextlib.suppress(queue.Empty):
            while True:
                done.append(self.finished.get_nowait())
        done = [future for future in done if future.key in self.submitted]
        results = self.client.gather([f for f in done if f.status == "finished"], errors="skip")
        outcomes = {outcome.key: outcome for outcome in results}
        for future in done:
            trial, _ = self.submitted.pop(str(future.key))
            outcome = outcomes.get(trial.key)
            yield trial, self._judge(trial, future) if outcome is None else _same_code(outcome)

    def _judge(self, trial: Trial, future: Future) -> Outcome | None:
        """Return the outcome of a trial that sent none: a verdict if it ran alone, else None."""
        error = future.exception() if future.status == "error" else None
        if error is not None and not isinstance(error, KilledWorker):
            return Outcome(trial.key, "error", one_line(error))  # such as a worker without rnnbench
        if not self.pool.alone:
            return None
        status, reason = self.pool.cause_of_death(self.submitted_at)
        return Outcome(trial.key, status, reason, runtime_s=time.time() - self.submitted_at)

    def _poll(self) -> Iterator[tuple[Trial, Outcome | None]]:
        """Tell what runs now, and stop what is late."""
        running = list(self._running())
        self.on_poll([self.submitted[name][0] for _, name, _ in running])
        for worker, name, elapsed in running:
            trial, future = self.submitted[name]
            if trial.timeout_s is not None and elapsed > trial.timeout_s:
                del self.submitted[name]
                self.client.cancel([future], force=True)
                self._kill(worker)
                reason = f"stopped after its time limit of {trial.timeout_s:g} s"
                yield trial, Outcome(trial.key, "timeout", reason, runtime_s=elapsed)

    def _running(self) -> Iterator[tuple[str, str, float]]:
        """Yield (worker, name, seconds) of the trial at the head of each worker's queue.

        A worker has one thread and runs first what came first: a trial's clock starts when it is at the head.
        """
        now = time.monotonic()
        assigned = self.client.processing()
        self.clocks = {worker: self.clocks.get(worker, {}) for worker in assigned}
        for worker, names in assigned.items():
            # In the order first seen here, and in the order submitted for those first seen together.
            seen = [name for name in self.clocks[worker] if name in names]
            fresh = [name for name in self.submitted if name in names and name not in seen]
            clock = {name: self.clocks[worker].get(name, now) for name in seen + fresh if name in self.submitted}
            for behind in list(clock)[1:]:
                clock[behind] = now
            self.clocks[worker] = clock
            for name in list(clock)[:1]:
                yield worker, name, now - clock[name]

    def _kill(self, worker: str) -> None:
        """End a worker's process at once; its nanny starts another. Dask's own restart waits for the late trial."""
        with contextlib.suppress(OSError, KeyError, ValueError):  # it has just gone by itself
            self.client.run(kill_process, workers=[worker], nanny=True)


def _same_code(outcome: Outcome) -> Outcome:
    """Return the outcome, or an error where a remote worker has other kernels than the driver."""
    if outcome.kernel_source_hash == kernel_source_hash():
        return outcome
    reason = f"the worker's kernels have hash {outcome.kernel_source_hash}, the driver's {kernel_source_hash()}"
    return Outcome(outcome.key, "error", f"{reason}; install the same rnnbench on both")


def _close(cluster: LocalCluster) -> None:
    """Close a cluster without waiting for what its workers are at."""
    with contextlib.suppress(TimeoutError, OSError):
        cluster.close(timeout=10)
