"""What each application is learned to: the share of the naive baseline's error that is gone."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnbench.report import style, wording
from rnnbench.report.figures._applications import Application, applications
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows
from rnnbench.report.statistics import mean_interval
from rnnbench.report.tables import Column, Table

LEAST = -0.25
"""Left end of the axis: what is worse than the baseline by more is drawn there."""


class TrainingSkill(Plot):
    """Skill of every application beside its naive baseline as a dot plot, a colour a cell, the seeds as points."""

    name = "training_skill"
    title = "Applications beside their naive baselines"
    probe = "training"
    rank = -2

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing, or none where no task is an application."""
        found = sorted(applications(rows), key=_best_skill)
        if not found:
            return []
        finding = _finding(found[::-1])
        return [
            Drawing(
                name=self.name,
                title=self.title,
                finding=finding,
                reading="Points: seeds, by their final score on held-out data. 0: the naive baseline of the task, "
                "which the table names; 1: no error. Bars: where the task counts as solved. Intervals are over seeds, "
                "all scored on one held-out set: other data might have been held out.",
                alternative=f"Dot plot of the share of the baseline's error that is gone, a line an application, a "
                f"colour a cell. {finding}",
                paint=partial(_paint, found),
            )
        ]

    def tables(self, rows: Rows) -> list[Table]:
        """Return scores beside baselines, and whose data they are on."""
        found = applications(rows)
        return [_scores(found), _sources(found)] if found else []


def _best_skill(application: Application) -> float:
    return max(float(np.median(application.skill(application.scores(cell)))) for cell in application.cells)


def _cells(found: list[Application]) -> list[str]:
    return list(dict.fromkeys(cell for application in found for cell in application.cells))


def _scores(found: list[Application]) -> Table:
    cells = _cells(found)
    columns = [
        Column("application", numeric=False),
        Column("task", numeric=False),
        Column("naive baseline", numeric=False),
        Column("its score"),
        *(Column(f"{wording.cell_label(cell)} ± sd") for cell in cells),
        Column("solved from"),
        Column("solved, trials"),
        Column("other simple predictors", numeric=False),
        Column("unit", numeric=False),
    ]
    body = []
    for each in found:
        solved = np.array([each.solved(cell) for cell in each.cells]).sum(axis=0)
        scores = {cell: each.scores(cell) for cell in each.cells}
        body.append(
            [
                each.task.application,
                each.label,
                each.task.baseline_name or wording.MISSING,
                wording.significant(each.baseline),
                *(
                    wording.mean_and_deviation(scores[c].mean(), scores[c].std(ddof=1) if len(scores[c]) > 1 else 0.0)
                    if c in scores
                    else wording.MISSING
                    for c in cells
                ),
                wording.significant(each.threshold),
                f"{solved[0]} of {solved[1]}",
                ", ".join(f"{name} {wording.significant(v)}" for name, v in each.references.items()) or wording.MISSING,
                each.unit,
            ]
        )
    return Table("Applications: final scores on held-out data beside the naive baseline.", columns, body)


def _sources(found: list[Application]) -> Table:
    columns = [Column(name, numeric=False) for name in ("task", "wiring", "data", "source", "licence")]
    body = []
    for kind in dict.fromkeys(application.task for application in found):
        made_up = "synthetic" if kind.synthetic else "real"
        sets = [(data.name, data.source, data.licence) for data in kind.data] or [("", "made by rule", "none needed")]
        for name, source, licence in sets:
            words = f"{made_up}: {wording.words(name)}" if name and not kind.synthetic else made_up
            words = f"synthetic, of real {wording.words(name)}" if name and kind.synthetic else words
            body.append([wording.heading(kind.name), kind.wiring, words, source, licence])
    return Table("Applications: the data, where they come from, and their licences.", columns, body)


def _finding(found: list[Application]) -> str:
    cells = _cells(found)
    counts = {cell: [0, 0] for cell in cells}
    everywhere, short, nowhere, beaten = [], [], [], []
    for each in found:
        per_cell = {cell: each.solved(cell) for cell in each.cells}
        for cell, (solved, trials) in per_cell.items():
            counts[cell][0] += solved == trials
            counts[cell][1] += 1
        if all(solved == trials for solved, trials in per_cell.values()):
            everywhere.append(each)
        elif not any(_beats_baseline(each, cell) for cell in each.cells):
            beaten.append(each)
        elif not any(solved for solved, _ in per_cell.values()):
            nowhere.append(each.label)
        else:
            told = [f"{wording.cell_label(cell)} {solved} of {trials}" for cell, (solved, trials) in per_cell.items()]
            short.append(f"{each.label}: {wording.listing(told)}")
    text = f"{len(everywhere)} of {wording.count(len(found), 'task')} solved by every cell in every trial"
    if short:
        text += f"; solved in part: {'; '.join(short)}"
    if nowhere:
        text += f"; solved by none: {wording.listing(nowhere)}"
    text += "."
    for each in beaten:
        best = wording.significant(100 * _best_skill(each), 2)
        name = each.task.baseline_name or "the baseline"
        text += f" No cell beats {name} in {each.label} on average: at best {best} % of its error is gone."
    return text


def _beats_baseline(application: Application, cell: str) -> bool:
    """Tell whether the mean's 95 % interval lies on the better side of the baseline; the score, for one seed."""
    skill = application.skill(application.scores(cell))
    low, _ = mean_interval(skill)
    return bool((low if np.isfinite(low) else skill[0]) > 0)


def _paint(found: list[Application]) -> Figure:
    cells = _cells(found)
    marks = style.marks(cells)
    labels = [f"{each.task.application}\n{wording.wrapped(_short(each), 36)}" for each in found]
    lines = max(label.count("\n") + 1 for label in labels)
    figure, grid = style.panels(1, height=max(0.45, 0.18 * lines) * len(found) + 0.3)
    axes = grid[0, 0]
    offsets = dict(zip(cells, np.linspace(0.24, -0.24, len(cells)) if len(cells) > 1 else [0.0], strict=True))
    for place, each in enumerate(found):
        solved = each.skill(each.threshold)
        axes.plot([solved, solved], [place - 0.4, place + 0.4], color=style.MUTED, linewidth=2.0, alpha=0.6)
        for cell in each.cells:
            skill = np.clip(each.skill(each.scores(cell)), LEAST, 1)
            heights = np.full(len(skill), place + offsets[cell])
            axes.plot(
                skill, heights, marks[cell].marker, color=marks[cell].color, markersize=4, alpha=0.8, clip_on=False
            )
    axes.axvline(0, **style.REFERENCE)
    axes.set_xlim(LEAST, 1.02)
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.set_yticks(range(len(found)), labels)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("share of the baseline's error\nthat is gone (fraction)")
    handles = [
        Line2D([], [], color=marks[c].color, marker=marks[c].marker, linestyle="none", label=wording.cell_label(c))
        for c in cells
    ]
    handles.append(Line2D([], [], color=style.MUTED, linewidth=2.0, alpha=0.6, label="solved"))
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    return figure


def _short(application: Application) -> str:
    """Return the label for the axis: the task, and its setting where it has one."""
    where = wording.setting(application.setting)
    return f"({wording.words(application.task.name)}{', ' + where if where else ''})"
