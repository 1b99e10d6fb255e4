"""A cluster of separate processes, as on a cluster of machines: workers come and go, and the scheduler with them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rnnbench.sweeps import cluster as cluster_module
from rnnbench.sweeps import dispatch, engine
from rnnbench.sweeps.progress import Silent
from rnnbench.sweeps.store import Results
from rnnbench.sweeps.trial import Outcome, Trial

ROOT = Path(engine.__file__).parents[2]


class Cluster:
    """`dask scheduler` and `dask worker`, each a command of its own; workers share no folder with the driver."""

    def __init__(self, folder: Path, plugin: Path, protocol: str = "tcp", **variables: str) -> None:
        self.folder, self.protocol = folder, protocol
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(plugin)]), **variables}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"{protocol}://127.0.0.1:{self.port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start_scheduler()

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard", "--protocol", self.protocol]
        self.scheduler = self._start("scheduler", *options)
        deadline = time.monotonic() + 60
        while not self._listens():
            assert self.scheduler.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return self.scheduler

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def start_worker(self, *options: str) -> subprocess.Popen[bytes]:
        always = ["--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard", "--protocol", self.protocol]
        return self._start("worker", self.address, *always, "--preload", "rnnbench.sweeps.preload", *options)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        folder = self.folder / f"machine-{len(self.processes)}"
        folder.mkdir()
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-m", "dask", *arguments]
            process = subprocess.Popen(
                command, cwd=folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a command and all of its processes, as a power cut or a batch system does."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.send_signal(how)

    def close(self) -> None:
        for process in self.processes:
            self.end(process)
            process.wait(timeout=30)


@pytest.fixture
def cluster(tmp_path: Path, plugin: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, plugin)
    yield cluster
    cluster.close()


class Acting(Silent):
    """A reporter that counts, and does something to the cluster when so many trials are finished."""

    def __init__(self, **actions: Callable[[], Any]) -> None:
        self.actions = {int(name.removeprefix("after_")): action for name, action in actions.items()}
        self.finished_keys: Counter[str] = Counter()
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        self.finished_keys[trial.key] += 1
        if action := self.actions.pop(self.finished_keys.total(), None):
            action()


def sleepy(count: int, **more: Any) -> dict[str, Any]:
    fixed = {"deed": "sleep", "seconds": 0.1}
    section = {"probe": "misbehave", "axes": {"number": list(range(count))}, "fixed": fixed, **more}
    return {"name": "remote", "sweep": [section]}


def run(cluster: Cluster, sweep: dict[str, Any], report: Acting) -> Results:
    """Run the sweep on the cluster, and see that each trial came to one row and none was run twice to its end."""
    summary = engine.execute(sweep, cluster.folder / "out", scheduler=cluster.address, progress=report)
    results = Results.load(summary.path)
    assert set(report.finished_keys.values()) == {1}
    assert results.missing == ()
    assert results.trials["key"].is_unique
    assert len(results.trials) == len(report.finished_keys)
    return results


def test_workers_join_and_leave_while_a_sweep_runs(cluster: Cluster) -> None:
    first = cluster.start_worker()

    def change() -> None:
        cluster.start_worker()
        cluster.end(first, signal.SIGTERM)  # as a batch system asks a job to end

    def cut() -> None:
        cluster.start_worker()
        cluster.end(cluster.processes[2])  # without a word

    report = Acting(after_5=change, after_15=cut)
    sweep = sleepy(40)
    sweep["sweep"].append({"probe": "timing", "axes": {"seed": {"count": 2}}})
    results = run(cluster, sweep, report)
    assert results.counts == {"ok": 42}
    assert report.actions == {}
    described = results.provenance["environments"]
    assert set(results.trials["environment"]) <= set(described)
    assert len(described) <= 2  # the driver's, and one of all workers, which are alike
    assert results.trials["hardware"].notna().all()
    left = {path.name for folder in cluster.folder.glob("machine-*") for path in folder.iterdir()}
    assert left <= {"log", "dask-scratch-space"}  # rows travel; workers write no results
    again = engine.execute(sweep, cluster.folder / "out", scheduler=cluster.address, progress=False)
    assert (again.ok, again.reused) == (0, 42)


def test_a_scheduler_that_is_started_again_gets_the_rest(cluster: Cluster) -> None:
    cluster.start_worker()

    def restart() -> None:
        for process in cluster.processes:
            cluster.end(process)
        cluster.start_scheduler()
        cluster.start_worker()

    report = Acting(after_6=restart)
    results = run(cluster, sleepy(20), report)
    assert results.counts == {"ok": 20}


def test_a_scheduler_that_stays_away_ends_the_run_and_the_next_one_goes_on(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "RECONNECT_S", 1.0)
    monkeypatch.setattr(cluster_module, "CONNECT_TIMEOUT_S", 1)
    cluster.start_worker()
    report = Acting(after_4=lambda: cluster.end(cluster.scheduler))
    with pytest.raises(cluster_module.SchedulerLost, match="the scheduler is lost: --scheduler"):
        engine.execute(sleepy(12), cluster.folder / "out", scheduler=cluster.address, progress=report)
    done = report.finished_keys.total()
    assert 4 <= done < 12
    rest = engine.execute(sleepy(12), cluster.folder / "out", jobs=0, progress=False)
    assert (rest.ok, rest.reused) == (12 - done, done)


def test_a_worker_that_falls_silent_costs_its_trial_and_no_other(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped with its nanny, it keeps its connections open and answers nothing, as behind a broken network."""
    monkeypatch.setattr(cluster_module, "ANSWER_TIMEOUT_S", 2)
    silent = cluster.start_worker()

    def fall_silent() -> None:
        cluster.end(silent, signal.SIGSTOP)
        cluster.start_worker()

    report = Acting(after_3=fall_silent)
    results = run(cluster, sleepy(12, timeout_s=3), report)
    assert results.counts["ok"] >= 11
    assert set(results.counts) <= {"ok", "timeout"}


def test_a_deadly_trial_and_a_hanging_one_are_found_on_a_cluster_too(cluster: Cluster) -> None:
    cluster.start_worker()
    cluster.start_worker("--no-nanny")
    sweep = {
        "name": "remote",
        "sweep": [
            {"probe": "misbehave", "axes": {"deed": ["hang"]}, "timeout_s": 3},
            {"probe": "misbehave", "axes": {"number": list(range(1, 11))}},
        ],
    }
    results = run(cluster, sweep, Acting())
    assert results.counts == {"ok": 10, "timeout": 1}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_cluster_behind_tls_serves_whoever_has_the_certificate(tmp_path: Path, plugin: Path) -> None:
    """With the variables that experiments/README.md names, set alike for scheduler, workers and driver."""
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*request, "-keyout", "mine.key", "-out", "mine.pem"], cwd=tmp_path, check=True, capture_output=True)
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    variables = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true", f"{tls}CA_FILE": str(tmp_path / "mine.pem")}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        variables |= {f"{tls}{role}__CERT": str(tmp_path / "mine.pem"), f"{tls}{role}__KEY": str(tmp_path / "mine.key")}
    (tmp_path / "null.toml").write_text('name = "null"\n[[sweep]]\nprobe = "null"\n[sweep.axes]\nseed = [1, 2]\n')
    cluster = Cluster(tmp_path, plugin, "tls", **variables)

    def driver(**environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rnnbench.cli", "run", "null.toml", "--fresh", "--scheduler", cluster.address]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)

    try:
        cluster.start_worker()
        done = driver(**cluster.environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("2 ok, 0 failed")
        stranger = driver(**{name: value for name, value in cluster.environment.items() if name not in variables})
        assert stranger.returncode == 2
        complaint = f"error: --scheduler {cluster.address}: expected certificates in Dask's configuration"
        assert stranger.stderr.splitlines()[-1].startswith(complaint)
    finally:
        cluster.close()


def test_what_is_lost_time_and_again_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    flight = dispatch._Flight.__new__(dispatch._Flight)
    flight.losses, flight.waiting = Counter(), dispatch.deque()
    trial = Trial("null", {"seed": 0})
    for _ in range(dispatch.LOSSES):
        assert list(flight._lose(trial)) == []
        assert flight.waiting.popleft() is trial
    [(_, outcome)] = flight._lose(trial)
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("killed", "the worker or its result was lost 4 times")
