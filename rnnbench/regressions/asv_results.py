"""Times of a run as results of asv, which `asv publish` draws over the commits and `asv compare` holds together.

A timed quantity of a probe becomes a benchmark, PROBE.QUANTITY, with the parameters of its points. asv multiplies
parameters out, and has no result where the run did not measure; where that would be most points, the points themselves
are the values of one parameter. Samples are those of the run, processes (seeds) one after the other, and asv's value is
their median. Files are written by asv's own classes.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench.errors import InputError
from rnnbench.regressions.git import full_hash, git
from rnnbench.regressions.joining import join
from rnnbench.report.rows import natural_order
from rnnbench.sweeps.trial import SCHEMA_VERSION

if TYPE_CHECKING:
    from rnnbench.sweeps.store import Results

MISSING_ASV = "results of asv are written by asv, which is not installed: python -m pip install 'rnnbench[gate]'"
MOST_EMPTY = 3
"""Points that asv may multiply out to for each that was measured."""

Samples = dict[tuple[str, ...], list[float]]
"""Samples in seconds by the texts of a point's parameters."""


def export(run: Results, results: Path, machine: str, commit: str | None = None, repository: Path = Path()) -> Path:
    """Write the times of a run below a results folder of asv, and return the file; benchmarks there are kept.

    `commit` is that of the run's provenance unless given; InputError where it is not known, its tree had changes, or it
    is no commit of the repository; and where the run has no times.
    """
    try:
        from asv.benchmarks import Benchmarks
        from asv.machine import Machine
        from asv.results import Results as AsvResults
        from asv.util import UserError, load_json
    except ModuleNotFoundError:
        raise InputError(MISSING_ASV) from None
    commit, date = _commit_and_date(run, commit, repository)
    benchmarks = _benchmarks(run)
    description = _machine(run, machine)
    versions = run.provenance["versions"]
    requirements = {name: versions[name] for name in ("numba", "numpy") if versions.get(name)}
    python = ".".join(str(versions["python"]).split(".")[:2])
    name = "-".join(["rnnbench", f"py{python}", *(f"{package}{version}" for package, version in requirements.items())])
    stored = AsvResults({**description, "python": python, **requirements}, requirements, commit, date, python, name, {})
    stored.load_data(str(results))
    for benchmark, samples in benchmarks:
        points = [samples.get(point) for point in itertools.product(*benchmark["params"])]
        measured = SimpleNamespace(
            result=[None if each is None else float(np.median(each)) for each in points],
            samples=points,
            number=[None if each is None else 1 for each in points],
            profile=None,
            stderr="",
            errcode=0,
        )
        stored.add_result(benchmark, measured, record_samples=True)
    file = results / "benchmarks.json"
    try:
        known = load_json(str(file), api_version=Benchmarks.api_version) if file.is_file() else {}
    except UserError as error:
        raise InputError(f"{file}: {error}") from None
    known |= {benchmark["name"]: benchmark for benchmark, _ in benchmarks}
    Benchmarks(SimpleNamespace(benchmark_dir="", results_dir=str(results)), list(known.values())).save()
    own = Machine()
    own.__dict__.update(description)
    own.save(str(results))
    stored.save(str(results))
    return results / stored._filename


def _benchmarks(run: Results) -> list[tuple[dict[str, Any], Samples]]:
    """Return each benchmark as asv describes it, with its samples by point."""
    found: dict[str, dict[str, list[float]]] = {}
    for probe, quantity, point, processes, _ in join(run, run).times():
        found.setdefault(f"{probe}.{quantity}", {})[point] = np.concatenate(processes).tolist()
    if not found:
        raise InputError(f"{run.path}: no quantity of it is a time with samples; there is nothing to export")
    return [_benchmark(name, points) for name, points in found.items()]


def _benchmark(name: str, points: Mapping[str, list[float]]) -> tuple[dict[str, Any], Samples]:
    """Return one benchmark; its parameters are those with more than one value."""
    parsed = [json.loads(point) for point in points]
    values = {key: _values(key, parsed) for key in dict.fromkeys(itertools.chain(*parsed))}
    varying = {key: own for key, own in values.items() if len(own) > 1}
    places = [{key: own[key] for key in varying if key in own} for own in parsed]
    if math.prod(map(len, varying.values())) > MOST_EMPTY * len(points):
        texts = [", ".join(f"{key}={value}" for key, value in place.items()) for place in places]
        varying, places = {"point": texts}, [{"point": text} for text in texts]
    benchmark = {
        "name": name,
        "type": "time",
        "unit": "seconds",
        "params": [[repr(value) for value in own] for own in varying.values()],
        "param_names": list(varying),
        "version": f"rnnbench schema {SCHEMA_VERSION}",
        "code": "",
    }
    samples = {
        tuple(repr(place.get(key)) for key in varying): each
        for place, each in zip(places, points.values(), strict=True)
    }
    return benchmark, samples


def _values(key: str, points: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return the values of a parameter in their natural order; None stands for points that have none."""
    return sorted({point.get(key) for point in points}, key=natural_order)


def _machine(run: Results, name: str) -> dict[str, str]:
    machine = run.provenance["machine"]
    return {
        "machine": name,
        "os": str(machine.get("os", "")),
        "arch": str(machine.get("architecture", "")),
        "cpu": str(machine.get("cpu", "")),
        "num_cpu": str(machine.get("logical_cores", "")),
        "ram": str(machine.get("memory_bytes", "")),
    }


def _commit_and_date(run: Results, given: str | None, repository: Path) -> tuple[str, int]:
    """Return the hash and the date, in asv's milliseconds, of the commit that a run measured."""
    state, commit = run.provenance.get("package_git"), given
    if commit is None:
        if not state:
            raise InputError(f"{run.path}: its provenance names no commit; say which with --commit")
        if state["dirty"]:
            raise InputError(
                f"{run.path}: measured with changes on top of {state['commit'][:10]}; --commit files it so"
            )
        commit = str(state["commit"])
    full = full_hash(repository, commit, f"{run.path}: measured at" if given is None else "--commit")
    return full, 1000 * int(git(repository, "show", "--no-patch", "--format=%at", full))
