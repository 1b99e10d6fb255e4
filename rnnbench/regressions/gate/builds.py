"""The commits that are compared, each built and installed by asv into an environment of its own."""

from __future__ import annotations

import copy
import itertools
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnnbench.errors import InputError
from rnnbench.regressions.git import full_hash, git, top_folder

BASE, AGAIN, HEAD = SIDES = ("base", "again", "head")
"""Sides of a gate. `again` is the commit of `base`, built once more: what differs between those two is no change."""
MISSING_ASV = "the gate builds commits with asv, which is not installed: python -m pip install 'rnnbench[gate]'"
FOLDER = Path(".asv", "gate")


class NothingMeasured(RuntimeError):
    """A build failed, or no benchmark could be run: there is nothing to compare, which is not the same as no change."""


def refuse_patterns(patterns: Iterable[str]) -> None:
    """Raise InputError unless every pattern is a regular expression."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise InputError(f"pattern of benchmarks {pattern!r}: not a regular expression: {error}") from None


@dataclass(frozen=True)
class Build:
    """One side, ready to run."""

    side: str
    commit: str
    python: str
    """path of the interpreter"""
    environment: dict[str, str] = field(repr=False)
    """variables of its processes"""


@dataclass(frozen=True)
class Repository:
    """A clone of the project, with its asv configuration."""

    root: Path
    configuration: Any
    """asv's Config, with absolute paths"""

    @classmethod
    def find(cls, path: Path) -> Repository:
        """Return the repository that a folder is in; InputError where there is none, or asv.conf.json is wrong."""
        try:
            from asv.config import Config
            from asv.util import UserError
        except ModuleNotFoundError:
            raise InputError(MISSING_ASV) from None
        root = top_folder(path)
        file = root / "asv.conf.json"
        try:
            configuration = Config.load(str(file))
        except (UserError, ValueError) as error:
            raise InputError(f"{file}: {error}") from None
        configuration.repo = str(root)
        configuration.benchmark_dir = str(root / configuration.benchmark_dir)
        return cls(root, configuration)

    @property
    def suite(self) -> Path:
        """Return the folder of the benchmarks, as they are in the working tree."""
        return Path(self.configuration.benchmark_dir)

    @property
    def selection(self) -> list[str]:
        """Return the patterns of asv.conf.json that name what the gate times; InputError unless they are texts."""
        selection = self.configuration.__dict__.get("gate", {}).get("benchmarks", [""])
        if not isinstance(selection, list) or not selection or not all(isinstance(each, str) for each in selection):
            file = self.root / "asv.conf.json"
            raise InputError(f"{file}: gate.benchmarks is {selection!r}; expected a list of regular expressions")
        return selection

    def commit(self, option: str, reference: str) -> str:
        """Return the hash of a branch, tag or commit; InputError where there is no such thing."""
        return full_hash(self.root, reference, option)

    def refuse_changes(self) -> None:
        """Raise InputError where files differ from HEAD: what is built are commits."""
        changes = git(self.root, "status", "--porcelain", "--untracked-files=no").splitlines()
        changes += git(self.root, "status", "--porcelain", "--", str(self.suite)).splitlines()
        if changes:
            names = ", ".join(dict.fromkeys(change[2:].strip() for change in changes))
            raise InputError(
                f"{self.root}: uncommitted changes in {names}; the gate builds commits: commit or stash them"
            )

    def is_ancestor(self, commit: str, other: str) -> bool:
        """Return whether all of a commit is in the other."""
        command = ["git", "-C", str(self.root), "merge-base", "--is-ancestor", commit, other]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def build(self, side: str, commit: str) -> Build:
        """Build a commit with asv; NothingMeasured, with the end of what was printed, where that fails."""
        from asv.environment import EnvironmentUnavailable
        from asv.repo import get_repo
        from asv.util import ProcessError, UserError

        try:
            environment = self._environment(side)
            environment.create()
            environment.install_project(self.configuration, get_repo(self.configuration), commit)
            python = Path(environment.find_executable("python"))
        except ProcessError as error:
            output = "\n".join(f"{error.stdout or ''}\n{error.stderr or ''}".strip().splitlines()[-20:])
            raise NothingMeasured(f"{side} {commit[:10]} cannot be built: {error}\n{output}") from None
        except (UserError, EnvironmentUnavailable, OSError) as error:
            raise NothingMeasured(f"{side} {commit[:10]} cannot be built: {error}") from None
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        variables |= environment.env_vars | {"RNNBENCH_CACHE_DIR": str(self._folder(side) / "compiled")}
        variables["PATH"] = os.pathsep.join([str(python.parent), variables.get("PATH", "")])
        return Build(side, commit, str(python), variables)

    def timings(self, build: Build, patterns: Sequence[str]) -> dict[str, str]:
        """Return {asv's identifier: name with parameters} of the timings that any of the patterns finds.

        The suite is the working tree's; asv imports it with the build. NothingMeasured where it cannot be imported or
        is empty; InputError where no pattern finds anything.
        """
        from asv.benchmarks import Benchmarks
        from asv.repo import get_repo
        from asv.util import ProcessError, UserError

        configuration = copy.copy(self.configuration)
        configuration.branches = []  # whose tips asv would install, and import the suite with, if this commit fails
        environment, repository = self._environment(build.side), get_repo(self.configuration)
        try:
            suite = Benchmarks.discover(configuration, repository, [environment], [build.commit])
        except (ProcessError, UserError) as error:
            raise NothingMeasured(f"{self.suite} cannot be imported with {build.side}: {error}") from None
        named = {
            f"{name}-{index}" if point else name: f"{name}({', '.join(point)})" if point else name
            for name, benchmark in suite.items()
            if benchmark["type"] == "time"
            for index, point in enumerate(itertools.product(*benchmark["params"]))
        }
        if not named:
            raise NothingMeasured(f"{self.suite}: the suite has no benchmark that takes a time")
        found = {each: name for each, name in named.items() if any(re.search(pattern, name) for pattern in patterns)}
        if not found:
            known = ", ".join(sorted({name.partition("(")[0] for name in named.values()}))
            raise InputError(f"no timing of {self.suite} matches {' or '.join(patterns)}; there are {known}")
        return found

    def _folder(self, side: str) -> Path:
        return self.root / FOLDER / "builds" / f"{side:_<5}"  # paths of one length: nothing else differs by side

    def _environment(self, side: str) -> Any:
        """Return the asv environment of a side; InputError unless asv.conf.json names just one."""
        from asv.environment import get_environments

        configuration = copy.copy(self.configuration)
        configuration.env_dir = str(self._folder(side))
        environments = list(get_environments(configuration, []))
        if len(environments) != 1:
            found = f"names {len(environments)} environments that can be made here; the gate needs one"
            raise InputError(f"{self.root / 'asv.conf.json'}: the matrix {found}")
        return environments[0]
