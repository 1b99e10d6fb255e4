"""A project small enough to be gated in seconds: its benchmarks turn a clock of their own, as far as a variable says.

No other load on the machine can then change what the gate finds. Its builds are the interpreter that runs the tests,
so that neither asv's environments nor a package index is needed; processes, turns, rounds and all that follows are the
real ones.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from rnnbench.regressions.gate import rounds
from rnnbench.regressions.gate.builds import SIDES, Build, Repository

SUITE = """
import os
import random

MILLISECOND = 1e-3
clock = 0.0


class Spin:
    timer = staticmethod(lambda: clock)
    params = (["all", "one"],)
    param_names = ("slower",)

    def setup(self, slower):
        if os.environ.get("UNABLE") == slower:
            raise NotImplementedError("not yet")
        if os.environ.get("RAISES") == slower:
            raise RuntimeError("injected")
        self.factor = float(os.environ.get("ALL", 1)) * float(os.environ.get("ONE", 1) if slower == "one" else 1)

    def time_spin(self, slower):
        if os.environ.get("CRASHES") == slower:
            os._exit(9)
        global clock
        clock += MILLISECOND * self.factor * random.gauss(1, 0.01)


def timeraw_nothing():
    return "pass"


def track_nothing():
    return 1
"""
LOOKS = (9, 11, 13)
"""So few that a gate is short, and enough for 1 % of two benchmarks."""
NAMES = {
    f"spinning.Spin.time_spin-{index}": f"spinning.Spin.time_spin('{each}')"
    for index, each in enumerate(("all", "one"))
}


def git(path: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    command = ["git", "-C", str(path), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def make(path: Path) -> Path:
    """Make a repository of two commits, with a suite and a configuration of asv."""
    suite = path / "suite"
    suite.mkdir(parents=True)
    (suite / "__init__.py").write_text("")
    (suite / "spinning.py").write_text(SUITE)
    (path / "asv.conf.json").write_text(
        '{"version": 1, "project": "spinning", "repo": ".", "environment_type": "virtualenv", "benchmark_dir": "suite"}'
    )
    (path / ".gitignore").write_text(".asv\n__pycache__\n")
    git(path, "init", "--quiet", "--initial-branch=main")
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message", "First")
    git(path, "tag", "first")
    git(path, "commit", "--quiet", "--allow-empty", "--message", "Second")
    return path


def replace_builds(monkeypatch: pytest.MonkeyPatch, **variables: dict[str, str]) -> None:
    """Let every build be this interpreter, with variables by side, and the selection be found without asv."""

    def build(self: Repository, side: str, commit: str) -> Build:
        return Build(side, commit, sys.executable, {**os.environ, **variables.get(side, {})})

    def timings(self: Repository, build: Build, patterns: Sequence[str]) -> dict[str, str]:
        return dict(NAMES)

    assert variables.keys() <= set(SIDES)
    monkeypatch.setattr(Repository, "build", build)
    monkeypatch.setattr(Repository, "timings", timings)
    monkeypatch.setattr(rounds, "VISIT_S", 0.006)
    monkeypatch.setattr(rounds, "VISITS", 2)
