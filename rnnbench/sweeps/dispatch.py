"""Run trials on Dask workers, and find out what became of those that never answer.

Dask does not say why a task was lost, knows no time limit for one, and blames whatever else was assigned to
a worker that dies. So the driver keeps the clock itself, kills the one worker whose trial is late, and
takes the death of a worker for a suspicion only: suspects run again, each alone, and what dies alone is
recorded with its cause. What is lost with a scheduler or on the way is no suspect: it is submitted again.
"""

from __future__ import annotations

import contextlib
import queue
import time
from asyncio import CancelledError
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator

from distributed import Future, client
from distributed.scheduler import KilledWorker

from rnnbench.backends.fingerprint import kernel_source_hash
from rnnbench.sweeps.cluster import START_TIMEOUT_S, Pool, SchedulerLost, WorkersLost
from rnnbench.sweeps.trial import Outcome, Trial, one_line, perform

POLL_S = 0.5
"""How often the driver looks at what is running; a time limit is kept to within this."""

IN_FLIGHT_PER_WORKER = 16
"""Enough submitted ahead to hide the way there and back; they wait at the scheduler, not at the worker."""

LOSSES = 3
"""A trial whose result was lost on the way more often than this is recorded as killed."""

PATIENCE_S = 10.0
"""So long a trial that runs alone may be assigned to no worker, before its place is looked at again."""

RESTARTS = 5
"""A scheduler that answers, and yet fails so many times in a row before any trial is finished, is given up."""

_LOST = (OSError, CancelledError, RuntimeError, getattr(client, "ClosedClientError", RuntimeError))
"""What Dask raises where the scheduler is gone, or its client has given up."""


def outcomes_of(
    pool: Pool, trials: Iterable[Trial], on_poll: Callable[[list[Trial]], None]
) -> Iterator[tuple[Trial, Outcome | None]]:
    """Yield each trial with its outcome as it finishes; None for a suspect, to be run again alone.

    `on_poll` is called a few times a second with the trials that run now.
    """
    return _Flight(pool, deque(trials), on_poll).outcomes()


class _Flight:
    """The trials that are submitted to a pool and not finished."""

    def __init__(self, pool: Pool, waiting: deque[Trial], on_poll: Callable[[list[Trial]], None]) -> None:
        self.pool, self.waiting, self.on_poll = pool, waiting, on_poll
        self.workers = pool.workers
        self.submitted: dict[str, tuple[Trial, Future]] = {}
        self.finished: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self.clocks: dict[str, dict[str, float]] = {}
        self.losses: Counter[str] = Counter()
        self.unassigned_since = time.monotonic()
        self.idle_since: float | None = None
        self.restarts = 0

    def outcomes(self) -> Iterator[tuple[Trial, Outcome | None]]:
        last_poll = time.monotonic()
        while self.waiting or self.submitted:
            try:
                if len(self.submitted) <= self._limit() // 2:
                    self._submit()
                yield from self._collect()
                if time.monotonic() - last_poll >= POLL_S:
                    yield from self._poll()
                    last_poll = time.monotonic()
            except _LOST as error:
                if self.pool.scheduler is None:
                    raise
                self._start_again(error)

    def _limit(self) -> int:
        return 1 if self.pool.alone else IN_FLIGHT_PER_WORKER * self.workers

    def _start_again(self, error: BaseException) -> None:
        """Find the scheduler again, and let all that was submitted there wait to be submitted anew."""
        self.restarts += 1
        if self.restarts > RESTARTS:
            raise SchedulerLost(f"the scheduler fails time and again: {one_line(error)}") from error
        self.pool.find_again()
        self.waiting.extendleft(reversed([trial for trial, _ in self.submitted.values()]))
        self.submitted.clear()
        self.clocks.clear()

    def _submit(self) -> None:
        batch = [self.waiting[place] for place in range(min(self._limit() - len(self.submitted), len(self.waiting)))]
        if not batch:
            return
        # A new name each time: Dask remembers that an old one failed.
        names = [f"trial-{trial.key}-{time.time_ns()}" for trial in batch]
        placement = self.pool.placement()
        self.submitted_at, self.unassigned_since = time.time(), time.monotonic()
        futures = self.pool.client.map(perform, batch, key=names, pure=False, **placement)
        for trial, future in zip(batch, futures, strict=True):
            self.waiting.popleft()
            self.submitted[str(future.key)] = (trial, future)
            future.add_done_callback(self.finished.put)

    def _collect(self) -> Iterator[tuple[Trial, Outcome | None]]:
        """Wait for the next poll at most, and yield what has finished by then."""
        done = [future for future in self._done() if future.key in self.submitted]
        if not done:
            return
        try:
            results = self.pool.gather([future for future in done if future.status == "finished"])
        except TimeoutError:  # a worker whose next kernel lets nothing else run; a poll stops that one when it is late
            for future in done:
                self.finished.put(future)
            return
        outcomes = {outcome.key: outcome for outcome in results}
        for future in done:
            trial, _ = self.submitted[str(future.key)]
            outcome = outcomes.get(trial.key)
            if outcome is None and future.status != "error":
                del self.submitted[str(future.key)]
                yield from self._lose(trial)
                continue
            judged = self._judge(trial, future) if outcome is None else _same_code(outcome)
            # Only here, where nothing can fail any more: a trial neither submitted nor waiting is lost.
            del self.submitted[str(future.key)]
            self.restarts = 0
            yield trial, judged

    def _done(self) -> list[Future]:
        """Return the futures that are done when the first of them is, or none until the next poll."""
        done: list[Future] = []
        with contextlib.suppress(queue.Empty):
            done.append(self.finished.get(timeout=POLL_S))
            while True:
                done.append(self.finished.get_nowait())
        return done

    def _judge(self, trial: Trial, future: Future) -> Outcome | None:
        """Return the outcome of a trial that sent none: a verdict if it ran alone, else None."""
        error = future.exception()
        if not isinstance(error, KilledWorker):
            return Outcome(trial.key, "error", one_line(error))  # such as a worker without rnnbench
        if not self.pool.alone:
            return None
        status, reason = self.pool.cause_of_death(self.submitted_at)
        return Outcome(trial.key, status, reason, runtime_s=time.time() - self.submitted_at)

    def _lose(self, trial: Trial) -> Iterator[tuple[Trial, Outcome | None]]:
        """Let a trial whose result was lost run again, unless that has become a habit."""
        self.losses[trial.key] += 1
        if self.losses[trial.key] <= LOSSES:
            self.waiting.appendleft(trial)
        else:
            reason = f"the worker or its result was lost {self.losses[trial.key]} times"
            yield trial, Outcome(trial.key, "killed", reason)

    def _poll(self) -> Iterator[tuple[Trial, Outcome | None]]:
        """Tell what runs now, and stop what is late."""
        assigned = self.pool.processing()
        self._tell_of_workers(len(assigned))
        running = list(self._running(assigned))
        self.on_poll([self.submitted[name][0] for _, name, _ in running])
        for worker, name, elapsed in running:
            trial, future = self.submitted[name]
            if trial.timeout_s is not None and elapsed > trial.timeout_s:
                self.pool.client.cancel([future], force=True)
                self.pool.kill(worker)
                del self.submitted[name]
                reason = f"stopped after its time limit of {trial.timeout_s:g} s"
                yield trial, Outcome(trial.key, "timeout", reason, runtime_s=elapsed)
        if running:
            self.unassigned_since = time.monotonic()
        elif self.pool.scheduler is None:
            self._give_up_on_workers()
        elif self.pool.alone and assigned and time.monotonic() - self.unassigned_since > PATIENCE_S:
            yield from self._move()

    def _tell_of_workers(self, count: int) -> None:
        """Submit as much ahead as there are workers for, and say when there are none."""
        self.workers = max(1, count)
        if count:
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = time.monotonic()
        elif self.idle_since < time.monotonic() - PATIENCE_S:
            self.pool.note("the cluster has no workers; waiting for one")
            self.idle_since = float("inf")

    def _give_up_on_workers(self) -> None:
        """Raise WorkersLost where this machine's own workers have taken no trial for long: they die as they start."""
        if time.monotonic() - self.unassigned_since > START_TIMEOUT_S:
            _, reason = self.pool.cause_of_death(self.submitted_at)
            raise WorkersLost(f"no worker took a trial for {START_TIMEOUT_S:g} s: {reason}")

    def _move(self) -> Iterator[tuple[Trial, Outcome | None]]:
        """Take back what no worker takes, for the host that it is bound to has gone."""
        for name, (trial, future) in list(self.submitted.items()):
            self.pool.client.cancel([future], force=True)
            del self.submitted[name]
            yield from self._lose(trial)

    def _running(self, assigned: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str, float]]:
        """Yield (worker, name, seconds) of the trial at the head of each worker's queue.

        A worker has one thread and runs first what came first: a trial's clock starts when it is at the head.
        """
        now = time.monotonic()
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


def _same_code(outcome: Outcome) -> Outcome:
    """Return the outcome, or an error where a remote worker has other kernels than the driver."""
    if outcome.kernel_source_hash == kernel_source_hash():
        return outcome
    reason = f"the worker's kernels have hash {outcome.kernel_source_hash}, the driver's {kernel_source_hash()}"
    return Outcome(outcome.key, "error", f"{reason}; install the same rnnbench on both")
