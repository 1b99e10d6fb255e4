"""What a run would do, told before it does anything; and what is not even started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rnnbench.errors import InputError
from rnnbench.sweeps import cluster, engine
from rnnbench.sweeps.plan import plan
from rnnbench.sweeps.progress import Silent
from rnnbench.sweeps.store import Results

SLEEPY: dict[str, Any] = {
    "name": "sleepy",
    "cost": "a moment",
    "sweep": [{"probe": "misbehave", "axes": {"seconds": [0.0, 1.0], "seed": [0, 1]}, "fixed": {"deed": "sleep"}}],
}
LARGE: dict[str, Any] = {
    "name": "large",
    "sweep": [
        {
            "probe": "throughput",
            "axes": {"length": [2, 10**9]},
            "fixed": {"cell": "lstm", "hidden": 4, "batch": 1, "backend": "reference", "repeats": 3},
        }
    ],
}


def test_a_plan_writes_and_runs_nothing(tmp_path: Path) -> None:
    planned = plan(SLEEPY, tmp_path)
    assert not list(tmp_path.iterdir())
    assert len(planned.todo) == 4
    assert {each.seconds for each in planned.trials} == {None}
    told = list(planned.lines())
    assert told[0].startswith("runs, time not known, 0 MiB: misbehave seed=0 deed=sleep seconds=0.0")
    assert f"sleepy: 4 to run, 0 finished before, 0 refused, into {tmp_path / 'sleepy'}" in told
    assert "time: a moment, says the sweep" in told


def test_times_are_those_of_the_most_similar_trials(tmp_path: Path) -> None:
    engine.execute(SLEEPY, tmp_path, jobs=0, progress=False)
    assert all(each.finished for each in plan(SLEEPY, tmp_path).trials)
    more = {**SLEEPY, "name": "more"}
    more["sweep"] = [{**SLEEPY["sweep"][0], "axes": {"seconds": [0.0, 1.0], "seed": [0, 1, 2]}}]
    planned = plan(more, tmp_path, jobs=2)
    assert not [each for each in planned.trials if each.finished]
    short, long = (
        [each.seconds for each in planned.trials if each.trial.parameters["seconds"] == s] for s in (0.0, 1.0)
    )
    assert all(seconds is not None and seconds < 0.9 for seconds in short)
    assert all(seconds is not None and 1.0 <= seconds < 9 for seconds in long)
    assert planned.seconds == pytest.approx(sum(each.seconds or 0 for each in planned.trials) / 2)
    assert sum(line.startswith("runs, about ") and "seconds=1.0" in line for line in planned.lines()) == len(long)


def test_the_whole_of_a_finished_run_can_be_planned_again(tmp_path: Path) -> None:
    engine.execute(SLEEPY, tmp_path, jobs=0, progress=False)
    assert len(plan(SLEEPY, tmp_path, fresh=True).todo) == 4
    assert "sleepy: 0 to run, 4 finished before, 0 refused" in "\n".join(plan(SLEEPY, tmp_path).lines())


def test_a_trial_that_cannot_fit_is_refused_with_its_size(tmp_path: Path) -> None:
    planned = plan(LARGE, tmp_path)
    [small, large] = planned.trials
    needed = 10**9 * 4 * 4 * (2 + 2 + 4)  # inputs and their gradients, h and c, four gates; float32
    assert needed <= large.trial.memory_bytes < 1.01 * needed
    assert (small.refusal, small.alone) == ("", True)
    size = f"{large.trial.memory_bytes / 2**30:,.1f} GiB"
    assert f"refused (needs at least {size}" in large.refusal
    summary = engine.execute(LARGE, tmp_path, jobs=0, progress=False)
    assert (summary.ok, summary.failed) == (1, 1)
    [row] = Results.load(summary.path).trials.query("status != 'ok'").to_dict("records")
    assert row["status"] == "out_of_memory"
    assert row["reason"].startswith(f"needs at least {size}; this machine has ")
    assert row["reason"].endswith("not started")


def test_what_exceeds_its_share_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "memory_limit", lambda workers: 10 * 2**30 // workers)
    trial = engine.Trial("null", {"seed": 0}, memory_bytes=4 * 2**30)
    assert not engine.runs_alone(trial, 2, None)
    assert engine.runs_alone(trial, 4, None)
    assert not engine.runs_alone(trial, 4, "tcp://elsewhere:8786")


def test_a_plan_refuses_what_a_run_would(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--jobs -1"):
        plan(SLEEPY, tmp_path, jobs=-1)
    with pytest.raises(InputError, match="unknown probe"):
        plan({"name": "x", "sweep": [{"probe": "nul"}]}, tmp_path)


def test_damaged_files_are_noted(tmp_path: Path) -> None:
    summary = engine.execute(SLEEPY, tmp_path, jobs=0, progress=Silent())
    path = next((summary.path / "trials").iterdir())
    path.write_bytes(b"")
    planned = plan(SLEEPY, tmp_path)
    assert len(planned.todo) == 1
    assert f"{path}: damaged" in "\n".join(planned.lines())
