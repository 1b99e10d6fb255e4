"""What a machine does to a run on a bad day: killed at any moment, a folder that two want, or nobody may write."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rnnbench.errors import InputError
from rnnbench.sweeps import engine
from rnnbench.sweeps.folder import StorageError
from rnnbench.sweeps.progress import Silent
from rnnbench.sweeps.store import Results
from rnnbench.sweeps.trial import Outcome, Trial

ROUNDS = 50
TRIALS = 50 * 10 + 1
"""More than all rounds together let finish."""
ROOT = Path(engine.__file__).parents[2]


def nulls(count: int) -> dict[str, Any]:
    return {"name": "null", "sweep": [{"probe": "null", "axes": {"trial_number": list(range(count))}}]}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the driver is a fork of this process, which starts at once")
def test_a_driver_killed_at_any_moment_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """Fifty drivers in a row, each killed while it starts or a random time after so many trials, then one that ends."""
    engine.execute(nulls(1), tmp_path / "warm", jobs=0, progress=False)  # imports and hashes, inherited by the forks
    began = tmp_path / "began"
    trials = tmp_path / "out" / "null" / "trials"
    moments = random.Random(0)
    stored: dict[str, bytes] = {}
    repeated: Counter[str] = Counter()
    killed = 0
    for _ in range(ROUNDS):
        finished, began_before = set(stored), began.read_text().split() if began.exists() else []
        killed += killed_driver(tmp_path / "out", began, trials, moments) == -signal.SIGKILL
        ran = began.read_text().split()[len(began_before) :] if began.exists() else []
        repeated.update(finished & set(ran))
        for path in trials.glob("*.parquet"):
            pq.read_table(path)  # never half a file
            assert stored.setdefault(path.name, path.read_bytes()) == path.read_bytes()
    assert killed == ROUNDS
    assert len(stored) >= ROUNDS
    assert not repeated
    summary = engine.execute(nulls(TRIALS), tmp_path / "out", jobs=0, progress=False)
    assert (summary.ok + summary.reused, summary.failed) == (TRIALS, 0)
    assert summary.reused == len(stored)
    results = Results.load(summary.path)
    assert results.missing == ()
    assert sorted(results.trials["trial_number"]) == list(range(TRIALS))
    assert Counter(results.measurements["key"]) == dict.fromkeys(results.trials["key"], 1)
    assert not list(tmp_path.rglob("*.tmp"))


def killed_driver(out: Path, began: Path, trials: Path, moments: random.Random) -> int:
    """Run the sweep in a fork of this process and kill it at a random moment; return how it ended, as Popen does."""

    def count() -> int:
        return len(list(trials.glob("*.parquet")))

    class Noting(Silent):
        def running(self, trials: list[Trial]) -> None:
            with began.open("a") as file:
                file.write("".join(f"{trial.key}.parquet\n" for trial in trials))

    before, more = count(), moments.randrange(-3, 10)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            engine.execute(nulls(TRIALS), out, jobs=0, progress=Noting())
        os._exit(0)
    deadline = time.monotonic() + 60
    while count() < before + more and time.monotonic() < deadline:
        time.sleep(0.0005)
    time.sleep(moments.uniform(0, 0.005 if more > 0 else 0.1))
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_of_two_drivers_in_one_folder_the_second_is_refused(tmp_path: Path, plugin: Path) -> None:
    refused: list[str] = []

    class Rival(Silent):
        def finished(self, trial: Trial, outcome: Outcome) -> None:
            if not refused:
                done = command(tmp_path, plugin, "run", str(sweep), "--out", str(tmp_path), "--jobs", "0")
                refused.append(done.stderr)
                assert done.returncode == 2

    sweep = tmp_path / "null.toml"
    sweep.write_text('name = "null"\n[[sweep]]\nprobe = "null"\n[sweep.axes]\ntrial_number = [0, 1, 2]\n')
    summary = engine.execute(sweep, tmp_path, jobs=0, progress=Rival())
    assert refused == [f"error: {tmp_path}/null: another run is writing here; wait for it or choose --out\n"]
    assert summary.ok == 3
    assert len(Results.load(summary.path).trials) == 3


def command(folder: Path, plugin: Path, *arguments: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rnnbench.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(plugin)])},
        capture_output=True,
        text=True,
        timeout=120,
        user=user,
    )


def test_a_folder_that_becomes_read_only_ends_the_run_and_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file system does that the kernel mounts read-only after an error."""
    trials = tmp_path / "null" / "trials"

    class Closing(Silent):
        def finished(self, trial: Trial, outcome: Outcome) -> None:
            if len(list(trials.iterdir())) == 2:
                monkeypatch.setattr("rnnbench.sweeps.folder.os.replace", refuse)

    def refuse(*_: object) -> None:
        raise OSError(30, os.strerror(30))

    with pytest.raises(StorageError, match="Read-only file system"):
        engine.execute(nulls(5), tmp_path, jobs=0, progress=Closing())
    monkeypatch.undo()
    assert not list(tmp_path.rglob("*.tmp"))
    summary = engine.execute(nulls(5), tmp_path, jobs=0, progress=False)
    assert (summary.ok, summary.reused) == (3, 2)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(InputError, match="cannot write there: Permission denied; choose --out"):
        engine.execute(nulls(1), tmp_path / "closed", jobs=0, progress=False)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system that refuses folders")
def test_a_place_where_no_folder_can_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"/proc/null: cannot write there: .*; choose --out"):
        engine.execute(nulls(1), Path("/proc"), jobs=0, progress=False)
