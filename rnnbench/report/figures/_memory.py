"""What the figures of memory have in common: trials by task and arm, seeds that solved it, and budgets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator
from scipy import stats

from rnnbench.report import wording
from rnnbench.report.rows import Rows, groups, hold, settings

MOST_ARMS = 4


class Arm(NamedTuple):
    """Trials of one task that differ by cell, length and seed alone."""

    setting: Mapping[str, Any]
    trials: pd.DataFrame
    """One row a trial: its parameters, `solved`, `steps_to_solve`."""

    @property
    def lengths(self) -> list[int]:
        """The lengths at hand, in order."""
        return sorted(self.trials["length"].astype(int).unique())

    @property
    def cells(self) -> list[tuple[str, pd.DataFrame]]:
        """The trials of each cell."""
        return [(str(values["cell"]), part) for values, part in groups(self.trials, ["cell"])]


class Share(NamedTuple):
    """How many of some seeds solved a task, with Wilson's 95 % interval of the rate."""

    solved: int
    seeds: int

    @property
    def rate(self) -> float:
        """The fraction that solved it."""
        return self.solved / self.seeds

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval."""
        found = stats.binomtest(self.solved, self.seeds).proportion_ci(method="wilson")
        return float(found.low), float(found.high)


def tasks_with_lengths(rows: Rows) -> list[tuple[str, pd.DataFrame]]:
    """Return (task, one row a trial) for each task that says whether it was solved, at two lengths or more."""
    wide = rows.wide()
    if not {"solved", "length", "cell", "task"} <= set(wide):
        return []
    known = wide[wide["solved"].notna()]
    return [(str(values["task"]), part) for values, part in groups(known, ["task"]) if part["length"].nunique() > 1]


def arms(rows: Rows, trials: pd.DataFrame) -> list[Arm]:
    """Return the arms of one task that have two lengths or more, those with the most trials first.

    Of several hidden sizes one is held, the one most trials have; a number of parameters that picks the size, and
    chrono biases, whose times grow with the length, are arms of their own.
    """
    frame = _one_size(trials)
    names = rows.varying(frame, besides=("task", "length", "steps", "evaluate_every", "hidden"))
    if "chrono" in names:
        names = [name for name in names if name != "gate_bias" or frame[name].nunique() > 1]
    sizes = "hidden" in trials and trials["hidden"].nunique() > 1
    found = [Arm(_named(values, part, sizes), _largest_budget(part)) for values, part in settings(frame, names)]
    ordered = sorted(found, key=lambda arm: (-len(arm.trials), "parameters" in arm.setting))
    return [arm for arm in ordered if len(arm.lengths) > 1][:MOST_ARMS]


def _one_size(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with one hidden size, where no number of parameters picks it, and chrono as yes or no."""
    frame = trials.copy()
    if "chrono" in frame:
        frame["chrono"] = frame["chrono"].notna()
    if "hidden" not in frame:
        return frame
    picked = frame["parameters"].notna() if "parameters" in frame else pd.Series(False, frame.index)
    held, _ = hold(frame[~picked], ["hidden"])
    return pd.concat([held, frame[picked]])


def _named(values: Mapping[str, Any], part: pd.DataFrame, sizes: bool) -> dict[str, Any]:
    """Return an arm's setting without what is off, with the hidden size where there are others and none is picked."""
    named = {name: value for name, value in values.items() if not pd.isna(value)}
    if "chrono" in named:
        named["chrono"] = "chrono biases" if named["chrono"] else ""
    if sizes and "parameters" not in named:
        named = {"hidden": part["hidden"].iloc[0], **named}
    return named


def _largest_budget(part: pd.DataFrame) -> pd.DataFrame:
    """Return one trial a cell, length and seed: the one with the most steps."""
    names = [name for name in ("cell", "length", "seed") if name in part]
    ordered = part.sort_values("steps", kind="stable") if "steps" in part else part
    return ordered.drop_duplicates(names, keep="last") if "seed" in names else ordered


def share(part: pd.DataFrame) -> Share:
    """Return how many trials solved the task."""
    return Share(int((part["solved"] > 0.5).sum()), len(part))


def by_length(part: pd.DataFrame) -> list[tuple[int, pd.DataFrame]]:
    """Return the trials of each length."""
    return [(int(values["length"]), own) for values, own in groups(part, ["length"])]


def steps_taken(part: pd.DataFrame) -> np.ndarray:
    """Return the steps to solve of each trial, infinite where its budget ran out first."""
    steps = part["steps_to_solve"].to_numpy(dtype=float)
    return np.where(np.isfinite(steps), steps, np.inf)


def median_steps(part: pd.DataFrame) -> float:
    """Return the median steps to solve; infinite where half of the trials or more did not solve it."""
    ordered = np.sort(steps_taken(part))
    middle = ordered[[(len(ordered) - 1) // 2, len(ordered) // 2]]
    return float(middle.mean())


def budget(part: pd.DataFrame) -> float:
    """Return the steps that trials had at most; NaN where it is not known."""
    return float(part["steps"].max()) if "steps" in part else np.nan


def steps_text(part: pd.DataFrame) -> str:
    """Return the median steps to solve in words, "more than" the budget where it is not reached."""
    median = median_steps(part)
    return f"{median:,.0f}" if np.isfinite(median) else f"more than {budget(part):,.0f}"


def grouped(entries: Iterable[tuple[str, str]]) -> str:
    """Return "A and B one thing, C another" from (name, thing) pairs, in order of the things."""
    found: dict[str, list[str]] = {}
    for name, thing in entries:
        found.setdefault(thing, []).append(name)
    return ", ".join(f"{wording.listing(names)} {thing}" for thing, names in found.items())


def arm_title(arm: Arm) -> str:
    """Return what an arm is, for the head of a panel."""
    return wording.setting(arm.setting)


def length_axis(axes: Axes, lengths: Sequence[int]) -> None:
    """Make the horizontal axis one of lengths, each doubling as wide as the next."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(list(lengths)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: wording.value_text(value))
    axes.set_xlim(min(lengths) / 1.25, max(lengths) * 1.25)


def apart(place: int, count: int) -> float:
    """Return what a length is multiplied with so that the cells' points stand beside each other."""
    return 1.04 ** (place - (count - 1) / 2)
