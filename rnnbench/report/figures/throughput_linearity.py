"""Whether time grows in proportion to the sequence length: the time of one step, against the length."""

from __future__ import annotations

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


class ThroughputLinearity(Plot):
    """Time per step at each length, as a difference in per cent from that at the shortest."""

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
            shown, held = widest(part, rows.varying(part, besides=("cell", "direction", "dtype", "length")), "length")
            if shown["length"].nunique() >= FEWEST_LENGTHS:
                drawings.append(self._drawing(where, _deviations(rows, shown), held))
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


def _deviations(rows: Rows, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with `step_time` in seconds and `deviation` from that at the shortest length, in per cent."""
    quartiles = rows.quantity("time").groupby("key")["value"].quantile(np.array([0.25, 0.75])).unstack()
    shortest, parts = frame["length"].min(), []
    for _, own in groups(frame, ["direction", "cell"]):
        own = own.assign(step_time=own["median_time"] / own["length"].astype(float))
        start = float(own.loc[own["length"] == shortest, "step_time"].median())
        own = own.assign(deviation=100 * (own["step_time"] / start - 1))
        if len(quartiles):
            for end, part in (("lower", 0.25), ("upper", 0.75)):
                step_time = own["key"].map(quartiles[part]) / own["length"].astype(float)
                own[f"deviation_{end}"] = 100 * (step_time / start - 1)
        parts.append(own)
    return pd.concat(parts)


def _shortest(steps: pd.DataFrame) -> str:
    return wording.value_text(steps["length"].min())


def _paint(steps: pd.DataFrame) -> Figure:
    directions = list(groups(steps, ["direction"]))
    cells = [str(values.get("cell", "")) for values, _ in groups(steps, ["cell"])]
    marks = style.marks(cells)
    figure, grid = style.panels(1, len(directions), height=2.4, sharex=True, sharey=True)
    for axes, (values, part) in zip(grid[0], directions, strict=True):
        axes.set_title(wording.setting(values))
        axes.set_xscale("log", base=2)
        axes.axhspan(-LINEAR_WITHIN, LINEAR_WITHIN, color=style.GRID, alpha=0.6, linewidth=0, zorder=0)
        axes.axhline(0.0, **style.REFERENCE)
        for of_cell, own in groups(part, ["cell"]):
            paint_cell(axes, own, "length", "deviation", marks[str(of_cell.get("cell", ""))])
        label_sizes(axes, steps["length"])
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.3g}".replace("-", "−") if value else "0")
        axes.set_xlabel("sequence length (steps)")
    low, high = grid[0, 0].get_ylim()
    grid[0, 0].set_ylim(min(low, -2 * LINEAR_WITHIN), max(high, 2 * LINEAR_WITHIN))
    grid[0, 0].set_ylabel("change in time per step (%)")
    style.cell_legend(figure, marks, cells)
    return figure


def _finding(steps: pd.DataFrame) -> str:
    known = steps[np.isfinite(steps["deviation"])]
    if known.empty:
        return ""
    worst = known.loc[known["deviation"].abs().idxmax()]
    curves = [part["deviation"].abs().max() for _, part in groups(known, ["direction", "cell"])]
    linear = sum(largest <= LINEAR_WITHIN for largest in curves)
    where = wording.setting({name: worst[name] for name in ("cell", "direction", "length") if name in worst})
    amount = f"{worst['deviation']:+.2g} %".replace("-", "−")
    text = f"From {_shortest(known)} to {wording.value_text(known['length'].max())} steps, time is proportional to the "
    text += f"length to within {LINEAR_WITHIN:.0f} % in {linear} of {wording.count(len(curves), 'curve')}"
    text += f"; the largest difference from the time per step at {_shortest(known)} steps is {amount} ({where}"
    return f"{text}, {wording.significant(1e6 * worst['step_time'])} µs a step)."
