"""Two runs held against each other: every time with an interval and a verdict, every other value bit by bit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rnnbench.errors import InputError
from rnnbench.regressions.joining import Joined, join
from rnnbench.regressions.machines import refuse_different
from rnnbench.regressions.statistics import Effect, effect, judge
from rnnbench.report import wording
from rnnbench.report.rows import parameter_names

if TYPE_CHECKING:
    from rnnbench.sweeps.store import Results

_MEASURED = ("processes", "samples_a", "samples_b", *Effect._fields, "machine_ratio")


@dataclass(frozen=True)
class Comparison:
    """What became of run A in run B.

    points   one row a timed quantity of a point, the largest ratio first: probe, quantity, its parameters (missing
             where its probe has none), processes, samples_a, samples_b, time_a_s, time_b_s, ratio (B / A) with
             ratio_low and ratio_high, p_value, smallest_p_value, machine_ratio (of the time of the machine's own matrix
             product in the same trials), q_value, verdict, reason
    values   one row a quantity that does not hang on speed: probe, quantity, both (how many values both runs have),
             identical, largest_relative_difference and where it is, only_a, only_b
    notes    what was left out, and what became of the machine's own speed, a sentence each
    """

    path_a: Path
    path_b: Path
    threshold: float
    parameters: tuple[str, ...]
    """Names of the columns of `points` that are parameters."""
    points: pd.DataFrame
    values: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def varying(self) -> list[str]:
        """Names of the parameters that tell the points apart."""
        return [name for name in self.parameters if self.points[name].nunique(dropna=False) > 1]


def compare(a: Results, b: Results, threshold: float = 0.03, different_machines: bool = False) -> Comparison:
    """Compare run B with run A; times less than `threshold` (0.03 is 3 %) apart count as the same.

    InputError where the runs have nothing in common, and where times were taken on different machines unless
    `different_machines` says that this is known.

    >>> before, after = map(rnnbench.Results.load, ["results/before", "results/after"])  # doctest: +SKIP
    >>> compare(before, after).points  # doctest: +SKIP
    """
    if not 0 <= threshold < 1:
        raise InputError(f"threshold is {threshold:g}; expected 0 or more, and less than 1 (100 %)")
    joined = join(a, b)
    known = dict.fromkeys([*parameter_names(a.trials), *parameter_names(b.trials)])
    times, parameters = _times(joined, list(known))
    values = _values(joined.values())
    if times.empty and values.empty:
        raise InputError(f"{a.path} and {b.path} have trials in common, but no quantity that both have measured")
    if len(times) and not different_machines:
        refuse_different(a, b)
    verdicts = judge(times, threshold, times["machine_ratio"].astype(float))
    points = times.join(verdicts).sort_values("ratio", ascending=False, kind="stable", ignore_index=True)
    notes = (*joined.notes, *_machine_notes(joined), *_process_notes(points))
    return Comparison(a.path, b.path, threshold, parameters, points, values, notes)


def _times(joined: Joined, names: list[str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return one row a timed quantity of a point with its effect, and which columns are parameters, as in `names`."""
    machine = np.exp(np.log(joined.machine_ratios()).groupby(["probe", "point"]).mean()).to_dict()
    own, parameters, rest = [], [], []
    for probe, quantity, point, a, b in joined.times():
        own.append({"probe": probe, "quantity": quantity})
        parameters.append(json.loads(point))
        counts = {"processes": min(len(a), len(b)), "samples_a": sum(map(len, a)), "samples_b": sum(map(len, b))}
        rest.append({**counts, **effect(a, b)._asdict(), "machine_ratio": machine.get((probe, point), np.nan)})
    known, measured = pd.DataFrame(own, columns=["probe", "quantity"]), pd.DataFrame(rest, columns=_MEASURED)
    told = pd.DataFrame(parameters, index=known.index, columns=names).dropna(axis=1, how="all").convert_dtypes()
    taken = {*known, *measured, "q_value", "verdict", "reason"}
    told.columns = [f"{name} parameter" if name in taken else str(name) for name in told.columns]
    return pd.concat([known, told, measured], axis=1), tuple(told.columns)


def _values(values: pd.DataFrame) -> pd.DataFrame:
    """Return one row a quantity: how many values are the same in both runs, and how far the others are apart."""
    lines = []
    for (probe, quantity), part in values.groupby(["probe", "quantity"], sort=False):
        both = part[part["_merge"] == "both"]
        a, b = both["value_a"].to_numpy(float), both["value_b"].to_numpy(float)
        difference = _relative_difference(a, b)
        largest = int(difference.argmax()) if len(difference) else -1
        lines.append(
            {
                "probe": probe,
                "quantity": quantity,
                "both": len(both),
                "identical": int((difference == 0).sum()),
                "largest_relative_difference": difference[largest] if largest >= 0 else np.nan,
                "where": _place(both.iloc[largest], part) if largest >= 0 and difference[largest] > 0 else "",
                "only_a": int((part["_merge"] == "left_only").sum()),
                "only_b": int((part["_merge"] == "right_only").sum()),
            }
        )
    return pd.DataFrame(lines)


def _relative_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return |a - b| / max(|a|, |b|): 0 for the same number (NaN is one too), infinite where one is no number."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))
    difference[~np.isfinite(a) | ~np.isfinite(b)] = np.inf
    difference[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    return difference


def _place(value: pd.Series, among: pd.DataFrame) -> str:
    """Return what tells the point of a value apart, its seed and its index, in words."""
    points = [json.loads(point) for point in among["point"].unique()]
    own = json.loads(value["point"])
    told = {name: own[name] for name in own if any(point.get(name) != own[name] for point in points)}
    told |= {name: value[name] for name in ("seed", "index") if among[name].nunique() > 1}
    return wording.setting({name: each if name != "seed" else int(each) for name, each in told.items()})


def _machine_notes(joined: Joined) -> list[str]:
    """Say how fast the machine itself was."""
    ratios = joined.machine_ratios()
    if ratios.empty:
        return []
    middle, ends = wording.significant(ratios.median()), wording.span(ratios)
    trials = wording.count(len(ratios), "trial")
    return [f"The machine's own matrix product took {middle} times A's time in B (median of {trials}, {ends})."]


def _process_notes(points: pd.DataFrame) -> list[str]:
    alone = int((points["processes"] == 1).sum())
    if not alone:
        return []
    return [
        f"{wording.count(alone, 'ratio')} from one process a run: what differs from process to process counts as a "
        "change there; several seeds tell the two apart."
    ]
