"""How far each cell remembers: the share of seeds that solved a task, against the length."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnbench.report import style, wording
from rnnbench.report.figures import _memory
from rnnbench.report.figures._memory import Arm
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows


class SuccessByLength(Plot):
    """Share of seeds that solved a task with Wilson's interval, a colour a cell, a panel an arm; one figure a task."""

    name = "success_by_length"
    title = "Success by length"
    probe = "training"
    rank = -3

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per task that was tried at several lengths."""
        found = [(task, _memory.arms(rows, trials)) for task, trials in _memory.tasks_with_lengths(rows)]
        return [self._drawing(wording.words(task), own) for task, own in found if own]

    def _drawing(self, task: str, found: list[Arm]) -> Drawing:
        finding = " ".join(_finding(task, arm) for arm in found)
        return Drawing(
            name=f"{self.name}-{task}",
            title=f"{self.title}, {task}",
            finding=finding,
            reading="Points: share of the seeds that solved it within their steps. Bars: Wilson's 95 % interval of the "
            "rate; points of one length are moved apart to be seen.",
            alternative=f"Line chart of the share of seeds that solved the task against length, one line a cell. "
            f"{finding}",
            paint=partial(_paint, found),
        )


def _paint(found: list[Arm]) -> Figure:
    marks = style.marks([cell for arm in found for cell, _ in arm.cells])
    lengths = sorted({length for arm in found for length in arm.lengths})
    figure, grid = style.panels(len(found), sharex=True, sharey=True)
    cells = list(dict.fromkeys(cell for arm in found for cell, _ in arm.cells))
    for axes, arm in zip(grid[:, 0], found, strict=True):
        axes.set_title(_memory.arm_title(arm))
        for cell, part in arm.cells:
            by_length = _memory.by_length(part)
            shares = [_memory.share(own) for _, own in by_length]
            places = np.array([length for length, _ in by_length]) * _memory.apart(cells.index(cell), len(cells))
            rates = np.array([100 * each.rate for each in shares])
            ends = np.array([each.interval for each in shares]).T * 100
            spread = np.abs(ends - rates)
            mark = marks[cell]
            axes.errorbar(places, rates, spread, color=mark.color, marker=mark.marker, elinewidth=1, capsize=2)
    _memory.length_axis(grid[0, 0], lengths)
    grid[0, 0].set_ylim(-4, 104)
    style.names_of_axes(grid, "sequence length (steps)", "seeds that solved it (%)")
    style.cell_legend(figure, marks, cells)
    return figure


def _finding(task: str, arm: Arm) -> str:
    """Return the longest length that all seeds of each cell solved, and what their number allows to say."""
    where = _memory.arm_title(arm)
    subject = f"{wording.heading(task)}{f' ({where})' if where else ''}"
    entries = [(wording.cell_label(cell), _reach(_memory.by_length(part))) for cell, part in arm.cells]
    seeds = min(len(own) for _, part in arm.cells for _, own in _memory.by_length(part))
    low, _ = _memory.Share(seeds, seeds).interval
    caution = f"; all of {seeds} means a rate of {100 * low:.0f} % or more" if seeds > 1 else "; one seed says little"
    return f"{subject}: solved by every seed of {_memory.grouped(entries)}{caution}."


def _reach(by_length: Sequence[tuple[int, pd.DataFrame]]) -> str:
    """Return up to which length all seeds solved the task, and how many did at the next."""
    counts = [(length, _memory.share(own)) for length, own in by_length]
    reached, rest = [], counts
    while rest and rest[0][1].solved == rest[0][1].seeds:
        reached.append(rest[0][0])
        rest = rest[1:]
    text = f"up to {reached[-1]:,} steps" if reached else "at no length"
    if not rest:
        return text
    length, failed = rest[0]
    return f"{text} ({failed.solved} of {failed.seeds} at {length:,})"
