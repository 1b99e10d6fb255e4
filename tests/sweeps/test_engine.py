"""The engine in this process: what runs, what is reused, what is stored. For workers see test_dispatch.py."""

from __future__ import annotations

import errno
import json
import os
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rnnbench.errors import InputError
from rnnbench.sweeps import engine, folder, plugins, provenance, sources, spec
from rnnbench.sweeps.engine import Summary
from rnnbench.sweeps.folder import StorageError
from rnnbench.sweeps.progress import Silent
from rnnbench.sweeps.store import Results
from rnnbench.sweeps.trial import Outcome, Trial


class Recorder(Silent):
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.ran: list[Trial] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        self.ran.append(trial)


def sweep_of(**axes: Any) -> dict[str, Any]:
    return {"name": "example", "sweep": [{"probe": "misbehave", "axes": axes}]}


def inline(sweep: Any, out: Path, *assignments: str, **options: Any) -> tuple[Summary, Recorder]:
    recorder = Recorder()
    summary = engine.execute(sweep, out, jobs=0, assignments=assignments, progress=recorder, **options)
    return summary, recorder


def test_a_run_leaves_a_whole_folder(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(spec.load(sweep_of(seed={"count": 3})).to_toml())
    summary, _ = inline(path, tmp_path / "out")
    assert summary == Summary(tmp_path / "out" / "example", ok=3, failed=0, reused=0)
    names = {each.name for each in summary.path.iterdir()}
    assert names == {"sweep.toml", "provenance.json", "trials.txt", "trials", ".lock"}
    assert {each.suffix for each in (summary.path / "trials").iterdir()} == {".parquet"}
    results = Results.load(summary.path)
    assert results.trials["seed"].tolist() == [0, 1, 2]
    assert results.sweep == tomllib.loads((summary.path / "sweep.toml").read_text())
    again, _ = inline(summary.path / "sweep.toml", tmp_path / "out")
    assert again.reused == 3


def test_the_cost_is_said_before_the_first_trial_and_not_when_nothing_is_left(tmp_path: Path) -> None:
    told: list[str] = []

    class Listening(Recorder):
        def note(self, message: str) -> None:
            told.append(message)

        def start(self, total: int, reused: int) -> None:
            told.append(f"{total} trials")

    sweep = {**sweep_of(seed=[0]), "cost": "a second", "full": {"cost": "two seconds", "set": ["seed=[0, 1]"]}}
    engine.execute(sweep, tmp_path, jobs=0, progress=Listening(), full=True)
    assert told == ["example takes two seconds", "2 trials"]
    told.clear()
    engine.execute(sweep, tmp_path, jobs=0, progress=Listening())
    assert not [text for text in told if "takes" in text]


def test_a_second_run_runs_what_failed_and_what_is_new_and_nothing_else(tmp_path: Path) -> None:
    first, _ = inline(sweep_of(deed=["finish", "raise", "diverge"]), tmp_path)
    assert (first.ok, first.failed, first.reused) == (1, 2, 0)
    second, recorder = inline(sweep_of(deed=["finish", "raise", "diverge", "sleep"]), tmp_path)
    assert (second.ok, second.failed, second.reused) == (1, 2, 1)
    assert [each.parameters["deed"] for each in recorder.ran] == ["raise", "diverge", "sleep"]


def test_fresh_runs_everything_and_keeps_the_old_rows_until_the_new_ones_are_there(tmp_path: Path) -> None:
    first, _ = inline(sweep_of(seed={"count": 2}), tmp_path)
    before = Results.load(first.path).trials
    seen: list[int] = []

    class Counting(Recorder):
        def running(self, trials: list[Trial]) -> None:
            seen.append(len(list((first.path / "trials").glob("*.parquet"))))

    summary = engine.execute(sweep_of(seed={"count": 2}), tmp_path, jobs=0, fresh=True, progress=Counting())
    assert (summary.ok, summary.reused) == (2, 0)
    assert seen == [2, 2]
    assert not before["started_at"].equals(Results.load(first.path).trials["started_at"])


def test_a_trial_has_the_same_rows_alone_and_among_others(tmp_path: Path) -> None:
    alone, _ = inline(sweep_of(seed=[3]), tmp_path / "alone")
    among, _ = inline({**sweep_of(number=[5, 0], seed=[9, 3, 1])}, tmp_path / "among")
    row = Results.load(alone.path).measurements
    rows = Results.load(among.path).measurements
    assert row.reset_index(drop=True).equals(rows[rows["key"].isin(row["key"])].reset_index(drop=True))
    assert len(row) == 2


@pytest.mark.parametrize("content", [b"", b"PAR1 half a file"])
def test_a_damaged_file_is_reported_and_its_trial_runs_again(tmp_path: Path, content: bytes) -> None:
    first, _ = inline(sweep_of(seed={"count": 3}), tmp_path)
    damaged = sorted((first.path / "trials").iterdir())[1]
    damaged.write_bytes(content)
    second, recorder = inline(sweep_of(seed={"count": 3}), tmp_path)
    assert (second.ok, second.reused) == (1, 2)
    assert [each.key for each in recorder.ran] == [damaged.stem]
    assert recorder.notes[0].startswith(f"{damaged}: damaged")
    assert "run again" in recorder.notes[0]
    assert len(Results.load(first.path).trials) == 3


def test_an_edit_of_the_source_runs_everything_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = inline(sweep_of(seed={"count": 2}), tmp_path)
    monkeypatch.setattr(sources, "source_hash", lambda *_: "f" * 16)
    second, _ = inline(sweep_of(seed={"count": 2}), tmp_path)
    assert (second.ok, second.reused) == (2, 0)
    assert len(list((first.path / "trials").iterdir())) == 4
    assert len(Results.load(first.path).trials) == 2


def test_a_full_disk_ends_the_run_and_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, calls = os.fsync, []

    def fill(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 5:  # sweep.toml, trials.txt, provenance.json and two trials fit
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(folder.os, "fsync", fill)
    with pytest.raises(StorageError, match="No space left on device"):
        inline(sweep_of(seed={"count": 5}), tmp_path)
    monkeypatch.undo()
    results = Results.load(tmp_path / "example")
    assert (len(results.trials), len(results.missing)) == (2, 3)
    assert not list((tmp_path / "example").rglob("*.tmp"))


def test_an_interrupt_keeps_what_is_finished_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    recorder = Recorder()
    monkeypatch.setattr(type(plugins.get("misbehave")), "_raise", interrupt)
    sweep = sweep_of(deed=["finish", "raise", "diverge"])
    with pytest.raises(KeyboardInterrupt):
        engine.execute(sweep, tmp_path, jobs=0, progress=recorder)
    assert "interrupted: 1 of 3 trials are finished and kept" in recorder.notes[-1]
    assert Results.load(tmp_path / "example").counts == {"ok": 1}


def test_results_of_another_schema_version_are_refused_and_left_alone(tmp_path: Path) -> None:
    summary, _ = inline(sweep_of(seed=[1]), tmp_path)
    path = summary.path / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 0}))
    before = {each: each.read_bytes() for each in summary.path.rglob("*") if each.is_file()}
    with pytest.raises(InputError, match="schema version 0"):
        inline(sweep_of(seed=[1, 2]), tmp_path, fresh=True)
    assert {each: each.read_bytes() for each in summary.path.rglob("*") if each.is_file()} == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"jobs": -1}, "--jobs -1: expected a whole number >= 0"),
        ({"jobs": 0, "timeout": 0}, "--timeout 0: expected seconds, more than 0"),
        ({"jobs": 0, "timeout": float("nan")}, "--timeout nan: expected seconds"),
        ({"jobs": 0, "scheduler": "tcp://127.0.0.1:1"}, "--jobs 0 runs in this process"),
    ],
)
def test_impossible_options_are_refused(tmp_path: Path, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        engine.execute(sweep_of(seed=[1]), tmp_path, progress=False, **options)
    assert not list(tmp_path.iterdir())


def test_out_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write there"):
        inline(sweep_of(seed=[1]), tmp_path / "file")


def test_a_worker_with_other_kernels_is_an_error() -> None:
    outcome = Outcome("a" * 16, "ok", kernel_source_hash="0" * 16)
    from rnnbench.sweeps import dispatch

    judged = dispatch._same_code(outcome)
    assert judged.status == "error"
    assert "install the same rnnbench on both" in judged.reason
    assert dispatch._same_code(same := Outcome("a" * 16, "ok")) is same


def test_provenance_tells_what_it_ran_on_and_with_what(tmp_path: Path) -> None:
    summary, _ = inline(sweep_of(seed=[1]), tmp_path)
    told = Results.load(summary.path).provenance
    assert set(told["versions"]) >= {"python", "rnnbench", "numba", "llvmlite", "numpy", "dask"}
    assert told["machine"]["cpu"]
    assert told["machine"]["available_cores"] >= 1
    assert told["machine"]["memory_bytes"] > 2**28
    assert told["blas"]
    assert told["started_at"] <= told["finished_at"]
    assert told["earlier_runs"] == []
    [(name, environment)] = told["environments"].items()
    assert Results.load(summary.path).trials["environment"].tolist() == [name]
    assert environment["machine"]["cpu_flags"] is not None
    assert environment["machine"]["timer"]["smallest_step_s"] > 0
    inline(sweep_of(seed=[1, 2]), tmp_path)
    resumed = Results.load(summary.path).provenance
    assert resumed["earlier_runs"] == [
        {name: told[name] for name in told if name not in ("earlier_runs", "environments")}
    ]
    assert resumed["environments"] == told["environments"]
    inline(sweep_of(seed=[1, 2]), tmp_path)
    assert Results.load(summary.path).provenance == resumed  # nothing ran


def test_git_state_is_that_of_a_tracked_file(tmp_path: Path) -> None:
    import subprocess

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    path, package = tmp_path / "sweep.toml", tmp_path / "package"
    path.write_text("name = 'x'")
    package.mkdir()
    (package / "a.py").touch()
    assert provenance.git_state(path) is None
    git("init")
    assert provenance.git_state(path) is None
    git("add", ".")
    git("commit", "-m", "sweep")
    clean = provenance.git_state(path)
    assert clean is not None
    assert (len(clean["commit"]), clean["dirty"], clean["diff_hash"]) == (40, False, None)
    path.write_text("name = 'y'")
    assert provenance.git_state(package) == clean  # what is beside it is another's
    changed = provenance.git_state(path)
    assert changed is not None
    assert changed == {"commit": clean["commit"], "dirty": True, "diff_hash": changed["diff_hash"]}
    path.write_text("name = 'z'")
    assert provenance.git_state(path) not in (changed, clean)
    (package / "b.py").write_text("new")
    added = provenance.git_state(package)
    assert added is not None
    assert added["dirty"]
    (package / "b.py").write_text("newer")
    assert provenance.git_state(package) not in (added, clean)


def test_a_row_names_an_environment_that_outlives_an_interrupted_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a worker's process, whose threads are not the driver's."""
    perform = engine.perform

    def elsewhere(trial: Trial) -> Outcome:
        if trial.parameters["seed"] == 1:
            raise KeyboardInterrupt
        return replace(perform(trial), environment="worker", environments={"worker": {"versions": {}}})

    monkeypatch.setattr(engine, "perform", elsewhere)
    with pytest.raises(KeyboardInterrupt):
        inline(sweep_of(seed=[0, 1]), tmp_path)
    results = Results.load(tmp_path / "example")
    assert results.trials["environment"].tolist() == ["worker"]
    assert "worker" in results.provenance["environments"]
    monkeypatch.undo()


def test_the_recorded_hash_is_that_of_the_trials_that_the_sweep_names(tmp_path: Path) -> None:
    def recorded() -> dict[str, Any]:
        results = Results.load(tmp_path / "example")
        assert results.provenance["data_hash"] == results.data_hash
        return results.provenance

    inline(sweep_of(seed=[0, 1, 2]), tmp_path)
    wide = recorded()
    fewer, _ = inline(sweep_of(seed=[2, 0]), tmp_path)
    assert (fewer.ok, fewer.reused) == (0, 2)
    assert recorded()["earlier_runs"][0]["run_id"] == wide["run_id"]


def test_a_run_that_was_killed_after_its_last_row_gets_its_hash(tmp_path: Path) -> None:
    inline(sweep_of(seed=[0, 1]), tmp_path)
    path = tmp_path / "example" / "provenance.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({name: told[name] for name in told if name not in ("data_hash", "finished_at")}))
    inline(sweep_of(seed=[0, 1]), tmp_path)
    again = Results.load(path.parent).provenance
    assert again["data_hash"] == told["data_hash"]
    assert again["finished_at"] >= told["finished_at"]


def test_processes_that_are_alike_have_one_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    told = provenance.describe_environment()

    def named(**changed: Any) -> str:
        machine = told["machine"] | {"timer": told["machine"]["timer"] | changed}
        monkeypatch.setattr(provenance, "describe_environment", lambda: told | {"machine": machine})
        return provenance.environment_id.__wrapped__()

    assert named(smallest_step_s=1e-8) == named(smallest_step_s=2e-8) == provenance.environment_id()
    assert named(clock="another") != provenance.environment_id()


def test_installed_versions_are_those_that_imports_find(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [("numpy", "2.0"), ("Broken", "1.0"), (None, None), ("numpy", "1.0, further down the path")]
    there = [SimpleNamespace(metadata={"Name": name}, version=version) for name, version in found]
    monkeypatch.setattr(provenance, "distributions", lambda: there)
    assert provenance.installed_versions() == {"Broken": "1.0", "numpy": "2.0"}
