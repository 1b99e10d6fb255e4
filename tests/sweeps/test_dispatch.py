"""Trials that hang, die and fill the memory, on real worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import pytest

from rnnbench.errors import InputError
from rnnbench.sweeps import cluster, dispatch, engine, plugins
from rnnbench.sweeps.store import Results
from rnnbench.sweeps.trial import Outcome, Trial

TERRIBLE = {
    "name": "terrible",
    "sweep": [
        {
            "probe": "misbehave",
            "axes": {"deed": ["raise", "diverge", "hang", "hang_compiled", "kill", "segfault"]},
            "timeout_s": 5,  # compiling included
        },
        {"probe": "misbehave", "fixed": {"deed": "allocate"}, "timeout_s": 60},
        {"probe": "misbehave", "axes": {"number": list(range(1, 31))}},
        {"probe": "timing", "fixed": {"deed": "finish"}},
    ],
}


@pytest.fixture(scope="module")
def terrible(tmp_path_factory: pytest.TempPathFactory) -> Results:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent / "plugin"))
        patch.setattr(cluster, "memory_limit", lambda workers: 700 * 2**20)
        plugins._installed.cache_clear()
        return engine.run(TERRIBLE, tmp_path_factory.mktemp("out"), jobs=2, progress=False)


def test_every_trial_leaves_one_row_and_the_healthy_ones_are_ok(terrible: Results) -> None:
    trials = terrible.trials
    assert len(trials) == 6 + 1 + 30 + 1
    assert trials["key"].is_unique
    assert terrible.missing == ()
    healthy = trials[trials["deed"] == "finish"]
    assert (healthy["status"] == "ok").all()
    assert len(healthy) == 31


@pytest.mark.parametrize(
    ("deed", "status", "reason"),
    [
        ("raise", "error", "ZeroDivisionError: the denominator was zero"),
        ("diverge", "diverged", "Diverged: the loss is NaN at step 3"),
        ("hang", "timeout", "stopped after its time limit of 5 s"),
        ("hang_compiled", "timeout", "stopped after its time limit of 5 s"),
        ("kill", "killed", "the worker process was killed by signal 9 (SIGKILL)"),
        ("segfault", "killed", "the worker process was killed by signal 11 (SIGSEGV)"),
        ("allocate", "out_of_memory", "GiB, close to its worker's memory limit"),
    ],
)
def test_each_failure_has_its_type_and_its_reason(terrible: Results, deed: str, status: str, reason: str) -> None:
    trials = terrible.trials
    (row,) = trials[trials["deed"] == deed].to_dict("records")
    assert row["status"] == status
    assert reason in row["reason"]
    rows = terrible.measurements[terrible.measurements["key"] == row["key"]]["quantity"].tolist()
    assert rows == (["before"] if deed in ("raise", "diverge") else [])
    if status == "timeout":
        assert 5 <= row["runtime_s"] < 20


def test_a_second_run_repeats_the_failures_alone(terrible: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing wrong any more, as after more memory: what was ok is as it was."""
    monkeypatch.setattr(type(plugins.get("misbehave")), "measure", lambda *_: iter(()))
    before = {path: path.read_bytes() for path in (terrible.path / "trials").iterdir()}
    summary = engine.execute(TERRIBLE, terrible.path.parent, jobs=0, progress=False)
    assert (summary.ok, summary.failed, summary.reused) == (7, 0, 31)
    ok = terrible.trials[terrible.trials["status"] == "ok"]["key"]
    assert all(
        (terrible.path / "trials" / f"{key}.parquet").read_bytes()
        == before[terrible.path / "trials" / f"{key}.parquet"]
        for key in ok
    )


def test_exclusive_trials_run_alone_after_the_others(terrible: Results) -> None:
    trials = terrible.trials[terrible.trials["status"] == "ok"]
    timed = trials[trials["probe"] == "timing"]["started_at"].min()
    assert timed > trials[trials["probe"] == "misbehave"]["started_at"].max()


def test_a_scheduler_that_runs_already_is_used(tmp_path: Path, plugin: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0") as cluster:
        sweep = {
            "name": "remote",
            "sweep": [{"probe": probe, "axes": {"seed": {"count": 3}}} for probe in ("misbehave", "timing")],
        }
        summary = engine.execute(sweep, tmp_path, scheduler=cluster.scheduler_address, progress=False)
        assert (summary.ok, summary.failed) == (6, 0)
        assert cluster.scheduler.workers


def test_a_scheduler_that_is_not_there_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT_S", 0.5)
    sweep = {"name": "nowhere", "sweep": [{"probe": "null"}]}
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(InputError, match=f"--scheduler {address}: cannot connect"):
            engine.execute(sweep, tmp_path, scheduler=address, progress=False)


class Stillborn:
    """A pool of this machine's whose workers die as they start, again and again: none takes a trial."""

    alone, workers, scheduler = True, 1, None
    client = SimpleNamespace(map=lambda perform, batch, key, **options: [_Waiting(name) for name in key])

    def placement(self) -> dict[str, object]:
        return {}

    def processing(self) -> dict[str, tuple[str, ...]]:
        return {"tcp://127.0.0.1:1": ()}

    def cause_of_death(self, since: float) -> tuple[str, str]:
        return "killed", "the worker process was killed by signal 4 (SIGILL)"


class _Waiting:
    def __init__(self, key: str) -> None:
        self.key = key

    def add_done_callback(self, function: object) -> None:
        """Never call it."""


def test_workers_that_die_as_they_start_end_the_run_and_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "START_TIMEOUT_S", 1.0)
    waiting = [Trial("timing", {"seed": 0})]
    with pytest.raises(cluster.WorkersLost, match=r"no worker took a trial for 1 s: .* signal 4 \(SIGILL\)"):
        list(dispatch.outcomes_of(Stillborn(), waiting, lambda running: None))  # type: ignore[arg-type]


def test_a_worker_that_is_slow_to_start_again_is_waited_for() -> None:
    """Dask closes the nanny of one that is not back in its lost-worker timeout, after which it never is."""
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "10 ms"}), cluster.Pool(1) as pool:
        [worker] = pool.worker_info()
        pool.kill(worker)
        deadline = time.monotonic() + 60
        while worker in (now := pool.worker_info()) or not now:
            assert time.monotonic() < deadline, "no worker came back"
            time.sleep(0.1)
        time.sleep(2)  # a nanny that is told to close while its worker starts closes both as soon as that has
        assert pool.client.submit(abs, -1).result(timeout=30) == 1


def test_a_machine_whose_workers_do_not_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "START_TIMEOUT_S", 0.3)
    pool = object.__new__(cluster.Pool)
    pool.alone, pool.scheduler = True, None
    monkeypatch.setattr(pool, "worker_info", dict, raising=False)
    with pytest.raises(cluster.WorkersLost, match=r"no worker started in 0\.3 s"):
        pool.placement()


class Answers:
    """A pool of a cluster's: one worker that takes every trial, and a connection that fails as a test says."""

    alone, workers, scheduler = False, 1, "tcp://127.0.0.1:1"

    def __init__(self, *failures: str, status: str = "finished") -> None:
        self.failures = list(failures)
        self.status = status
        self.futures: list[Any] = []
        self.killed: list[str] = []
        self.client = SimpleNamespace(map=self.map, cancel=lambda *_, **options: self.fail("cancel"))

    def fail(self, question: str, error: type[Exception] = OSError) -> None:
        if question in self.failures:
            self.failures.remove(question)
            raise error(question)

    def map(self, perform: object, batch: list[Trial], key: list[str], **options: object) -> list[Any]:
        done = [
            SimpleNamespace(key=k, trial=t, status=self.status, exception=self.exception)
            for k, t in zip(key, batch, strict=True)
        ]
        for future in done:
            future.add_done_callback = lambda put, future=future: self.status == "pending" or put(future)
        self.futures += done
        return done

    def exception(self) -> Exception:
        self.fail("exception")
        return ModuleNotFoundError("No module named 'rnnbench'")

    def gather(self, futures: list[Any]) -> list[Outcome]:
        self.fail("gather", TimeoutError)
        return [Outcome(future.trial.key, "ok") for future in futures]

    def placement(self) -> dict[str, object]:
        return {}

    def processing(self) -> dict[str, tuple[str, ...]]:
        return {"worker": tuple(future.key for future in self.futures)}

    def kill(self, worker: str) -> None:
        self.killed.append(worker)

    def find_again(self) -> None:
        """It is there again at once."""
        self.futures.clear()


@pytest.mark.parametrize(
    ("failures", "status", "expected"),
    [
        (["gather", "gather"], "finished", "ok"),
        (["exception"], "error", "error"),
        (["cancel"], "pending", "timeout"),
    ],
)
def test_a_connection_that_fails_midway_loses_no_trial(failures: list[str], status: str, expected: str) -> None:
    pool = Answers(*failures, status=status)
    trials = [Trial("null", {"seed": seed}, timeout_s=0.1) for seed in range(3)]
    outcomes = list(dispatch.outcomes_of(pool, trials, lambda running: None))  # type: ignore[arg-type]
    assert not pool.failures
    assert sorted(trial.key for trial, _ in outcomes) == sorted(trial.key for trial in trials)
    assert {outcome and outcome.status for _, outcome in outcomes} == {expected}


def test_a_worker_without_rnnbench_does_not_tell_its_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object, **options: object) -> None:
        raise ModuleNotFoundError("No module named 'rnnbench'")

    pool = cluster.Pool.__new__(cluster.Pool)
    pool.scheduler = "tcp://127.0.0.1:1"
    pool.client = SimpleNamespace(_run=None)  # type: ignore[assignment]
    monkeypatch.setattr(pool, "placement", lambda: {"workers": ["10.0.0.1"]})
    monkeypatch.setattr(pool, "worker_info", lambda: {"tcp://10.0.0.1:2": {"host": "10.0.0.1"}})
    monkeypatch.setattr(pool, "ask", ask)
    with pytest.raises(InputError, match=r"worker tcp://10.0.0.1:2 does not tell .* No module named 'rnnbench'"):
        pool.hardware()


def test_a_script_without_a_main_guard_is_told_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import rnnbench\nrnnbench.run({'name': 'x', 'sweep': [{'probe': 'null'}]}, progress=False)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(engine.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr.splitlines()[-1]


SLOW = """
name = "slow"
[[sweep]]
probe = "misbehave"
[sweep.axes]
seed = { count = 9 }
[sweep.fixed]
deed = "sleep"
seconds = 0.3
"""

DRIVER = """
import sys
from rnnbench.sweeps import engine
if __name__ == "__main__":
    try:
        engine.execute(sys.argv[1], sys.argv[2], jobs=2)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def interrupted(tmp_path: Path, plugin: Path, how: signal.Signals) -> tuple[int, str, Path]:
    """Start a sweep in a process group of its own, and end the driver once some of its trials are stored."""
    (tmp_path / "slow.toml").write_text(SLOW)
    (tmp_path / "driver.py").write_text(DRIVER)
    root = Path(engine.__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "driver.py", "slow.toml", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(plugin)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # where the tests run in the background of a shell, SIGINT is ignored, and children would inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    trials = tmp_path / "out" / "slow" / "trials"
    deadline = time.monotonic() + 60
    while len(list(trials.glob("*.parquet"))) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does: workers hear it too
    else:
        process.send_signal(how)
    output, _ = process.communicate(timeout=30)
    return process.returncode, output, trials


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_goes_on_where_it_was(tmp_path: Path, plugin: Path, how: signal.Signals) -> None:
    code, output, trials = interrupted(tmp_path, plugin, how)
    finished = {path: path.read_bytes() for path in trials.glob("*.parquet")}
    assert 2 <= len(finished) < 9
    assert "Traceback" not in output
    if how == signal.SIGINT:
        assert code == 130
        assert f"interrupted: {len(finished)} of 9 trials are finished and kept" in output
        assert not list(tmp_path.rglob("*.tmp"))
    summary = engine.execute(tmp_path / "slow.toml", tmp_path / "out", jobs=0, progress=False)
    assert (summary.ok, summary.failed, summary.reused) == (9 - len(finished), 0, len(finished))
    assert all(path.read_bytes() == content for path, content in finished.items())
    assert not list(tmp_path.rglob("*.tmp"))
    assert len(Results.load(summary.path).trials) == 9
