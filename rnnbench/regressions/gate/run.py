"""A gate from its two references to its answer: build, prepare, time round after round, stop when it is clear."""

from __future__ import annotations

import datetime
import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnnbench.regressions.gate import rounds
from rnnbench.regressions.gate.builds import (
    AGAIN,
    BASE,
    FOLDER,
    HEAD,
    Build,
    NothingMeasured,
    Repository,
    refuse_patterns,
)
from rnnbench.regressions.gate.evidence import Evidence
from rnnbench.regressions.gate.result import Result, conclude
from rnnbench.regressions.gate.sequential import LOOKS, Plan

MOST_LOST_ROUNDS = 3
"""Rounds in a row that end without a measurement, before the gate gives up."""


@dataclass(frozen=True)
class Settings:
    """What is compared, how exactly, and for how long."""

    base: str
    head: str = "HEAD"
    patterns: Sequence[str] = ()
    """regular expressions of benchmarks; none: those of asv.conf.json"""
    threshold: float = 0.05
    minutes: float = 10.0
    """of measuring, builds not counted"""
    fresh: bool = False
    """forget rounds that were stored before"""
    looks: tuple[int, ...] = LOOKS


def run(settings: Settings, path: Path, say: Callable[[str], None] = lambda line: None) -> Result:
    """Compare two commits of the repository that `path` is in; `say` is told of every step.

    Rounds are stored as they come, and the same call goes on with them. InputError for what is wrong with the input;
    NothingMeasured where a build fails or no benchmark runs.
    """
    Plan(1, settings.threshold)  # refuses a threshold before anything is built
    repository = Repository.find(path)
    repository.refuse_changes()
    base, head = (
        repository.commit(f"--{side}", reference) for side, reference in ((BASE, settings.base), (HEAD, settings.head))
    )
    patterns = settings.patterns or repository.selection
    refuse_patterns(patterns)
    if not repository.is_ancestor(base, head):
        say(f"note: {settings.base} has commits that {settings.head} has not; they count as changes too")
    builds: dict[str, Build] = {}
    for side, commit in ((HEAD, head), (BASE, base), (AGAIN, base)):  # what is most likely to fail comes first
        say(f"building {side} ({commit[:10]})")
        builds[side] = repository.build(side, commit)
        if side == HEAD:
            names = repository.timings(builds[HEAD], patterns)
    unable = {}
    for side, build in builds.items():
        say(f"preparing {len(names)} benchmarks in {side}")
        unable[side] = rounds.prepare(build, repository.suite, names)
    evidence = Evidence.start(names, unable, settings.threshold, settings.looks)
    folder = repository.root / FOLDER / "rounds" / _run_name(builds, repository.suite, evidence.plan, names)
    if settings.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    measure(evidence, list(builds.values()), repository.suite, folder / "rounds.jsonl", settings.minutes * 60, say)
    notes = _package_notes(*(rounds.packages(builds[side]) for side in (BASE, AGAIN, HEAD)))
    return conclude(evidence, settings, (base, head), notes, folder)


def measure(
    evidence: Evidence, builds: Sequence[Build], suite: Path, store: Path, limit_s: float, say: Callable[[str], None]
) -> None:
    """Take stored rounds and new ones into the evidence until every benchmark is decided, or rounds or time run out.

    The base's second build takes part up to the first look.
    """
    for stored in _stored(store):
        evidence.take(stored)
    if evidence.rounds:
        say(f"{evidence.rounds} rounds are stored in {store}; going on from there")
    store.parent.mkdir(parents=True, exist_ok=True)
    rng, lost = np.random.default_rng(), 0
    while evidence.open and evidence.rounds < evidence.plan.looks[-1]:
        if evidence.measured_s + evidence.round_s > limit_s:
            evidence.out_of_time = True
            break
        sides = [build for build in builds if build.side != AGAIN or evidence.rounds < evidence.plan.looks[0]]
        line: dict[str, Any] = {"started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
        try:
            line |= rounds.run_round(sides, suite, evidence.open, rng)
            lost = 0
        except rounds.BenchmarkKilled as killed:
            line |= {"medians": {}, "failed": {killed.side: {killed.identifier: killed.reason}}, "seconds": 0.0}
        except rounds.WorkerLost as reason:
            lost += 1
            if lost == MOST_LOST_ROUNDS:
                raise NothingMeasured(f"{lost} rounds in a row could not be measured: {reason}") from None
            continue
        with store.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        evidence.take(line)
        say(evidence.progress(line["seconds"]))


def _stored(path: Path) -> Iterable[dict[str, Any]]:
    """Yield the rounds in a file; a last line that was cut off is none."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    if lines and not lines[-1].endswith("\n"):
        path.write_text("".join(lines[:-1]), encoding="utf-8")
        lines.pop()
    yield from map(json.loads, lines)


def _run_name(builds: dict[str, Build], suite: Path, plan: Plan, names: Iterable[str]) -> str:
    """Return a name that only the same measurement has: commits, suite, selection, plan, machine, and timing."""
    digest = hashlib.sha256()
    for file in sorted(suite.rglob("*.py")):
        digest.update(file.read_bytes())
    facts = [sorted(names), repr(plan), platform.node(), platform.processor(), rounds.VISITS, rounds.VISIT_S]
    facts += [{name: builds[HEAD].environment.get(name) for name in ("RNNBENCH_THREADS", "OMP_NUM_THREADS")}]
    digest.update(json.dumps(facts).encode())
    return f"{builds[BASE].commit[:10]}-{builds[HEAD].commit[:10]}-{digest.hexdigest()[:8]}"


def _package_notes(base: dict[str, str], again: dict[str, str], head: dict[str, str]) -> list[str]:
    """Say which packages beside the project itself differ between the environments."""
    notes = []
    for other, versions in ((AGAIN, again), (HEAD, head)):
        differing = [
            f"{name} {base.get(name, 'absent')} and {versions.get(name, 'absent')}"
            for name in sorted(base.keys() | versions.keys(), key=str.lower)
            if base.get(name) != versions.get(name) and name != "rnnbench"
        ]
        if differing:
            notes.append(f"Packages differ between {BASE} and {other}: {', '.join(differing)}.")
    return notes
