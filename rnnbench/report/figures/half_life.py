"""Over how many steps a gradient loses half its norm: one number a trial, fitted to its decay curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnbench.report import ranking, style, wording
from rnnbench.report.figures import _panels
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.figures.gradient_decay import CONDITIONS
from rnnbench.report.rows import Rows, groups, hold, seed_count
from rnnbench.report.tables import Column, Table, setting_cells, setting_columns

FIRST_FITTED_LAG = 20
LAST_FITTED_LAG = 200
"""The theory's line is fitted over the same lags as the measured one."""
SMALLEST_SLOPE = 1e-9
"""Nats a step: a bound of 1 has no half-life, whatever its rounding."""


@dataclass(frozen=True)
class Line:
    """One line of the dot plot: a cell in one setting, the half-life of each seed in steps (inf: no decay)."""

    cell: str
    label: str
    half_lives: np.ndarray
    theory: float

    @property
    def finite(self) -> np.ndarray:
        """Half-lives of the seeds whose gradient decayed."""
        return self.half_lives[np.isfinite(self.half_lives)]

    @property
    def lasting(self) -> int:
        """How many seeds have no half-life, because the gradient did not decay."""
        return len(self.half_lives) - len(self.finite)

    @property
    def median(self) -> float:
        """Median over all seeds; infinite where half of them or more do not decay."""
        return float(np.median(self.half_lives))

    @property
    def name(self) -> str:
        """The cell and its setting in words."""
        return ranking.name(self.cell, self.label)


class HalfLife(Plot):
    """Half-life per cell and setting as a dot plot on a logarithmic axis, the seeds as points."""

    name = "half_life"
    title = "Half-life of the gradient"
    probe = "gradient_decay"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per kind of input data."""
        drawings = []
        for where, part in groups(rows.quantity("half_life"), ["data"]):
            shown, held = hold(part, rows.varying(part, besides=("cell", "data", *CONDITIONS)))
            lines = _lines(rows, shown)
            if any(np.isfinite(line.median) for line in lines):
                drawings.append(self._drawing(where, lines, held, shown, _panels.learned(rows, shown)))
        return drawings

    def _drawing(
        self,
        where: Mapping[str, Any],
        lines: list[Line],
        held: Mapping[str, Any],
        shown: pd.DataFrame,
        training: str,
    ) -> Drawing:
        data, seeds = wording.setting(where), seed_count(shown)
        finding = _finding(lines, data) + training
        return Drawing(
            name="-".join(filter(None, [self.name, data])),
            title=f"{self.title}, {data}" if data else self.title,
            finding=finding,
            reading=_reading(lines, held, seeds),
            alternative=f"Dot plot of half-lives in steps, one line a setting. {finding}",
            paint=partial(_paint, lines),
        )

    def tables(self, rows: Rows) -> list[Table]:
        """Return half-life, slope and goodness of fit for every setting, one table per kind of input data."""
        return [
            _table(rows, wording.setting(where), part) for where, part in groups(rows.quantity("half_life"), ["data"])
        ]


def _table(rows: Rows, data: str, half_lives: pd.DataFrame) -> Table:
    names = rows.distinct(half_lives)
    columns = [
        *setting_columns(names),
        Column("seeds"),
        Column("half-life, median", "steps"),
        Column("lowest to highest", "steps"),
        Column("seeds without decay"),
        Column("through the gates alone, median", "steps"),
        Column("slope, mean ± sd", "nat/step"),
        Column("R² of the fit, lowest"),
    ]
    body = []
    for values, part in groups(half_lives, names):
        finite = part["value"][np.isfinite(part["value"])]
        of_trials = rows.measurements[rows.measurements["key"].isin(part["key"])]
        slopes = of_trials.loc[of_trials["quantity"] == "decay_slope", "value"]
        fits = of_trials.loc[of_trials["quantity"] == "fit_r2", "value"]
        gates = of_trials.loc[of_trials["quantity"] == "gates_only_half_life", "value"].fillna(np.inf)
        body.append(
            [
                *setting_cells(values),
                str(seed_count(part)),
                wording.significant(float(np.median(part["value"].fillna(np.inf)))),
                wording.span(finite),
                str(len(part) - len(finite)),
                wording.significant(float(gates.median())) if len(gates) else wording.MISSING,
                wording.mean_and_deviation(slopes.mean(), slopes.std()),
                wording.significant(fits.min()),
            ]
        )
    of = f"Half-life of the gradient norm{f' on {data}' if data else ''}"
    caption = f"{of}; a gradient that does not decay has none and counts as infinite in the median."
    return Table(caption, columns, body).condensed()


def _lines(rows: Rows, half_lives: pd.DataFrame) -> list[Line]:
    theory = rows.quantity("log_theory")
    lines = []
    for values, of_cell in groups(half_lives, ["cell"]):
        names = [name for name in rows.varying(of_cell) if name in CONDITIONS]
        for setting, part in groups(of_cell, names):
            fitted = theory["index"].between(FIRST_FITTED_LAG, LAST_FITTED_LAG)
            line = theory[theory["key"].isin(part["key"]) & fitted]
            slope = _slope(line) if line["index"].nunique() > 1 else np.nan
            half_life = -np.log(2) / slope if slope < -SMALLEST_SLOPE else np.nan
            label, cell = _panels.label(setting), str(values.get("cell", ""))
            lines.append(Line(cell, label, part["value"].fillna(np.inf).to_numpy(dtype=float), half_life))
    return lines


def _slope(line: pd.DataFrame) -> float:
    """Return the slope of the least-squares line through the rows of all seeds, in nats a step."""
    return float(np.polyfit(line["index"].astype(float), line["value"].astype(float), 1)[0])


def _paint(lines: list[Line]) -> Figure:
    marks = style.marks([line.cell for line in lines])
    labels = _labels(lines)
    lines_high = np.array([1.0 + 0.85 * label.count("\n") for label, _ in labels])
    heights = np.cumsum(lines_high) - lines_high / 2
    figure, grid = style.panels(1, height=0.215 * lines_high.sum() + 0.45)
    axes = grid[0, 0]
    axes.set_xscale("log")
    axes.set_xlabel("half-life of the gradient norm (steps)")
    axes.set_yticks(heights, [label for label, _ in labels])
    axes.set_ylim(lines_high.sum() + 0.2, -0.2)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    for tick, height, (_, line) in zip(axes.get_yticklabels(), heights, labels, strict=True):
        tick.set_fontweight("bold" if line is None or not line.label else "normal")
        if line is not None:
            axes.axhline(height, color=style.GRID, linewidth=0.6, zorder=0)
            _paint_line(axes, float(height), line, marks[line.cell])
    style.log_ticks(axes.xaxis)
    figure.legend(handles=_handles(lines), loc="outside upper left", ncols=3)
    return figure


def _labels(lines: list[Line]) -> list[tuple[str, Line | None]]:
    """Return what stands at each height: a cell's name, then its settings; the name alone where it has one."""
    labels: list[tuple[str, Line | None]] = []
    for cell in dict.fromkeys(line.cell for line in lines):
        own = [line for line in lines if line.cell == cell]
        if len(own) == 1:
            labels.append((", ".join(filter(None, [wording.cell_label(cell), wording.wrapped(own[0].label)])), own[0]))
        else:
            labels.append((wording.cell_label(cell), None))
            labels += [(wording.wrapped(line.label), line) for line in own]
    return labels


def _paint_line(axes: Axes, height: float, line: Line, mark: style.Mark) -> None:
    look: dict[str, Any] = {"color": mark.color, "linestyle": "none"}
    cell = wording.cell_label(line.cell)
    if len(line.finite):
        axes.plot(
            line.finite,
            np.full(len(line.finite), height),
            mark.marker,
            **look,
            alpha=0.35,
            markersize=3.5,
            label=f"{cell}, each seed",
        )
    if np.isfinite(line.median):
        axes.plot(
            line.median,
            height,
            mark.marker,
            **look,
            markersize=6.5,
            markeredgecolor="white",
            label=f"{cell}, median over seeds",
        )
    if np.isfinite(line.theory):
        axes.plot(line.theory, height, "|", color=style.INK, markersize=10, markeredgewidth=1.2, label=cell)
    if line.lasting:
        axes.annotate(
            f"{line.lasting} of {len(line.half_lives)} do not decay →",
            xy=(1.0, height),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="center",
            fontsize=style.FONT_POINTS - 1,
            color=style.INK,
        )


def _handles(lines: list[Line]) -> list[Line2D]:
    ink: dict[str, Any] = {"color": style.INK, "marker": "o", "linestyle": "none"}
    handles = [Line2D([], [], **ink, markersize=6, label="median over seeds")]
    if any(len(line.half_lives) > 1 for line in lines):
        handles.append(Line2D([], [], **ink, markersize=3.5, alpha=0.35, label="each seed"))
    if any(np.isfinite(line.theory) for line in lines):
        handles.append(Line2D([], [], **{**ink, "marker": "|"}, markersize=10, label="theory"))
    return handles


def _finding(lines: list[Line], data: str) -> str:
    place = f"On {data} the" if data else "The"
    decaying = {line.name: line.half_lives for line in lines if np.isfinite(line.median)}
    fastest, slowest = ranking.lowest(decaying), ranking.highest(decaying)
    text = f"{place} gradient halves every {_steps(fastest)} in {wording.listing(fastest)}"
    if not set(fastest) & set(slowest):
        text = f"{place} gradient halves fastest in {wording.listing(fastest)}, every {_steps(fastest)}"
        text += f", and slowest in {wording.listing(slowest)}, every {_steps(slowest)}"
    always = [line.name for line in lines if not len(line.finite)]
    sometimes = [
        f"{line.name}, {line.lasting} of {len(line.half_lives)}"
        for line in lines
        if 0 < line.lasting < len(line.half_lives)
    ]
    if always:
        text += f". In {wording.listing(always)} it does not decay and has no half-life"
    if sometimes:
        text += f". In some seeds it does not decay: {'; '.join(sometimes)}"
    return f"{text}."


def _steps(entries: Mapping[str, np.ndarray]) -> str:
    values = np.concatenate(list(entries.values()))
    median = f"{wording.significant(float(np.median(values)))} steps"
    return f"{median} [seeds {wording.span(values)}]" if len(values) > 1 else median


def _reading(lines: list[Line], held: Mapping[str, Any], seeds: int) -> str:
    text = "Half-life: minus ln 2 over the slope of the fitted log-norm. "
    text += (
        "Small points: seeds that decay; large: the median of all. "
        if seeds > 1
        else "One seed: no spread can be told. "
    )
    if any(np.isfinite(line.theory) for line in lines):
        text += (
            "Upright bars, the theory: for RNN an upper bound, from the largest singular value of W_hh; "
            "for LSTM and GRU the path through the gate that keeps the state alone. "
        )
    if held:
        text += f"Shown at {wording.setting(held)}; the table has the other settings."
    return text.strip()
