"""What length takes which size: a map of length against hidden units, a panel a cell."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnbench.report import style, wording
from rnnbench.report.figures import _memory
from rnnbench.report.figures._memory import Arm
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups, hold

NONE_COLOR, ALL_COLOR = "#ffffff", style.FASTER


class MemoryMap(Plot):
    """Share of seeds that solved a task and their median steps, by length and hidden size; one figure a task."""

    name = "memory_map"
    title = "Length and size"
    probe = "training"
    rank = -1

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per task that was tried at several lengths and several hidden sizes."""
        drawings = []
        for task, trials in _memory.tasks_with_lengths(rows):
            shown, held = _grid(rows, trials)
            if len(shown):
                drawings.append(self._drawing(wording.words(task), Arm(held, shown)))
        return drawings

    def _drawing(self, task: str, arm: Arm) -> Drawing:
        finding = _finding(task, arm)
        reading = "Colour: share of the seeds that solved it. Numbers: how many did, of how many, and the median steps "
        reading += "it took, where more than half did."
        reading += f" Shown at {wording.setting(arm.setting)}." if wording.setting(arm.setting) else ""
        return Drawing(
            name=f"{self.name}-{task}",
            title=f"{self.title}, {task}",
            finding=finding,
            reading=reading,
            alternative=f"Heat maps of the share of seeds that solved the task, hidden units against length, one map a "
            f"cell. {finding}",
            paint=partial(_paint, arm),
        )


def _grid(rows: Rows, trials: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, object]]:
    """Return the trials of lengths that were tried with two hidden sizes or more, other parameters held."""
    free = trials[trials["parameters"].isna()] if "parameters" in trials else trials
    free = free[free["chrono"].isna()] if "chrono" in free else free
    if "hidden" not in free or free["hidden"].nunique() < 2:
        return free[:0], {}
    shown, held = hold(free, rows.varying(free, besides=("task", "length", "hidden", "steps", "evaluate_every")))
    sizes = shown.groupby("length")["hidden"].transform("nunique")
    shown = shown[sizes > 1]
    return (shown, held) if shown["length"].nunique() > 1 else (shown[:0], held)


def _paint(arm: Arm) -> Figure:
    sizes = sorted(arm.trials["hidden"].astype(int).unique())
    figure, grid = style.panels(1, len(arm.cells), height=0.5 + 0.45 * len(sizes), sharex=True, sharey=True)
    colors = style.blend(NONE_COLOR, ALL_COLOR)
    for axes, (cell, part) in zip(grid[0], arm.cells, strict=True):
        rates = np.full((len(sizes), len(arm.lengths)), np.nan)
        axes.set_title(wording.cell_label(cell))
        for values, own in groups(part, ["hidden", "length"]):
            row, column = sizes.index(int(values["hidden"])), arm.lengths.index(int(values["length"]))
            found = _memory.share(own)
            rates[row, column] = found.rate
            median = _memory.median_steps(own)
            text = f"{found.solved}/{found.seeds}" + (f"\n{median:,.0f}" if np.isfinite(median) else "")
            axes.text(column, row, text, ha="center", va="center", fontsize=style.FONT_POINTS - 1.5)
        axes.imshow(rates, cmap=colors, vmin=0, vmax=1, aspect="auto", origin="lower", label="share solved")
        axes.grid(visible=False)
        axes.set_xticks(range(len(arm.lengths)), [f"{length:,}" for length in arm.lengths])
        axes.set_yticks(range(len(sizes)), [str(size) for size in sizes])
    style.names_of_axes(grid, "length (steps)", "hidden size (units)")
    return figure


def _finding(task: str, arm: Arm) -> str:
    """Return the smallest size with which every seed of a cell solved every length."""
    entries = [(wording.cell_label(cell), _smallest(part)) for cell, part in arm.cells]
    lengths = f"{arm.lengths[0]:,} to {arm.lengths[-1]:,} steps"
    return f"{wording.heading(task)}, all of {lengths}: solved by every seed of {_memory.grouped(entries)}."


def _smallest(part: pd.DataFrame) -> str:
    every = part.groupby("hidden")["solved"].min() > 0.5
    sizes = [int(size) for size in sorted(every[every].index)]
    if sizes:
        also = "on" if _upward(every) else "but not with every larger size"
        return f"from {sizes[0]} units {also}"
    found = _memory.share(part)
    return f"at no size ({found.solved} of {found.seeds} trials)"


def _upward(every: pd.Series) -> bool:
    """Tell whether all sizes above the first that solves everything do so as well."""
    ordered = every.sort_index().to_numpy()
    return bool(ordered[int(ordered.argmax()) :].all())
