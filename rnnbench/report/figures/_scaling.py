"""Throughput against one axis of the shape: what throughput_hidden, _length and _batch have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from rnnbench.report import style, wording
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups, natural_order

QUANTITIES = {"sequence_step_rate": "speed (sequence-steps/s)", "flop_rate": "arithmetic (GFLOP/s)"}
GEMM_RATES = ("sgemm_flop_rate", "dgemm_flop_rate")


@dataclass(frozen=True)
class Speeds:
    """One row a trial: parameters, rates, and the quartiles of the rates over repeats."""

    frame: pd.DataFrame
    axis: str
    axis_label: str
    gemm: str
    """Name of the quantity with the machine's own matrix-product rate; "" where it was not measured."""

    @property
    def gemm_label(self) -> str:
        """The name of the machine's own rate, for a label."""
        return self.gemm.split("_")[0]


class ScalingPlot(Plot):
    """Steps and operations per second against one axis, one line a cell, one column a direction."""

    probe = "throughput"
    axis: ClassVar[str]
    axis_label: ClassVar[str]

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per floating-point type, where the axis takes more than one value."""
        frame = trial_rates(rows)
        if self.axis not in rows.varying(frame) or not set(QUANTITIES) <= set(frame):
            return []
        drawings = []
        for where, part in groups(frame, ["dtype"]):
            fixed = rows.varying(part, besides=("cell", "direction", "dtype", self.axis))
            shown, held = widest(part, fixed, self.axis)
            if shown[self.axis].nunique() > 1:
                gemm = next((name for name in GEMM_RATES if name in shown and shown[name].notna().any()), "")
                drawings.append(self._drawing(where, Speeds(shown, self.axis, self.axis_label, gemm), held))
        return drawings

    def _drawing(self, where: Mapping[str, Any], speeds: Speeds, held: Mapping[str, Any]) -> Drawing:
        kind = wording.setting(where)
        finding = _finding(speeds)
        reading = "Points: medians over the repeats of a trial; bars: their quartiles. "
        if speeds.gemm:
            reading += f"Dashed: {speeds.gemm_label} on the same machine, timed in the same trials. "
        if held:
            reading += f"Shown at {wording.setting(held)}; the table has the other settings."
        return Drawing(
            name="-".join(filter(None, [self.name, kind])),
            title=f"{self.title}, {kind}" if kind else self.title,
            finding=finding,
            reading=reading.strip(),
            alternative=f"Line charts of speed against {self.axis_label}, one line a cell. {finding}",
            paint=partial(_paint, speeds),
        )


def widest(frame: pd.DataFrame, names: Sequence[str], axis: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Keep the setting of the named parameters at which the axis takes most values, and say which it is.

    Of equals it is the one that most trials have, then the one of the largest layer.
    """
    names = sorted(names, key=lambda name: name != "hidden")
    found = list(groups(frame, names))
    if len(found) < 2:
        return frame, {}
    setting, kept = max(
        found, key=lambda part: (part[1][axis].nunique(), len(part[1]), [natural_order(v) for v in part[0].values()])
    )
    return kept, {name: value for name, value in setting.items() if frame[name].nunique(dropna=False) > 1}


def trial_rates(rows: Rows) -> pd.DataFrame:
    """Return one row a trial with its rates and, where repeats were kept, the quartiles of each over them."""
    wide = rows.wide()
    times = rows.quantity("time")
    if len(times) and {"median_time", *QUANTITIES} <= set(wide):
        by_trial = times.groupby("key")["value"]
        faster, slower = (wide["key"].map(by_trial.quantile(part)) for part in (0.25, 0.75))
        for quantity in QUANTITIES:
            amount = wide[quantity] * wide["median_time"]
            wide[f"{quantity}_upper"], wide[f"{quantity}_lower"] = amount / faster, amount / slower
    return wide


def _paint(speeds: Speeds) -> Figure:
    directions = list(groups(speeds.frame, ["direction"]))
    cells = [str(values.get("cell", "")) for values, _ in groups(speeds.frame, ["cell"])]
    marks = style.marks(cells)
    figure, grid = style.panels(len(QUANTITIES), len(directions), height=2.3, sharex=True, sharey="row")
    for axes, (values, _) in zip(grid[0], directions, strict=True):
        axes.set_title(wording.setting(values))
    for axes in grid[-1]:
        axes.set_xlabel(speeds.axis_label)
    for row, (quantity, label) in zip(grid, QUANTITIES.items(), strict=True):
        row[0].set_ylabel(label)
        for axes, (_, part) in zip(row, directions, strict=True):
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            for of_cell, own in groups(part, ["cell"]):
                paint_cell(axes, own, speeds.axis, quantity, marks[str(of_cell.get("cell", ""))])
            if quantity == "flop_rate" and speeds.gemm:
                rate = float(part[speeds.gemm].median())
                axes.axhline(rate, **style.REFERENCE)
                style.label_line(axes, rate, f"{speeds.gemm_label} {rate:,.0f}")
    grid[-1, 0].set_ylim(top=grid[-1, 0].get_ylim()[1] * 1.4)  # room for the label on the machine's own rate
    for axes in grid.flat:
        style.log_ticks(axes.yaxis)
        label_sizes(axes, speeds.frame[speeds.axis])
    style.cell_legend(figure, marks, cells)
    return figure


def label_sizes(axes: Axes, sizes: pd.Series, apart: float = 1.6) -> None:
    """Label a horizontal axis with the sizes that were measured, each at least so many times the one before."""
    axes.xaxis.set_major_locator(FixedLocator(_spaced(sorted(sizes.dropna().astype(float).unique()), apart)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: wording.value_text(value))


def paint_cell(axes: Axes, own: pd.DataFrame, axis: str, quantity: str, mark: style.Mark) -> None:
    """Draw the line of one cell, with bars from QUANTITY_lower to QUANTITY_upper where the frame has them."""
    columns = [name for name in (quantity, f"{quantity}_lower", f"{quantity}_upper") if name in own]
    middle = own.groupby(axis)[columns].median()
    places = middle.index.astype(float)
    axes.plot(places, middle[quantity], color=mark.color, marker=mark.marker)
    if len(columns) == 3:
        low, high = middle[f"{quantity}_lower"], middle[f"{quantity}_upper"]
        axes.vlines(places, low, high, color=mark.color, linewidth=1.0)


def _spaced(sizes: list[float], apart: float) -> list[float]:
    """Leave out ticks that lie closer than that factor to the one before."""
    kept: list[float] = []
    for size in sizes:
        if not kept or size >= apart * kept[-1]:
            kept.append(size)
    return kept


def _finding(speeds: Speeds) -> str:
    text: list[str] = []
    for values, part in groups(speeds.frame, ["direction"]):
        direction = f"{wording.setting(values)} runs".strip() if not text else wording.setting(values)
        quantity, unit, whole = "flop_rate", "GFLOP/s", ""
        if speeds.gemm:
            part = part.assign(percent=100 * part["flop_rate"] / part[speeds.gemm])
            quantity, unit, whole = "percent", "%", f" of this machine's {speeds.gemm_label} rate"
        known = part[np.isfinite(part[quantity])]
        if known.empty:
            continue
        best, worst = known.loc[known[quantity].idxmax()], known.loc[known[quantity].idxmin()]
        text.append(
            f"{direction} at {_extreme(worst, quantity, unit, speeds.axis)} "
            f"to {_extreme(best, quantity, unit, speeds.axis)}{'' if text else whole}"
        )
    found = "; ".join(text)
    return f"{found[:1].upper()}{found[1:]}." if found else ""


def _extreme(trial: pd.Series, quantity: str, unit: str, axis: str) -> str:
    where = wording.setting({axis: trial[axis]})
    cell = wording.cell_label(str(trial["cell"])) if "cell" in trial else ""
    return f"{wording.significant(trial[quantity], 2)} {unit} ({', '.join(filter(None, [cell, where]))})"
