"""Two runs joined: the trials of one point in both, by probe and parameters, whatever the kernels were.

A point is a probe with its parameters but for the seed, and but for how often something is timed: that says how well
a point is known, not which it is. The trials of a point are paired by their seeds. A parameter that only one run knows
(its probe has learned it since, or lost it) is no obstacle while it has one value there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rnnbench.errors import InputError, unknown_name
from rnnbench.report import wording
from rnnbench.report.rows import natural_order, parameter_names

if TYPE_CHECKING:
    from rnnbench.sweeps.store import Results

SAMPLING = frozenset({"repeats", "pairs"})
"""Parameters that say how often something is timed."""

MACHINE_RATES = ("sgemm_flop_rate", "dgemm_flop_rate", "gemm_rate")
"""What probes that time a layer say of the machine itself, measured in the same minutes."""

TRIAL = ["probe", "point", "seed"]
"""What two trials share that are compared; the point is its parameters as JSON."""


@dataclass(frozen=True)
class Joined:
    """What two runs have in common."""

    rows: tuple[pd.DataFrame, pd.DataFrame]
    """Measurements of A and of B, with probe, point and seed, of the trials that both have."""
    notes: list[str]
    """What was left out, a sentence each."""

    @cached_property
    def timed_probes(self) -> set[str]:
        """Probes that time something: all that they measure hangs on the machine."""
        return {str(probe) for rows in self.rows for probe in rows.loc[_timed(rows), "probe"]}

    def times(self) -> Iterator[tuple[str, str, str, list[np.ndarray], list[np.ndarray]]]:
        """Yield probe, quantity, point and the samples in seconds of each process of A and of B."""
        sides: list[dict[tuple[str, str, str], list[np.ndarray]]] = [{}, {}]
        for side, rows in zip(sides, self.rows, strict=True):
            trials = rows[_timed(rows)].groupby(["probe", "quantity", "point", "seed", "key"], sort=False)
            for (probe, quantity, point, _, _), part in trials:
                side.setdefault((str(probe), str(quantity), str(point)), []).append(part["value"].to_numpy(float))
        for place in (place for place in sides[0] if place in sides[1]):
            yield *place, sides[0][place], sides[1][place]

    def values(self) -> pd.DataFrame:
        """Return what does not hang on the machine's speed: one row a value, value_a beside value_b.

        `_merge` says where a value is: "both", "left_only" (A's) or "right_only" (B's).
        """
        names = [*TRIAL, "quantity", "index"]
        sides = []
        for rows in self.rows:
            hangs = rows["probe"].isin(self.timed_probes) | (rows["unit"] == "s") | rows["unit"].str.endswith("/s")
            sides.append(rows.loc[~hangs, [*names, "value"]].drop_duplicates(names))
        return sides[0].merge(sides[1], on=names, how="outer", suffixes=("_a", "_b"), indicator=True, sort=False)

    def machine_ratios(self) -> pd.Series:
        """Return by (probe, point, seed) the time of the machine's own matrix product, B / A, where it was measured."""
        a, b = (
            rows[rows["quantity"].isin(MACHINE_RATES) & (rows["value"] > 0)].groupby(TRIAL)["value"].median()
            for rows in self.rows
        )
        return (a / b).dropna()  # of rates, hence A's over B's


def _timed(rows: pd.DataFrame) -> pd.Series:
    """Return which rows are samples of a time: in seconds, with an index that counts them."""
    return (rows["unit"] == "s") & rows["index"].notna()


def join(a: Results, b: Results) -> Joined:
    """Join two runs; InputError, saying what differs, where they have no trial in common."""
    runs = a, b
    trials = [run.trials[run.trials["status"] == "ok"].reset_index(drop=True) for run in runs]
    for run, finished in zip(runs, trials, strict=True):
        if finished.empty:
            raise InputError(f"{run.path}: no trial of it is ok; there is nothing to compare")
    notes = [note for run in runs for note in _unfinished(run)]
    points = [_points(finished) for finished in trials]
    for this, other, run in ((0, 1, a), (1, 0, b)):
        notes += _drop_unshared(points[this], points[other], f"Only {run.path} has")
    for finished, parameters in zip(trials, points, strict=True):
        finished["point"] = [json.dumps(values, sort_keys=True) for _, values in parameters]
        finished["seed"] = finished["seed"].astype(str) if "seed" in finished else ""
    common = trials[0][TRIAL].merge(trials[1][TRIAL]).drop_duplicates()
    if common.empty:
        raise _nothing_in_common(a, b, points, trials)
    for run, finished in zip(runs, trials, strict=True):
        notes += _only_here(run, finished, common)
    keys = [finished.merge(common, on=TRIAL)[["key", *TRIAL]] for finished in trials]
    rows = [run.measurements.merge(own, on="key") for run, own in zip(runs, keys, strict=True)]
    return Joined((rows[0], rows[1]), notes)


def _unfinished(run: Results) -> list[str]:
    failed = [f"{count:,} {wording.words(status)}" for status, count in run.counts.items() if status != "ok"]
    failed += [f"{len(run.missing):,} not run yet"] if run.missing else []
    total = wording.count(len(run.trials) + len(run.missing), "trial")
    return [f"{run.path}: of {total}, {wording.listing(failed)}; left out."] if failed else []


Point = tuple[str, dict[str, Any]]
"""A probe and its parameters."""


def _points(trials: pd.DataFrame) -> list[Point]:
    """Return the point of each trial; a whole number is one, be it 1 or 1.0 in the file."""
    names = [name for name in parameter_names(trials) if name not in {"seed", *SAMPLING}]
    records = trials[names].to_dict("records")
    return [
        (probe, {str(name): _plain(value) for name, value in record.items() if not (pd.isna(value) or value == "")})
        for probe, record in zip(trials["probe"], records, strict=True)
    ]


def _plain(value: Any) -> str | bool | int | float:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return int(value) if float(value).is_integer() else float(value)


def _found(points: list[Point]) -> dict[str, dict[str, set[Any]]]:
    """Return {probe: {parameter: its values}}."""
    found: dict[str, dict[str, set[Any]]] = {}
    for probe, parameters in points:
        of_probe = found.setdefault(probe, {})
        for name, value in parameters.items():
            of_probe.setdefault(name, set()).add(value)
    return found


def _drop_unshared(points: list[Point], others: list[Point], who: str) -> list[str]:
    """Take parameters out of the points that no point of the other run has, where they have one value; say so."""
    there, notes = _found(others), []
    for probe, parameters in _found(points).items():
        for name, values in parameters.items():
            if probe in there and name not in there[probe] and len(values) == 1:
                for point in (own for of_probe, own in points if of_probe == probe):
                    point.pop(name, None)
                notes.append(
                    f"{who} the parameter {name} of {probe} ({wording.value_text(values.pop())}); joined without it."
                )
    return notes


def _only_here(run: Results, trials: pd.DataFrame, common: pd.DataFrame) -> list[str]:
    """Say how many points, and how many seeds of points in common, the other run has not."""
    points = trials.groupby(["probe", "point"]).ngroups
    shared = common.groupby(["probe", "point"]).ngroups
    here = trials.merge(common[["probe", "point"]].drop_duplicates(), on=["probe", "point"])
    seeds = here.groupby(TRIAL).ngroups - len(common)
    notes = [f"{wording.count(points - shared, 'point')} only in {run.path}."] if points > shared else []
    return notes + ([f"{wording.count(seeds, 'trial')} with a seed that only {run.path} has."] if seeds else [])


def _nothing_in_common(a: Results, b: Results, points: list[list[Point]], trials: list[pd.DataFrame]) -> InputError:
    """Return the error that says which probes, or which parameters of the same probe, the runs do not share."""
    found = [_found(own) for own in points]
    shared = sorted(found[0].keys() & found[1].keys())
    if not shared:
        problems = [str(unknown_name("probe", probe, found[1])) for probe in sorted(found[0])]
        return InputError(f"{b.path} has none of the probes of {a.path}: {'; '.join(problems)}")
    problems = []
    for probe in shared:
        sides = [dict(own[probe]) for own in found]
        for side, finished in zip(sides, trials, strict=True):
            side["seed"] = set(finished.loc[finished["probe"] == probe, "seed"])
        names = [
            name for name in sides[0] | sides[1] if sides[0].get(name, set()).isdisjoint(sides[1].get(name, set()))
        ]
        told = [
            f"{name} is {_listed(sides[0], name)} in {a.path}, {_listed(sides[1], name)} in {b.path}" for name in names
        ]
        problems.append(f"{probe}: {'; '.join(told) or 'no combination of its parameters is in both'}")
    return InputError(f"{a.path} and {b.path} have no trial in common: {'; '.join(problems)}")


def _listed(values: dict[str, set[Any]], name: str) -> str:
    found = sorted(values.get(name, set()), key=natural_order)
    return ", ".join(map(wording.value_text, found[:6])) + (", ..." if len(found) > 6 else "") if found else "not known"
