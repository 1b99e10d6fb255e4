"""The Dask workers that run trials: this machine's own, or those of a cluster that runs already.

A cluster of others comes and goes: workers join and leave, its scheduler is restarted, the network fails. `Pool` finds
it again, and says where a trial that runs alone is to run. Ports of this machine's own cluster listen on the loopback
interface only. One elsewhere is asked for by its address; a `tls://` address takes certificates from Dask's
configuration, see experiments/README.md.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import dask
from distributed import Client, Future, LocalCluster, Security
from distributed.system import MEMORY_LIMIT

from rnnbench.errors import InputError
from rnnbench.sweeps.folder import RunStopped
from rnnbench.sweeps.hardware import hardware
from rnnbench.sweeps.processes import MAIN_GUARD, death_notices, end_process, interrupts_held, kill_process
from rnnbench.sweeps.trial import Status, one_line

CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 30
"""Who has not answered a question by then is taken for lost."""

RECONNECT_S = 600.0
"""So long a scheduler may be away: the time that a machine takes to start again."""

WORKERS_TIMEOUT_S = 60.0
"""So long a trial that needs one machine waits for the first worker of a cluster."""

START_TIMEOUT_S = 120.0
"""So long this machine's own workers may take no trial, though some wait: the time to start several times."""

Answer = TypeVar("Answer")

_CONFIGURATION = {
    "distributed.scheduler.allowed-failures": 0,  # a lost trial is told to the driver, which judges
    "distributed.scheduler.worker-saturation": 1.0,  # trials wait at the scheduler, not behind a long one
    "distributed.scheduler.worker-ttl": None,  # a worker may be silent for as long as a kernel runs
    # Dask's 15 s, from the death of a worker on, would close for good the nanny of one that is slow to start again, or
    # that has died once more by then.
    "distributed.deploy.lost-worker-timeout": "365 days",
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


class WorkersLost(RunStopped):
    """The workers of this machine die before they take a trial."""


class SchedulerLost(RunStopped):
    """The scheduler of a cluster went away and did not come back."""


def memory_limit(workers: int) -> int:
    """Return the bytes each of so many workers may use: equal shares of this machine or container."""
    return int(MEMORY_LIMIT // workers)


class Pool:
    """Dask workers, one thread each: a cluster of this machine's, or one that runs already at `scheduler`.

    `alone` is for trials that run one at a time: one worker that may use all of the memory. It starts with
    the environment of this process; what Dask adds by default, such as an eager malloc, would alter timings.
    `note` is told what a person should know.
    """

    def __init__(
        self, workers: int, scheduler: str | None = None, alone: bool = False, note: Callable[[str], object] = str
    ) -> None:
        self.alone, self.scheduler, self.note = alone, scheduler, note
        self.workers = workers
        self._resources = contextlib.ExitStack()
        self._deaths = self._resources.enter_context(death_notices())
        self._host = ""
        configuration: dict[str, Any] = dict(_CONFIGURATION)
        if alone:
            configuration["distributed.nanny.pre-spawn-environ"] = {}
        self._resources.enter_context(dask.config.set(configuration))
        with interrupts_held():
            try:
                self.client = self._start(workers) if scheduler is None else self._connect(scheduler)
            except BaseException:
                self._resources.close()
                raise

    def _connect(self, scheduler: str) -> Client:
        if scheduler.startswith("tls://") and Security().get_connection_args("client")["ssl_context"] is None:
            raise InputError(
                f"--scheduler {scheduler}: expected certificates in Dask's configuration, such as "
                "distributed.comm.tls.client.cert, and there are none; see experiments/README.md"
            )
        try:
            return Client(scheduler, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
        except Exception as error:  # whatever answers there may be no scheduler, and make Dask fail at anything
            raise InputError(
                f"--scheduler {scheduler}: cannot connect ({one_line(error)}); expected the address of a "
                "running Dask scheduler, such as tcp://127.0.0.1:8786"
            ) from None

    def _start(self, workers: int) -> Client:
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
        return Client(cluster, set_as_default=False)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self._leave()
        self._resources.close()

    def _leave(self) -> None:
        with contextlib.suppress(Exception):  # whatever a connection that has failed fails at
            self.client.close(timeout=2)

    def find_again(self) -> None:
        """Connect to a scheduler that was lost, as soon as it is there; SchedulerLost if it is not in time."""
        assert self.scheduler is not None
        self.note(f"the scheduler {self.scheduler} does not answer; waiting for it up to {RECONNECT_S:g} s")
        self._leave()
        deadline = time.monotonic() + RECONNECT_S
        while True:
            try:
                self.client = self._connect(self.scheduler)
                self.note(f"connected to {self.scheduler} again; trials that were running there start anew")
                return
            except InputError as error:
                if time.monotonic() > deadline:
                    raise SchedulerLost(f"the scheduler is lost: {error}") from None
                time.sleep(0.5)

    def ask(self, question: Callable[..., Awaitable[Answer]], *arguments: Any, **options: Any) -> Answer:
        """Return the answer to one of the client's asynchronous questions; OSError if there is none in time."""
        answer: Answer = self.client.sync(question, *arguments, callback_timeout=ANSWER_TIMEOUT_S, **options)
        return answer

    def gather(self, futures: list[Future]) -> list[Any]:
        """Return the results of finished futures, without those that were lost since; TimeoutError as of `ask`."""
        return self.ask(self.client._gather, futures, errors="skip") if futures else []

    def _known_scheduler(self) -> Any:
        """Return the scheduler to be asked; OSError where the client has given it up."""
        if self.client.scheduler is None:
            raise OSError(f"the connection to {self.scheduler} is closed")
        return self.client.scheduler

    def processing(self) -> dict[str, tuple[str, ...]]:
        """Return {worker: names of the tasks that are assigned to it}, of every worker."""
        return {worker: tuple(names) for worker, names in self.ask(self._known_scheduler().processing).items()}

    def worker_info(self) -> dict[str, dict[str, Any]]:
        """Return what the scheduler knows of each worker, by address."""
        return dict(self.ask(self._known_scheduler().identity, n_workers=-1)["workers"])

    def placement(self) -> dict[str, Any]:
        """Return where a trial is to run: anywhere, or alone always on the same host, so that times can be compared.

        Workers started with `--resources machine=1` are preferred; that keeps other clients off them. InputError
        where a cluster has no worker in time, WorkersLost where this machine has none.
        """
        if not self.alone:
            return {}
        deadline = time.monotonic() + (START_TIMEOUT_S if self.scheduler is None else WORKERS_TIMEOUT_S)
        while not (info := self.worker_info()):
            if time.monotonic() > deadline and self.scheduler is None:
                raise WorkersLost(f"no worker started in {START_TIMEOUT_S:g} s")
            if time.monotonic() > deadline:
                raise InputError("the Dask cluster has no workers; start one with `dask worker ADDRESS --nthreads 1`")
            time.sleep(0.2)
        declared = [worker for worker in info.values() if "machine" in worker["resources"]]
        hosts = {worker["host"] for worker in declared or info.values()}
        if self._host not in hosts:
            self._host = min(hosts)
        return {"workers": [self._host], "resources": {"machine": 1} if declared else None}

    def hardware(self) -> str:
        """Return the hardware of a worker where what runs alone is to run."""
        [host] = self.placement()["workers"]
        worker = min((address for address, info in self.worker_info().items() if info["host"] == host), default=host)
        try:
            return str(self.ask(self.client._run, hardware, workers=[worker])[worker])
        except Exception as error:  # it has gone, or has no rnnbench: Dask raises what the other side did
            raise InputError(
                f"--scheduler {self.scheduler}: worker {worker} does not tell its hardware ({one_line(error)}); "
                "expected workers with the same rnnbench installed"
            ) from None

    def kill(self, worker: str) -> None:
        """End a worker's process at once; its nanny starts another. Dask's own restart waits for the late trial.

        A worker without a nanny ends itself, if it still listens. One that cannot be reached is struck off, so that
        what waits behind the late trial runs elsewhere.
        """
        try:
            if self.worker_info().get(worker, {}).get("nanny"):
                self.ask(self.client._run, kill_process, workers=[worker], nanny=True)
            else:
                self.ask(self.client._run, end_process, workers=[worker])  # which never answers
        except Exception:  # it has just gone by itself, or cannot be reached: Dask raises what the other side did
            if self.scheduler is not None:
                with contextlib.suppress(OSError):
                    self.ask(self.client._run_on_scheduler, _strike_off, worker)

    def cause_of_death(self, since: float) -> tuple[Status, str]:
        """Return status and reason for a worker that died alone: what its nanny has noted since that time."""
        for stamp, event in self.ask(self._known_scheduler().events, topic="worker-restart-memory") or ():
            if stamp >= since:
                used = f"{event['rss'] / 2**30:.2f} GiB"
                return "out_of_memory", f"stopped at {used}, close to its worker's memory limit"
        deadline = time.monotonic() + (2 if self.scheduler is None else 0)  # the nanny may hear of it after us
        while True:
            if notices := [text for stamp, text in self._deaths if stamp >= since]:
                return "killed", notices[-1]
            if time.monotonic() >= deadline:
                return "killed", "the worker process was lost"
            time.sleep(0.02)


async def _strike_off(worker: str, dask_scheduler: Any) -> None:
    """Have the scheduler forget a worker; one that lives after all registers again."""
    await dask_scheduler.remove_worker(worker, stimulus_id=f"rnnbench-{time.time()}", close=False)


def _close(cluster: LocalCluster) -> None:
    """Close a cluster without waiting for what its workers are at."""
    with contextlib.suppress(TimeoutError, OSError):
        cluster.close(timeout=10)
