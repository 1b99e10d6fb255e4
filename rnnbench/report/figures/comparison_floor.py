"""How near rnnbench and the other libraries come to what the machine allows."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnbench.report import style, wording
from rnnbench.report.figures import _comparison
from rnnbench.report.figures._comparison import BOUNDS, SETTING, Sheet, bounds_of, lowest
from rnnbench.report.figures._comparison_dots import Dots, legend, of_panel, panels
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows

LETTERS = {name: name[0].upper() for name in BOUNDS}


class ComparisonFloor(Plot):
    """Fraction of the floor by shape, ours and the peers', and what sets the floor."""

    name = "comparison_floor"
    title = "How near to what the machine allows"
    probe = "comparison"
    rank = 2

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per direction and floating-point type, for our own shapes and for published ones."""
        return [self._drawing(sheet) for sheet in _comparison.sheets(rows) if len(_ours(sheet))]

    def _drawing(self, sheet: Sheet) -> Drawing:
        finding = _finding(sheet)
        return Drawing(
            name=sheet.name(self.name),
            title=sheet.title(self.title),
            finding=finding,
            reading=_reading(sheet),
            alternative=f"Dot plot of fractions of the floor, one dot a shape and library. {finding}",
            paint=partial(_paint, sheet),
        )


def _ours(sheet: Sheet) -> pd.DataFrame:
    """Return our fraction of the floor at each setting, the median over the trials with each peer, and its bounds."""
    known = sheet.pairs[np.isfinite(sheet.pairs["fraction_of_floor"])]
    by_setting = known.groupby([*SETTING, "shape", "column", "line"], dropna=False)
    ours = by_setting["fraction_of_floor"].median().rename("value").reset_index()
    return ours.assign(bounds=[bounds_of(pairs) for _, pairs in by_setting])


def _paint(sheet: Sheet) -> Figure:
    ours = _ours(sheet)
    theirs = sheet.pairs.rename(columns={"peer_fraction_of_floor": "value"})
    theirs = theirs[np.isfinite(theirs["value"])]
    series = [Dots("rnnbench", ours)]
    series += [Dots(peer, theirs[theirs["implementation"] == peer]) for peer in sheet.peers]
    figure, grid = panels(sheet, series, "linear")
    right = max(1.0, float(ours["value"].max()), float(theirs["value"].max() if len(theirs) else 0.0))
    grid[0, 0].set_xlim(0.0, right * 1.25)
    for row, threads in zip(grid, sheet.threads, strict=True):
        for axes, column in zip(row, sheet.columns, strict=True):
            axes.axvline(1.0, **style.REFERENCE, zorder=1)
            axes.set_xticks([0.0, 0.5, 1.0], ["0", "0.5", "1"])
            _name_bounds(axes, sheet, of_panel(ours, column, threads))
    for axes in grid[-1]:
        axes.set_xlabel("floor time / time")
    named = [name for name in BOUNDS if ours["bounds"].map(lambda bounds, name=name: name in bounds).any()]
    legend(figure, series, [(LETTERS[name], f"bound by {name}") for name in named])
    return figure


def _name_bounds(axes: Axes, sheet: Sheet, own: pd.DataFrame) -> None:
    for _, line in own.iterrows():
        height = sheet.heights[line["grid"], line["line"]]
        text = "/".join(LETTERS[name] for name in line["bounds"])
        axes.text(0.985, height, text, transform=axes.get_yaxis_transform(), ha="right", va="center", color=style.MUTED)


def _finding(sheet: Sheet) -> str:
    ours, theirs = _ours(sheet), _comparison.fastest(sheet.pairs)
    worst = lowest(ours, "value")
    text = f"{sheet.start}rnnbench runs at {_percents(ours['value'])} of the floor's speed"
    fractions = theirs["peer_fraction_of_floor"][np.isfinite(theirs["peer_fraction_of_floor"])]
    text += f", the fastest other library of each shape at {_percents(fractions)}" if len(fractions) else ""
    text += f". rnnbench is farthest from it at {sheet.place(worst)}"
    text += f", bound by {wording.listing(worst['bounds'], 'or')}" if worst["bounds"] else ""
    counts = {name: sum(name in bounds for bounds in ours["bounds"]) for name in BOUNDS}
    sets = [f"by {name} in {number}" for name, number in counts.items() if number]
    return (
        f"{text}. Of {wording.count(len(ours), 'setting')} the floor is set {wording.listing(sets)}."
        if sets
        else f"{text}."
    )


def _percents(fractions: pd.Series) -> str:
    """Return "27 to 73 % (median 65 %)"."""
    low, middle, high = (wording.significant(100 * float(fractions.quantile(part)), 2) for part in (0.0, 0.5, 1.0))
    return f"{low} to {high} % (median {middle} %)" if low != high else f"{low} %"


def _reading(sheet: Sheet) -> str:
    text = (
        "Dots: the floor over the median time; at 1 nothing is left to gain. The floor is the largest of three times: "
    )
    text += (
        "the arithmetic at the rate of a large matrix product (A); the recurrent weights, read at every step, at the "
    )
    text += "rate of an array of their size (W); inputs and outputs at the rate of memory (M). "
    text += "The rates were measured in the same rounds; letters at the right say which time is the largest. "
    return f"{text}{sheet.note()}".strip()
