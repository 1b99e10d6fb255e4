"""Whether time grows in proportion to the sequence length: the time of one step, against the length."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rnnbench.report import style, wording
from rnnbench.report.figures._scaling import label_sizes, paint_cell, widest
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups

LINEAR_WITHIN = 5.0
"""Per cent of the time per step within which time counts as proportional to the length."""
FEWEST_LENGTHS = 3
"""Of two lengths no curve can be told from a line."""
CURVE = ("threads", "direction", "cell")
"""What each curve is of."""


class ThroughputLinearity(Plot):
    """Time per step at each length, as a difference in per cent from that at the shortest; a row a thread count."""

    name = "throughput_linearity"
    title = "Time per step against sequence length"
    probe = "throughput"
    rank = 1

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per floating-point type, where at least three lengths were timed."""
        frame = rows.wide()
        if "length" not in rows.varying(frame) or "median_time" not in frame:
            return []
        drawings = []
        for where, part in groups(frame, ["dtype"]):
            names = rows.varying(part, besides=("cell", "direction", "dtype", "length", "threads"))
            shown, held = widest(part, names, "length")
            curves = [own for _, own in groups(shown, CURVE) if own["length"].nunique() >= FEWEST_LENGTHS]
            if curves:
                drawings.append(self._drawing(where, pd.concat(_deviations(rows, own) for own in curves), held))
        return drawings

    def _drawing(self, where: Mapping[str, Any], steps: pd.DataFrame, held: Mapping[str, Any]) -> Drawing:
        kind, finding = wording.setting(where), _finding(steps)
        reading = f"Time over steps, against that at {_shortest(steps)} steps: medians over the repeats of a trial"
        reading += "; bars: their quartiles. " if "deviation_lower" in steps else ". "
        reading += f"Grey: within {LINEAR_WITHIN:.0f} %; time in proportion to the length lies on the line at 0. "
        reading += f"Shown at {wording.setting(held)}; the table has the other settings." if held else ""
        return Drawing(
            name="-".join(filter(None, [self.name, kind])),
            title=f"{self.title}, {kind}" if kind else self.title,
            finding=finding,
            reading=reading.strip(),
            alternative=f"Line charts of time per step against sequence length, one line a cell. {finding}",
            paint=partial(_paint, steps),
        )


def _deviations(rows: Rows, own: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of a curve with `step_time` in seconds and its `deviation` from the shortest's in per cent."""
    times = rows.quantity("time")
    by_trial = times[times["key"].isin(own["key"])].groupby("key")["value"]
    lengths = own["length"].astype(float)
    own = own.assign(step_time=own["median_time"] / lengths)
    start = float(own.loc[lengths == lengths.min(), "step_time"].median())
    own = own.assign(deviation=100 * (own["step_time"] / start - 1))
    if by_trial.ngroups:
        for end, part in (("lower", 0.25), ("upper", 0.75)):
            step_time = own["key"].map(by_trial.quantile(part)) / lengths
            own[f"deviation_{end}"] = 100 * (step_time / start - 1)
    return own


def _on(values: Mapping[str, Any], steps: pd.DataFrame) -> str:
    """Return "2 threads" where there are curves on more than one number of threads, else ""."""
    several = "threads" in steps and steps["threads"].nunique() > 1
    return wording.count(int(values["threads"]), "thread") if several else ""


def _shortest(steps: pd.DataFrame) -> str:
    return wording.value_text(steps["length"].min())


def _paint(steps: pd.DataFrame) -> Figure:
    threads, directions = (list(groups(steps, [name])) for name in ("threads", "direction"))
    cells = [str(values.get("cell", "")) for values, _ in groups(steps, ["cell"])]
    marks = style.marks(cells)
    figure, grid = style.panels(len(threads), len(directions), height=2.4, sharex=True, sharey=True)
    for axes, ((_, part), (direction, _)) in zip(grid.flat, itertools.product(threads, directions), strict=True):
        axes.set_title(wording.setting(direction))
        axes.set_xscale("log", base=2)
        axes.axhspan(-LINEAR_WITHIN, LINEAR_WITHIN, color=style.GRID, alpha=0.6, linewidth=0, zorder=0)
        axes.axhline(0.0, **style.REFERENCE)
        shown = part[(part[list(direction)] == pd.Series(direction, dtype=object)).all(axis=1)]
        for of_cell, own in groups(shown, ["cell"]):
            paint_cell(axes, own, "length", "deviation", marks[str(of_cell.get("cell", ""))])
        label_sizes(axes, steps["length"])
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.3g}".replace("-", "−") if value else "0")
    low, high = grid[0, 0].get_ylim()
    grid[0, 0].set_ylim(min(low, -2 * LINEAR_WITHIN), max(high, 2 * LINEAR_WITHIN))
    for axes in grid[-1]:
        axes.set_xlabel("sequence length (steps)")
    for axes, (used, _) in zip(grid[:, 0], threads, strict=True):
        axes.set_ylabel("\n".join(filter(None, [_on(used, steps), "change in time per step (%)"])))
    style.cell_legend(figure, marks, cells)
    return figure


def _finding(steps: pd.DataFrame) -> str:
    known = steps[np.isfinite(steps["deviation"])]
    if known.empty:
        return ""
    worst = known.loc[known["deviation"].abs().idxmax()]
    told = []
    for used, part in groups(known, ["threads"]):
        largest = [own["deviation"].abs().max() for _, own in groups(part, CURVE)]
        linear = sum(each <= LINEAR_WITHIN for each in largest)
        on = f" on {_on(used, known)}" if _on(used, known) else ""
        told.append(f"{linear} of {wording.count(len(largest), 'curve')}{on}")
    varying = ("cell", "direction", *(["threads"] if len(told) > 1 else []), "length")
    where = wording.setting({name: worst[name] for name in varying if name in worst})
    amount = f"{worst['deviation']:+.2g} %".replace("-", "−")
    text = f"From {_shortest(known)} to {wording.value_text(known['length'].max())} steps, time is proportional to the "
    text += f"length to within {LINEAR_WITHIN:.0f} % in {wording.listing(told)}"
    text += f"; the largest difference from the time per step at {_shortest(known)} steps is {amount} ({where}"
    return f"{text}, {wording.significant(1e6 * worst['step_time'])} µs a step)."
