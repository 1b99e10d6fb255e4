"""Dots by shape, one row of panels a number of threads, for the figures of the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnbench.report import style, wording
from rnnbench.report.figures._comparison import Sheet, label_lines, threads_label

ROOM = 0.62
"""How much of the height of a shape its dots take."""


@dataclass(frozen=True)
class Dots:
    """One library's dots: rows with column, threads, grid and line, `value`, and `low` and `high` where known."""

    implementation: str
    frame: pd.DataFrame


def panels(sheet: Sheet, series: Sequence[Dots], scale: str) -> tuple[Figure, np.ndarray]:
    """Draw all dots and return the figure and its axes (threads, columns), with the limits of x still to be set."""
    marks = style.implementation_marks([dots.implementation for dots in series])
    height = max(1.3, (0.1 + 0.05 * len(series)) * len(sheet.lines) + 0.3)
    shape = len(sheet.threads), len(sheet.columns)
    figure, grid = style.panels(*shape, height=height, sharex=True, sharey=True)
    for row, threads in zip(grid, sheet.threads, strict=True):
        for axes, column in zip(row, sheet.columns, strict=True):
            axes.set_xscale(scale)
            axes.set_label(threads_label(threads))
            _prepare(axes, sheet)
            for dots, offset in zip(series, _offsets(len(series)), strict=True):
                _paint(axes, sheet, of_panel(dots.frame, column, threads), offset, marks[dots.implementation])
        row[-1].annotate(threads_label(threads), (1.02, 0.5), xycoords="axes fraction", rotation=270, va="center")
    for axes, column in zip(grid[0], sheet.columns, strict=True):
        axes.set_title(sheet.heading(column))
    for row in grid:
        label_lines(row[0], sheet)
    return figure, grid


def legend(figure: Figure, series: Sequence[Dots], others: Sequence[tuple[Line2D | str, str]] = ()) -> None:
    """Explain above the panels which mark is which library, then the others, (line or letter, label).

    All in one row or, where they are many, the others in a column of their own at the right.
    """
    names = [dots.implementation for dots in series]
    marks = style.implementation_marks(names)
    entries: list[tuple[Line2D | str, str]] = [
        (Line2D([], [], color=marks[name].color, marker=marks[name].marker, linestyle="none"), _label(name))
        for name in names
    ]
    height = 1 if len(entries) + len(others) <= 4 else max(2, len(others))
    blank: tuple[Line2D | str, str] = ("", "")
    entries += [blank] * (-len(entries) % height)
    handles, labels = zip(*entries, *others, *[blank] * (-len(others) % height), strict=True)
    columns = len(handles) // height
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, handler_map={str: style.LetterHandle()})


def of_panel(frame: pd.DataFrame, column: str, threads: float) -> pd.DataFrame:
    """Return the rows of one panel; a number of threads that is not known is one of its own."""
    same = frame["threads"].isna() if pd.isna(threads) else frame["threads"] == threads
    return frame[(frame["column"] == column) & same]


def _offsets(number: int) -> np.ndarray:
    return np.linspace(-ROOM / 2, ROOM / 2, number) if number > 1 else np.zeros(1)


def _prepare(axes: Axes, sheet: Sheet) -> None:
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    for height in list(sheet.heights.values())[::2]:  # every other shape on a band, to keep its dots together
        axes.axhspan(height - 0.5, height + 0.5, color=style.GRID, alpha=0.45, linewidth=0, zorder=0)


def _paint(axes: Axes, sheet: Sheet, own: pd.DataFrame, offset: float, mark: style.Mark) -> None:
    if own.empty:
        return
    heights = [sheet.heights[key] + offset for key in zip(own["grid"], own["line"], strict=True)]
    if {"low", "high"} <= set(own):
        axes.hlines(heights, own["low"], own["high"], color=mark.color, linewidth=1.2)
    axes.plot(own["value"], heights, mark.marker, color=mark.color, markersize=4.0, linestyle="none", clip_on=False)


def _label(name: str) -> str:
    return wording.implementation_label(name)
