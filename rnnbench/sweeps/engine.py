"""Run a sweep: what is missing and nothing else, and come back with a row for every trial whatever it did."""

from __future__ import annotations

import json
import shlex
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench import backends
from rnnbench.backends.memory import SMALL_BYTES
from rnnbench.backends.threads import available_cores
from rnnbench.errors import InputError
from rnnbench.sweeps import packs, plugins, spec
from rnnbench.sweeps.folder import RunFolder, write_text
from rnnbench.sweeps.hardware import hardware
from rnnbench.sweeps.processes import refuse_to_nest
from rnnbench.sweeps.progress import Reporter, Silent, reporter
from rnnbench.sweeps.provenance import describe_run
from rnnbench.sweeps.store import DamagedTrial, Results, StoredTrial, data_hash, read_trial, read_trials, write_trial
from rnnbench.sweeps.trial import Outcome, Trial, perform

if TYPE_CHECKING:
    from rnnbench.sweeps.cluster import Pool

DEFAULT_FOLDER = Path("results")


@dataclass(frozen=True)
class Summary:
    """What a run came to: trials that are ok (run now), failed, and reused from before."""

    path: Path
    ok: int
    failed: int
    reused: int


def run(
    sweep: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    jobs: int | None = None,
    set: Sequence[str] = (),
    timeout: float | None = None,
    fresh: bool = False,
    scheduler: str | None = None,
    progress: bool | Reporter | None = None,
    full: bool = False,
    code: Sequence[str | Path] = (),
) -> Results:
    """Run a sweep and return its results; arguments as for `execute`.

    Worker processes import the main module of a script: call this under `if __name__ == "__main__":` there.

    >>> results = rnnbench.run("experiments/quickstart.toml", set=["hidden=[16, 32]"])   # doctest: +SKIP
    """
    return Results.load(execute(sweep, out, jobs, set, timeout, fresh, scheduler, progress, full, code).path)


def execute(
    sweep: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    jobs: int | None = None,
    assignments: Sequence[str] = (),
    timeout: float | None = None,
    fresh: bool = False,
    scheduler: str | None = None,
    progress: bool | Reporter | None = None,
    full: bool = False,
    code: Sequence[str | Path] = (),
) -> Summary:
    """Run what a sweep has not run yet, store every trial, and return the counts.

    sweep        a sweep file, or the same as a mapping
    out          the folder in which the run gets a folder of its name; "results" by default
    jobs         worker processes, one a core by default; 0 runs in this process, without time limits
    assignments  `key=value` overrides of the sweep
    timeout      seconds that each trial may take, whatever the sweep says
    fresh        run finished trials again as well; each file is replaced when its new one is there
    scheduler    the address of a running Dask scheduler; its workers need rnnbench and one thread each
    progress     False for none, or an object with the methods of `Reporter`
    full         the sweep at its full size: with the overrides of its table [full]
    code         Python files that the sweep names and may run, for their cells and tasks; or the folders they are in

    InputError if the input is wrong, StorageError if results cannot be written. KeyboardInterrupt ends the
    run between two files: what is finished stays, and the next call runs the rest.
    """
    refuse_to_nest()
    check_arguments(jobs, timeout, scheduler)
    resolved = spec.load(sweep, assignments, full, code)
    folder = RunFolder(Path(out or DEFAULT_FOLDER) / resolved.name)
    trials = placed(resolved.trials, timeout, scheduler)
    with folder.locked():
        return _Run(folder, resolved, trials, _reporter(progress)).execute(_source(sweep), jobs, fresh, scheduler)


def placed(trials: Sequence[Trial], timeout: float | None, scheduler: str | None) -> list[Trial]:
    """Return the trials with the time limit of the command, and those that hang on the hardware with what it is."""
    if timeout is not None:
        trials = [replace(trial, timeout_s=timeout) for trial in trials]
    if not any(map(_hangs_on_hardware, trials)):
        return list(trials)
    place = _timed_hardware(scheduler)
    return [replace(trial, hardware=place) if _hangs_on_hardware(trial) else trial for trial in trials]


def _hangs_on_hardware(trial: Trial) -> bool:
    return trial.exclusive or plugins.get(trial.probe).hardware_counts


def check_arguments(jobs: int | None, timeout: float | None, scheduler: str | None) -> None:
    """Raise InputError for options that cannot be, or not together."""
    if jobs is not None and jobs < 0:
        raise InputError(f"--jobs {jobs}: expected a whole number >= 0; 0 runs in this process")
    if timeout is not None and not 0 < timeout < float("inf"):
        raise InputError(f"--timeout {timeout:g}: expected seconds, more than 0")
    if jobs == 0 and timeout is not None:
        raise InputError("--jobs 0 runs in this process, which cannot stop itself; --timeout needs at least one job")
    if jobs == 0 and scheduler is not None:
        raise InputError("--jobs 0 runs in this process; it cannot be combined with --scheduler")


def _timed_hardware(scheduler: str | None) -> str:
    """Return the hardware that trials are timed on, which is part of their keys."""
    if scheduler is None:
        return hardware()
    with _pool(1, scheduler, alone=True) as pool:
        return pool.hardware()


def _reporter(progress: bool | Reporter | None) -> Reporter:
    if progress is None or progress is True:
        return reporter()
    return progress or Silent()


def _source(sweep: str | Path | Mapping[str, Any]) -> Path | None:
    return None if isinstance(sweep, Mapping) else Path(sweep)


def finished_keys(folder: RunFolder, trials: Sequence[Trial], note: Callable[[str], object]) -> frozenset[str]:
    """Return the keys of the trials that are ok; note which files are damaged, whose trials run again."""
    keys = [trial.key for trial in trials]
    found = packs.packed(folder, keys)
    for key in keys:
        try:
            found[key] = found.get(key) or read_trial(folder.trial(key))
        except FileNotFoundError:
            continue
        except DamagedTrial as error:
            note(f"{error}; the trial is run again")
    return frozenset(key for key, stored in found.items() if stored.record["status"] == "ok")


class _Run:
    """One run: the trials that are left, and where their outcomes go."""

    def __init__(self, folder: RunFolder, sweep: spec.Sweep, trials: Sequence[Trial], report: Reporter) -> None:
        self.folder, self.sweep, self.trials, self.report = folder, sweep, trials, report
        self.ok = self.failed = 0
        self.provenance: dict[str, Any] = {}

    def execute(self, source: Path | None, jobs: int | None, fresh: bool, scheduler: str | None) -> Summary:
        before = self.folder.prepare()
        self.folder.discard_temporary()
        if fresh:
            packs.discard(self.folder)
        finished = frozenset() if fresh else finished_keys(self.folder, self.trials, self.report.note)
        todo = [trial for trial in self.trials if trial.key not in finished]
        reused = len(self.trials) - len(todo)
        if scheduler is None:
            check_backends(todo)
        keys = "".join(f"{trial.key}\n" for trial in self.trials)
        if not todo and before is not None and self._is_finished(before, keys):
            self._write_sweep(keys)
            return Summary(self.folder.path, 0, 0, reused)
        provenance = describe_run(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]), source)
        environments = (before or {}).pop("environments", {}) | provenance["environments"]
        self.provenance = provenance | {
            "run_id": uuid.uuid4().hex[:12],
            "jobs": jobs,
            "scheduler": scheduler,
            "started_at": _now(),
            "earlier_runs": _earlier(before) if reused else [],
            "environments": environments,
        }
        if before is not None:
            self._write_provenance()  # whose hash was that of the trials before
        self._write_sweep(keys)
        if before is None:
            self._write_provenance()  # with it the folder is that of a run
        self._run_all(todo, reused, jobs, scheduler)
        stored = read_trials(self.folder, [trial.key for trial in self.trials])
        self.provenance |= {"data_hash": data_hash(stored), "finished_at": _now()}
        self._write_provenance()
        return Summary(self.folder.path, self.ok, self.failed, reused)

    def _is_finished(self, before: dict[str, Any], keys: str) -> bool:
        """Whether the run before came to its end, with these trials."""
        named = self.folder.keys.read_bytes() if self.folder.keys.is_file() else b""
        return "data_hash" in before and named == keys.encode()

    def _write_sweep(self, keys: str) -> None:
        self.folder.write_files(self.sweep.files)
        write_text(self.folder.sweep, self.sweep.to_toml())
        write_text(self.folder.keys, keys)

    def _write_provenance(self) -> None:
        write_text(self.folder.provenance, json.dumps(self.provenance, indent=2) + "\n")

    def _store(self, trial: Trial, outcome: Outcome) -> StoredTrial:
        """Store a row, and before it the environment that it names: it may outlive this process."""
        described = self.provenance["environments"]
        if outcome.environments.keys() - described.keys():
            self.provenance["environments"] = outcome.environments | described
            self._write_provenance()
        return write_trial(self.folder, trial, outcome)

    def _run_all(self, todo: list[Trial], reused: int, jobs: int | None, scheduler: str | None) -> None:
        if todo and (cost := self.sweep.data.get("cost")):
            self.report.note(f"{self.sweep.name} takes {cost}")
        self.report.start(len(todo), reused)
        packer = packs.Packer(self.folder)
        try:
            for trial, outcome in outcomes(todo, jobs, scheduler, self.report):
                packer.add(trial.key, self._store(trial, outcome))
                self.ok += outcome.status == "ok"
                self.failed += outcome.status != "ok"
                self.report.finished(trial, outcome)
        except KeyboardInterrupt:
            done = self.ok + self.failed + reused
            self.report.note(
                f"interrupted: {done} of {len(self.trials)} trials are finished and kept; run it again for the rest"
            )
            raise
        finally:
            packer.close()
            self.report.stop()


def check_backends(trials: Sequence[Trial]) -> None:
    """Raise InputError unless every backend that trials name can run on this machine.

    The workers of a cluster are other machines: what one of them lacks is the outcome of the trial.
    """
    known = backends.entries()
    for name in dict.fromkeys(trial.parameters.get("backend") for trial in trials):
        if name in known and (reason := known[name].missing()):
            raise InputError(f'backend = "{name}": expected one that can run on this machine; {reason}')


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _earlier(before: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the runs that reused trials may come from, oldest first."""
    if before is None:
        return []
    earlier: list[dict[str, Any]] = before.pop("earlier_runs", [])
    return [*earlier, before]


def outcomes(
    trials: Sequence[Trial], jobs: int | None, scheduler: str | None, report: Reporter
) -> Iterator[tuple[Trial, Outcome]]:
    """Yield each trial with its outcome: what may share the machine together, then the rest one by one.

    Alone run the trials that measure times, those that need more than their share of the memory, and those whose
    worker died while others were at it too. What needs more than there is does not run.
    """
    workers = jobs or available_cores()
    if scheduler is None:
        yield from ((trial, refused(trial)) for trial in trials if exceeds(trial, 1))
        trials = [trial for trial in trials if not exceeds(trial, 1)]
    if jobs == 0:
        for trial in trials:
            report.running([trial])
            yield trial, perform(trial)
        return
    from rnnbench.sweeps.dispatch import outcomes_of

    shared = [trial for trial in trials if not runs_alone(trial, workers, scheduler)]
    alone = [trial for trial in trials if runs_alone(trial, workers, scheduler)]
    if shared:
        workers = min(workers, len(shared))
        with _pool(workers, scheduler, alone=False, note=report.note) as pool:
            for trial, outcome in outcomes_of(pool, shared, report.running):
                if outcome is None:
                    alone.insert(0, trial)
                else:
                    yield trial, outcome
    if alone:
        with _pool(1, scheduler, alone=True, note=report.note) as pool:
            for trial, outcome in outcomes_of(pool, alone, report.running):
                assert outcome is not None  # what runs alone is judged
                yield trial, outcome


def runs_alone(trial: Trial, workers: int, scheduler: str | None) -> bool:
    """Whether a trial has this machine to itself: its time is measured, or its share of the memory is too little."""
    return trial.exclusive or (scheduler is None and exceeds(trial, workers))


def exceeds(trial: Trial, workers: int) -> bool:
    """Whether a trial needs more memory than each of so many workers of this machine may use."""
    return trial.memory_bytes > SMALL_BYTES and trial.memory_bytes > memory_limit(workers)


def refused(trial: Trial) -> Outcome:
    """Return the outcome of a trial that cannot fit in the memory of this machine."""
    needed, limit = (f"{size / 2**30:,.1f} GiB" for size in (trial.memory_bytes, memory_limit(1)))
    return Outcome(trial.key, "out_of_memory", f"needs at least {needed}; this machine has {limit}: not started")


def memory_limit(workers: int) -> int:
    """Return the bytes that each of so many workers of this machine may use."""
    from rnnbench.sweeps import cluster

    return cluster.memory_limit(workers)


def _pool(workers: int, scheduler: str | None, alone: bool, note: Callable[[str], object] = str) -> Pool:
    from rnnbench.sweeps.cluster import Pool

    return Pool(workers, scheduler, alone, note)
