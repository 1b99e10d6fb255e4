"""How long learning takes: training steps until a task was solved, against the length."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnbench.report import style, wording
from rnnbench.report.figures import _memory
from rnnbench.report.figures._memory import Arm
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows

_OPEN: dict[str, Any] = {"marker": "^", "markersize": 7, "markerfacecolor": "white", "linestyle": "none"}


class StepsToSolve(Plot):
    """Training steps to solve, right-censored at the budget, a colour a cell, a panel an arm; one figure a task."""

    name = "steps_to_solve"
    title = "Steps to solve"
    probe = "training"
    rank = -2

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per task that was tried at several lengths and solved at all."""
        drawings = []
        for task, trials in _memory.tasks_with_lengths(rows):
            found = [arm for arm in _memory.arms(rows, trials) if _memory.share(arm.trials).solved]
            if found and "steps_to_solve" in trials:
                drawings.append(self._drawing(wording.words(task), found))
        return drawings

    def _drawing(self, task: str, found: list[Arm]) -> Drawing:
        finding = " ".join(_finding(task, arm) for arm in found)
        return Drawing(
            name=f"{self.name}-{task}",
            title=f"{self.title}, {task}",
            finding=finding,
            reading="Points: seeds. Lines: medians, where more than half of the seeds solved it. Open triangles: seeds "
            "whose steps ran out unsolved; all that is known is that they take more (right-censored), and medians "
            "count them so. Solved is seen at evaluations, so steps are rounded up to these.",
            alternative=f"Line chart of training steps to solve against length, one line a cell. {finding}",
            paint=partial(_paint, found),
        )


def _paint(found: list[Arm]) -> Figure:
    cells = list(dict.fromkeys(cell for arm in found for cell, _ in arm.cells))
    marks = style.marks(cells)
    lengths = sorted({length for arm in found for length in arm.lengths})
    figure, grid = style.panels(len(found), sharex=True, sharey=True)
    for axes, arm in zip(grid[:, 0], found, strict=True):
        axes.set_title(_memory.arm_title(arm))
        axes.set_yscale("log")
        for cell, part in arm.cells:
            mark, shift = marks[cell], _memory.apart(cells.index(cell), len(cells))
            medians = [(length * shift, _memory.median_steps(own)) for length, own in _memory.by_length(part)]
            known = np.array([point for point in medians if np.isfinite(point[1])]).reshape(-1, 2)
            axes.plot(*known.T, color=mark.color, label="median")
            solved = part[np.isfinite(_memory.steps_taken(part))]
            axes.plot(
                solved["length"] * shift, solved["steps_to_solve"], mark.marker, color=mark.color, label="each seed"
            )
            unsolved = part[~np.isfinite(_memory.steps_taken(part))]
            if "steps" in unsolved:
                look = {**_OPEN, "color": mark.color, "label": "unsolved by then"}
                axes.plot(unsolved["length"] * shift, unsolved["steps"].astype(float), **look)
    _memory.length_axis(grid[0, 0], lengths)
    lowest, highest = grid[0, 0].get_ylim()
    grid[0, 0].set_ylim(lowest, 1.2 * highest)
    for axes in grid[:, 0]:
        style.log_ticks(axes.yaxis)
    style.names_of_axes(grid, "sequence length (steps)", "training (steps)")
    _legend(figure, marks, cells)
    return figure


def _legend(figure: Figure, marks: dict[str, style.Mark], cells: list[str]) -> None:
    handles = [Line2D([], [], color=marks[c].color, marker=marks[c].marker, label=wording.cell_label(c)) for c in cells]
    handles.append(Line2D([], [], color=style.INK, **_OPEN, label="unsolved by then"))
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))


def _finding(task: str, arm: Arm) -> str:
    """Return the medians at the longest length that any seed solved, and how many seeds are censored in all."""
    where = _memory.arm_title(arm)
    solved = arm.trials[arm.trials["solved"] > 0.5]
    longest = int(solved["length"].max())
    parts = []
    for cell, part in arm.cells:
        own = part[part["length"] == longest]
        if len(own):
            parts.append(f"{wording.cell_label(cell)} {_memory.steps_text(own)}")
    total = _memory.share(arm.trials)
    text = f"{wording.heading(task)}{f' ({where})' if where else ''}: median training steps at length "
    text += f"{longest:,}: {', '.join(parts)}."
    censored = total.seeds - total.solved
    if censored:
        trials = wording.count(total.seeds, "trial")
        text += f" {censored} of {trials} did not solve it within their steps (right-censored)."
    return text
