"""How fast rnnbench is beside the fastest other library: one square a shape, cell and number of threads."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from rnnbench.report import style, wording
from rnnbench.report.figures import _comparison
from rnnbench.report.figures._comparison import Sheet, fastest, geometric_mean, lowest, verdicts
from rnnbench.report.figures._comparison_tables import tables
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups
from rnnbench.report.tables import Table

MOST_COLUMNS = 6
"""More columns side by side leave no room for the numbers."""
WIDE_COLUMNS = 3
"""With no more columns than these, a number and a name fit side by side."""
SCALE = 2.0
"""Colours run from 1/2 to 2 in every drawing, so that the same colour is the same ratio; the numbers go on."""
UNCLEAR = "≈"
"""Stands before a ratio whose interval includes 1."""


class ComparisonRatio(Plot):
    """Ratio to the fastest peer by shape, as squares with their numbers."""

    name = "comparison_ratio"
    title = "Speed beside the fastest other library"
    probe = "comparison"
    rank = 0

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per direction and floating-point type, for our own shapes and for published ones."""
        return [self._drawing(sheet) for sheet in _comparison.sheets(rows)]

    def _drawing(self, sheet: Sheet) -> Drawing:
        best = fastest(sheet.pairs)
        finding = _finding(sheet, best)
        return Drawing(
            name=sheet.name(self.name),
            title=sheet.title(self.title),
            finding=finding,
            reading=_reading(sheet, best),
            alternative=f"Squares with numbers, a row a shape, a column a cell and number of threads. {finding}",
            paint=partial(_paint, sheet, best),
        )

    def tables(self, rows: Rows) -> list[Table]:
        """Return geometric means by setting, then every pair; the other comparison figures have no tables."""
        return tables(rows)


def _paint(sheet: Sheet, best: pd.DataFrame) -> Figure:
    columns = min(len(sheet.columns), max(1, MOST_COLUMNS // len(sheet.threads)))
    bands = math.ceil(len(sheet.columns) / columns)
    wide = columns * len(sheet.threads) <= WIDE_COLUMNS
    height = max(1.5, (0.21 if wide else 0.33) * len(sheet.lines) + 0.45)
    figure, grid = style.panels(bands, columns, height=height, sharex=True, sharey=True)
    for axes, column in zip(grid.flat, sheet.columns, strict=False):
        axes.set_title(sheet.heading(column))
        _paint_squares(axes, sheet, best[best["column"] == column], wide)
    for axes in grid.flat[len(sheet.columns) :]:
        axes.set_axis_off()
    grid[0, 0].set_xlim(-0.5, len(sheet.threads) - 0.5)
    for axes in grid[:, 0]:
        _comparison.label_lines(axes, sheet)
    _explain(figure, grid, best)
    return figure


def _paint_squares(axes: Axes, sheet: Sheet, best: pd.DataFrame, wide: bool) -> None:
    """Draw one column of panels; in wide squares the name stands beside the number, in others below it."""
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    ticks = ["all" if pd.isna(threads) else wording.value_text(threads) for threads in sheet.threads]
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlabel("threads")
    columns = {_comparison.threads_label(threads): column for column, threads in enumerate(sheet.threads)}
    colors, norm = style.ratio_colors(), _norm()
    for (_, pair), verdict in zip(best.iterrows(), verdicts(best), strict=True):
        x, y = columns[_comparison.threads_label(pair["threads"])], sheet.heights[pair["grid"], pair["line"]]
        square = Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, facecolor=colors(norm(np.log2(pair["ratio"]))))
        square.set(edgecolor=style.INK if verdict < 0 else style.GRID, linewidth=1.3 if verdict < 0 else 0.5)
        axes.add_patch(square)
        style.state(square, wording.implementation_label(pair["implementation"]), float(pair["ratio"]))
        number = f"{'' if verdict else f'{UNCLEAR} '}{wording.ratio(pair['ratio'])}"
        name = wording.implementation_label(pair["implementation"], short=True)
        weight, small = "bold" if verdict else "normal", style.FONT_POINTS - 2
        if wide:
            axes.text(x - 0.02, y, number, ha="right", va="center", fontweight=weight)
            axes.text(x + 0.02, y, name, ha="left", va="center", fontsize=small)
        else:
            axes.text(x, y - 0.17, number, ha="center", va="center", fontweight=weight)
            axes.text(x, y + 0.24, name, ha="center", va="center", fontsize=small)


def _norm() -> Normalize:
    return Normalize(-np.log2(SCALE), np.log2(SCALE))


def _explain(figure: Figure, grid: np.ndarray, best: pd.DataFrame) -> None:
    """Draw the scale of the colours below the squares, and above them what frames and signs mean."""
    scale = ScalarMappable(_norm(), style.ratio_colors())
    bar = figure.colorbar(scale, ax=list(grid.flat), location="bottom", aspect=45, pad=0.02, extend="both")
    bar.set_ticks([math.log2(ratio) for ratio in (1 / 2, 2 / 3, 1, 3 / 2, 2)], labels=["½", "⅔", "1", "1½", "2"])
    bar.set_label("fastest other library's time / time of rnnbench (×)")
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    entries: list[tuple[Patch | str, str]] = [(Patch(facecolor=style.FASTER, edgecolor=style.GRID), "rnnbench faster")]
    if (verdicts(best) < 0).any():
        entries.append((Patch(facecolor=style.SLOWER, edgecolor=style.INK, linewidth=1.3), "rnnbench slower"))
    if (verdicts(best) == 0).any():
        entries.append((UNCLEAR, "interval includes 1"))
    handles, labels = zip(*entries, strict=True)
    figure.legend(handles, labels, loc="outside upper left", ncols=3, handler_map={str: style.LetterHandle()})


def _finding(sheet: Sheet, best: pd.DataFrame) -> str:
    means = []
    for values, part in groups(best, ["threads"]):
        ratios = [
            f"{wording.ratio(geometric_mean(own['ratio']))} ({sheet.heading(of['column'])})"
            for of, own in groups(part, ["column"])
        ]
        means.append(f"{wording.listing(ratios)} as fast on {_comparison.threads_label(values['threads'])}")
    counts = [len(own) for _, own in groups(best, ["column", "threads"])]
    shapes = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else f"{max(counts)}"
    found, worst = verdicts(best), lowest(best)
    alone = wording.implementation_label(sheet.peers[0]) if len(sheet.peers) == 1 else ""
    rival = f"{alone}, the only library compared" if alone else "the fastest other library of each shape"
    text = f"{sheet.start}beside {rival}, rnnbench is {'; '.join(means)} "
    text += f"(geometric means over {shapes} shapes)" if max(counts) > 1 else "(one shape)"
    text += f". It is faster in {(found > 0).sum()} of "
    text += f"{wording.count(len(best), 'square')} and slower in {(found < 0).sum()}"
    text += f"; in {(found == 0).sum()} the interval includes 1" if (found == 0).any() else ""
    text += f". The lowest ratio is {wording.ratio(worst['ratio'])} [{_comparison.interval(worst)}]"
    return f"{text}, {sheet.place(worst)}, beside {_name(worst)}."


def _name(pair: pd.Series) -> str:
    return wording.implementation_label(str(pair["implementation"]))


def _reading(sheet: Sheet, best: pd.DataFrame) -> str:
    text = "Each square: the median time of the fastest other library, named in it, over that of rnnbench, "
    text += "timed in turn in processes of their own with the same threads. Above 1× rnnbench is faster. "
    short = {name: wording.implementation_label(name, short=True) for name in sheet.peers}
    long = [f"{s}: {wording.implementation_label(n)}" for n, s in short.items() if s != wording.implementation_label(n)]
    text += f"{'; '.join(long)}. " if long else ""
    text += "Frame: slower, with a 95 % interval below 1. " if (verdicts(best) < 0).any() else ""
    text += sheet.note()
    compared = sheet.pairs.groupby(list(_comparison.SETTING), dropna=False)["implementation"].nunique()
    fewer = int((compared < len(sheet.peers)).sum())
    names = wording.listing(map(wording.implementation_label, sheet.peers))
    text += f"Compared with {names}"
    text += f"; {wording.count(fewer, 'square')} without all of them. " if fewer else ". "
    return f"{text}{_comparison.control_sentence(sheet.control)}".strip()
