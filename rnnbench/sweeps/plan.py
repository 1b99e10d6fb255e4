"""What a run would do, before it does anything: its trials, the time and the memory that they take.

Times are those of earlier trials, in this run's folder, those beside it and the reference runs: the ones that have most
parameters in common. Memory is the least that a trial's arrays take, besides the 200 MiB or so of the process itself.
Nothing is written and nothing is run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rnnbench.backends.threads import available_cores
from rnnbench.errors import InputError
from rnnbench.sweeps import engine, spec
from rnnbench.sweeps.folder import RunFolder
from rnnbench.sweeps.packs import packed
from rnnbench.sweeps.store import read_trial
from rnnbench.sweeps.trial import Trial


@dataclass(frozen=True)
class PlannedTrial:
    """One trial, whether it is finished already, and what it will take."""

    trial: Trial
    finished: bool
    alone: bool
    seconds: float | None
    """As long as the most similar earlier trials took; None where there is none of its probe."""
    refusal: str
    """Why it will not be started; "" if it will."""


@dataclass(frozen=True)
class Plan:
    """A run that has not started."""

    name: str
    path: Path
    cost: str
    workers: int
    trials: tuple[PlannedTrial, ...]
    notes: tuple[str, ...] = ()

    @property
    def todo(self) -> list[PlannedTrial]:
        """The trials that would run."""
        return [each for each in self.trials if not each.finished and not each.refusal]

    @property
    def seconds(self) -> float:
        """How long those would take of which it is known: together, then one by one."""
        known = [(each.alone, each.seconds) for each in self.todo if each.seconds is not None]
        shared, alone = (sum(seconds for apart, seconds in known if apart == which) for which in (False, True))
        longest = max((seconds for apart, seconds in known if not apart), default=0.0)
        return max(shared / max(1, self.workers), longest) + alone

    def lines(self) -> Iterator[str]:
        """Yield the plan as lines for people: a trial each, then what they come to."""
        for each in self.trials:
            state = "finished" if each.finished else each.refusal or ("runs alone" if each.alone else "runs")
            time = "" if each.finished else f", {_duration(each.seconds)}"
            yield f"{state}{time}, {_size(each.trial.memory_bytes)}: {each.trial.label()}"
        todo = self.todo
        finished = sum(each.finished for each in self.trials)
        refused = len(self.trials) - finished - len(todo)
        yield f"{self.name}: {len(todo)} to run, {finished} finished before, {refused} refused, into {self.path}"
        unknown = sum(each.seconds is None for each in todo)
        if todo and unknown < len(todo):
            yield f"time: {_duration(self.seconds)} on {self.workers} worker(s), by earlier trials"
        if unknown:
            yield f"time: not known of {unknown} trial(s); no earlier trial of their probe is at hand"
        if self.cost and todo:
            yield f"time: {self.cost}, says the sweep"
        largest = max((each.trial.memory_bytes for each in todo), default=0)
        yield f"memory: {_size(largest)} for the largest trial, of {_size(engine.memory_limit(1))}"
        yield from self.notes


def plan(
    sweep: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    jobs: int | None = None,
    assignments: Sequence[str] = (),
    timeout: float | None = None,
    fresh: bool = False,
    scheduler: str | None = None,
    full: bool = False,
    code: Sequence[str | Path] = (),
) -> Plan:
    """Return what `engine.execute` would do with the same arguments; InputError where it would raise that."""
    engine.check_arguments(jobs, timeout, scheduler)
    resolved = spec.load(sweep, assignments, full, code)
    folder = RunFolder(Path(out or engine.DEFAULT_FOLDER) / resolved.name)
    trials = engine.placed(resolved.trials, timeout, scheduler)
    notes: list[str] = []
    finished = frozenset[str]() if fresh else engine.finished_keys(folder, trials, notes.append)
    history = _history(folder)
    workers = jobs if jobs is not None else available_cores()
    planned = [
        PlannedTrial(
            trial,
            trial.key in finished,
            engine.runs_alone(trial, max(1, workers), scheduler),
            _expected_seconds(trial, history.get(trial.probe, [])),
            _refusal(trial) if scheduler is None else "",
        )
        for trial in trials
    ]
    return Plan(
        resolved.name, folder.path, str(resolved.data.get("cost", "")), max(1, workers), tuple(planned), tuple(notes)
    )


def _refusal(trial: Trial) -> str:
    return f"refused ({engine.refused(trial).reason})" if engine.exceeds(trial, 1) else ""


def _history(run: RunFolder) -> dict[str, list[dict[str, Any]]]:
    """Return the records of earlier trials that ended well, by probe, whether a sweep still names them or not."""
    records: dict[str, list[dict[str, Any]]] = {}
    for path in {run.path, *run.path.parent.glob("*"), *run.path.parent.glob("reference/*")}:
        folder = RunFolder(path)
        keys = [each.stem for each in folder.trials.glob("*.parquet")]
        found = packed(folder, keys)
        for key in keys:
            with contextlib.suppress(InputError, OSError):  # damaged, or of another version: no example
                record = (found.get(key) or read_trial(folder.trial(key))).record
                if record["status"] == "ok":
                    records.setdefault(record["probe"], []).append(record)
    return records


def _expected_seconds(trial: Trial, records: list[dict[str, Any]]) -> float | None:
    """Return the median time of the records that have most parameters in common with the trial."""
    if not records:
        return None

    def in_common(record: dict[str, Any]) -> int:
        found = record["parameters"]
        return sum(name in found and found[name] == value for name, value in trial.parameters.items())

    nearest = max(map(in_common, records))
    return median(record["runtime_s"] for record in records if in_common(record) == nearest)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "time not known"
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"about {seconds / size:.1f} {unit}"
    return f"about {seconds:.2g} s"


def _size(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.0f} MiB"
