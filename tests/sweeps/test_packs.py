"""Runs of thousands: what a trial costs besides itself, and how long reading all of them takes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from rnnbench.probes.base import Measurement
from rnnbench.sweeps import engine, packs, store
from rnnbench.sweeps.folder import RunFolder
from rnnbench.sweeps.progress import Silent
from rnnbench.sweeps.store import Results, read_trials, write_trial
from rnnbench.sweeps.trial import Outcome, Trial


def nulls(count: int) -> dict[str, Any]:
    return {"name": "null", "sweep": [{"probe": "null", "axes": {"trial_number": list(range(count))}}]}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run of 25 trials, 20 of them in two packs."""
    monkeypatch.setattr(packs, "TRIALS_PER_PACK", 10)
    summary = engine.execute(nulls(25), tmp_path, jobs=0, progress=False)
    folder = RunFolder(summary.path)
    assert len(list(folder.packs.iterdir())) == 2
    return folder


def test_packed_trials_are_those_of_the_files(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = run.read_keys()
    found = packs.packed(run, keys)
    assert list(found) == keys[:20]
    for key, trial in found.items():
        own = store.read_trial(run.trial(key))
        assert trial.record == own.record
        assert trial.rows.equals(own.rows)
    quick = Results.load(run.path)
    packs.discard(run)
    slow = Results.load(run.path)
    assert quick.trials.equals(slow.trials)
    assert quick.measurements.equals(slow.measurements)
    assert quick.measurements["key"].tolist() == keys


def test_rows_of_several_lengths_and_missing_values_come_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.prepare()
    packer = packs.Packer(folder)
    rows = [Measurement("loss", float("nan"), "nat", 3), Measurement("score", float("inf"), "1")]
    trials = [Trial("some", {"seed": seed}) for seed in range(packs.FEWEST)]
    for number, trial in enumerate(trials):
        packer.add(trial.key, write_trial(folder, trial, Outcome(trial.key, "ok", rows=rows * (number % 3))))
    packer.close()
    found = packs.packed(folder, [trial.key for trial in trials])
    assert len(found) == len(trials)
    for trial in trials:
        own = store.read_trial(folder.trial(trial.key)).rows
        assert found[trial.key].rows.to_pandas().equals(own.to_pandas())  # where NaN is NaN


def test_a_trials_own_file_is_what_counts(run: RunFolder) -> None:
    keys = run.read_keys()
    trial = Trial("null", {"trial_number": 0, "seed": 0})
    outcome = Outcome(keys[3], "error", "another outcome")
    path = run.trial(keys[3])
    write_trial(run, trial, outcome)
    run.trial(trial.key).replace(path)
    run.trial(keys[4]).unlink()
    os.utime(run.trial(keys[5]))
    found = packs.packed(run, keys)
    assert not {keys[3], keys[4], keys[5]} & set(found)
    stored = read_trials(run, keys)
    assert stored[keys[3]].record["reason"] == "another outcome"
    assert keys[4] not in stored
    assert list(stored) == [key for key in keys if key != keys[4]]


@pytest.mark.parametrize("content", [b"", b"PAR1 half a file", None])
def test_a_damaged_pack_is_as_none(run: RunFolder, content: bytes | None) -> None:
    first, second = sorted(run.packs.iterdir())
    if content is None:
        pq.write_table(pq.read_table(second).drop_columns(["record"]), first)
    else:
        first.write_bytes(content)
    keys = run.read_keys()
    assert list(packs.packed(run, keys)) == keys[10:20]
    assert len(Results.load(run.path).trials) == 25


def test_a_pack_that_cannot_be_written_costs_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "TRIALS_PER_PACK", 5)
    (tmp_path / "null").mkdir()
    (tmp_path / "null" / ".packs").touch()
    summary = engine.execute(nulls(8), tmp_path, jobs=0, progress=False)
    assert summary.ok == 8
    assert len(Results.load(summary.path).trials) == 8


def test_thousands_of_trials_are_read_within_two_seconds(tmp_path: Path) -> None:
    """What 10,000 trials take is ten times what these do, and they are given a fifth of it."""
    summary = engine.execute(nulls(1000), tmp_path, jobs=0, progress=False)
    start = time.process_time()
    results = Results.load(summary.path)
    assert time.process_time() - start < 0.2 * 2
    assert len(results.trials) == 1000
    start = time.process_time()
    again = engine.execute(nulls(1000), tmp_path, jobs=0, progress=False)
    assert again.reused == 1000
    assert time.process_time() - start < 3


def test_memory_of_the_driver_stays_as_it_is_and_a_trial_costs_milliseconds(tmp_path: Path) -> None:
    memory: list[int] = []

    class Watching(Silent):
        def finished(self, trial: Trial, outcome: Outcome) -> None:
            memory.append(psutil.Process().memory_info().rss)

    start = time.process_time()
    engine.execute(nulls(1500), tmp_path, jobs=0, progress=Watching())
    per_trial = (time.process_time() - start) / 1500
    assert per_trial < 20e-3  # 3 ms where nothing else runs
    assert max(memory[-100:]) - max(memory[400:600]) < 20 * 2**20
