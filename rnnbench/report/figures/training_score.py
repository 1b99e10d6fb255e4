"""What is learned and when: the evaluation score against training steps, beside the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from rnnbench.report import style, wording
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups, hold, seed_count
from rnnbench.report.tables import Column, Table, setting_cells, setting_columns

MOST_PANELS = 6


@dataclass(frozen=True)
class Panel:
    """One task in one setting: the curves of all cells and what they are compared with."""

    label: str
    scores: pd.DataFrame
    """Rows of evaluation_score."""
    final: dict[str, np.ndarray]
    """Final score of each seed, by cell."""
    unit: str
    baseline: float
    threshold: float
    higher_is_better: bool

    def better_than_baseline(self, cell: str) -> str:
        """Return where the 95 % interval of the mean lies: "better", "worse", "unclear"; "" for one seed."""
        low, high = mean_interval(self.final[cell])
        if not np.isfinite([low, high, self.baseline]).all():
            return ""
        if low <= self.baseline <= high:
            return "unclear"
        return "better" if (low > self.baseline) == self.higher_is_better else "worse"


class TrainingScore(Plot):
    """Evaluation score against step, a colour a cell, a panel a setting; one figure a task."""

    name = "training_score"
    title = "Score during training"
    probe = "training"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per task."""
        drawings = []
        for where, part in groups(rows.quantity("evaluation_score"), ["task"]):
            names = rows.varying(part, besides=("cell", "task"))
            names.sort(key=lambda name: name != "length")
            shown = part
            held: dict[str, Any] = {}
            # Give up whole parameters, the last first, until the panels are few enough to be read.
            kept = len(names)
            while sum(1 for _ in groups(shown, names[:kept])) > MOST_PANELS:
                kept -= 1
                shown, more = hold(shown, [names[kept]])
                held |= more
            panels = [_panel(rows, setting, rest) for setting, rest in groups(shown, names[:kept])]
            drawings.append(self._drawing(where, panels, held))
        return drawings

    def _drawing(self, where: Mapping[str, Any], panels: list[Panel], held: Mapping[str, Any]) -> Drawing:
        task = wording.setting(where)
        finding = " ".join(_finding(panel, task) for panel in panels)
        return Drawing(
            name="-".join(filter(None, [self.name, task])),
            title=f"{self.title}, {task}" if task else self.title,
            finding=finding,
            reading=_reading(panels, held),
            alternative=f"Line chart of evaluation scores against training steps, one line a cell. {finding}",
            paint=partial(_paint, panels),
        )

    def tables(self, rows: Rows) -> list[Table]:
        """Return final scores, baselines and how many seeds solved the task, one table a task."""
        wide = rows.wide()
        if "final_score" not in wide:
            return []
        return [_final_table(rows, wording.setting(where), part) for where, part in groups(wide, ["task"])]


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Return Student's 95 % interval of the mean; NaN for fewer than two values."""
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return np.nan, np.nan
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    low, high = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
    return float(low), float(high)


def _panel(rows: Rows, setting: Mapping[str, Any], scores: pd.DataFrame) -> Panel:
    own = rows.measurements[rows.measurements["key"].isin(scores["key"])]

    def scalar(name: str) -> float:
        return float(own.loc[own["quantity"] == name, "value"].median())

    final = own[own["quantity"] == "final_score"]
    cells = [(str(values.get("cell", "")), part) for values, part in groups(scores, ["cell"])]
    return Panel(
        label=wording.setting(setting),
        scores=scores,
        final={cell: final.loc[final["key"].isin(part["key"]), "value"].to_numpy(dtype=float) for cell, part in cells},
        unit=str(scores["unit"].iloc[0]),
        baseline=scalar("baseline_score"),
        threshold=scalar("solved_threshold"),
        higher_is_better=scalar("score_higher_is_better") > 0.5,
    )


def _paint(panels: list[Panel]) -> Figure:
    marks = style.marks([cell for panel in panels for cell in panel.final])
    figure, grid = style.panels(len(panels), height=2.15, sharex=True, sharey=True)
    logarithmic = _logarithmic(panels)
    for axes, panel in zip(grid[:, 0], panels, strict=True):
        if logarithmic:
            axes.set_yscale("log")
        axes.set_title(panel.label)
        axes.set_xlabel("training (steps)")
        axes.set_ylabel(f"evaluation score ({panel.unit})")
        axes.xaxis.set_major_formatter(lambda value, _: wording.value_text(value))
        for height, _ in _references(panel):
            axes.axhline(height, **style.REFERENCE)
        for values, part in groups(panel.scores, ["cell"]):
            _paint_cell(axes, part, marks[str(values.get("cell", ""))])
    for axes, panel in zip(grid[:, 0], panels, strict=True):  # after all panels: the limits are shared
        axes.margins(x=0)
        ends = [
            (float(_median(part).iloc[-1]), wording.cell_label(cell), marks[cell].color)
            for values, part in groups(panel.scores, ["cell"])
            for cell in [str(values.get("cell", ""))]
            if len(_median(part))
        ]
        style.label_ends(axes, ends + [(height, text, style.MUTED) for height, text in _references(panel)])
        if logarithmic:
            style.log_ticks(axes.yaxis)
    return figure


def _paint_cell(axes: Axes, scores: pd.DataFrame, mark: style.Mark) -> None:
    if scores["key"].nunique() > 1:
        for _, seed in scores.groupby("key"):
            axes.plot(seed["index"].astype(float), seed["value"], color=mark.color, linewidth=0.6, alpha=0.45)
    median = _median(scores)
    axes.plot(median.index.astype(float), median, color=mark.color)
    every = max(1, len(median) // 8)
    axes.plot(
        median.index.astype(float)[::every],
        median[::every],
        mark.marker,
        color=mark.color,
        markersize=4,
        clip_on=False,
    )


def _references(panel: Panel) -> list[tuple[float, str]]:
    lines = [(panel.baseline, "baseline"), (panel.threshold, "solved")]
    return [(height, f"{name} {wording.significant(height)}") for height, name in lines if np.isfinite(height)]


def _median(scores: pd.DataFrame) -> pd.Series:
    return scores[np.isfinite(scores["value"])].groupby("index")["value"].median()


def _logarithmic(panels: list[Panel]) -> bool:
    """A score that is better lower and spans ten times or more, all above zero, has a logarithmic axis."""
    values = np.concatenate([panel.scores["value"].to_numpy(dtype=float) for panel in panels])
    values = values[np.isfinite(values)]
    lower_is_better = not any(panel.higher_is_better for panel in panels)
    return bool(lower_is_better and len(values) and values.min() > 0 and values.max() >= 10 * values.min())


def _finding(panel: Panel, task: str) -> str:
    where = ", ".join(filter(None, [task, panel.label]))
    finals = {cell: scores[np.isfinite(scores)] for cell, scores in panel.final.items()}
    parts = [
        f"{wording.cell_label(cell)} {wording.significant(float(np.median(scores)))}" if len(scores) else
        f"{wording.cell_label(cell)} did not finish"
        for cell, scores in finals.items()
    ]  # fmt: skip
    seeds = max((len(scores) for scores in finals.values()), default=0)
    over = f", median of {seeds} seeds" if seeds > 1 else ", one seed"
    text = f"On {where or 'this task'} the final score ({panel.unit}{over}) is {wording.listing(parts)}"
    if not np.isfinite(panel.baseline):
        return text + "."
    text += f"; the baseline is {wording.significant(panel.baseline)}."
    unclear = [wording.cell_label(cell) for cell in finals if panel.better_than_baseline(cell) == "unclear"]
    if unclear:
        text += f" These seeds do not tell {wording.listing(unclear)} from the baseline."
    return text


def _reading(panels: list[Panel], held: Mapping[str, Any]) -> str:
    many = any(len(scores) > 1 for panel in panels for scores in panel.final.values())
    text = "Thin lines: seeds; thick: their median. " if many else "One seed: no spread can be told. "
    better = "Higher is better. " if panels[0].higher_is_better else "Lower is better. "
    text += better + "The dashed baseline is the best score that needs no memory. "
    if any(np.isfinite(panel.threshold) for panel in panels):
        text += "A task counts as solved beyond the dashed line so marked. "
    if held:
        text += f"Shown at {wording.setting(held)}; the table has the other settings."
    return text.strip()


def _final_table(rows: Rows, task: str, wide: pd.DataFrame) -> Table:
    names = [name for name in rows.varying(wide) if name != "task"]
    unit = rows.quantity("final_score").set_index("key")["unit"].get(wide["key"].iloc[0], "")
    columns = [
        *setting_columns(names),
        Column("seeds"),
        Column("parameters"),
        Column("final score, mean ± sd", str(unit)),
        Column("95 % interval of the mean", str(unit)),
        Column("baseline", str(unit)),
        Column("solved"),
        Column("95 % interval of the rate", "%"),
        Column("median time to solve", "steps"),
    ]
    body = []
    for values, part in groups(wide, names):
        score = part["final_score"][np.isfinite(part["final_score"])]
        body.append(
            [
                *setting_cells(values),
                str(seed_count(part)),
                _median_of(part, "parameter_count", "{:,.0f}"),
                wording.mean_and_deviation(score.mean(), score.std()),
                _interval(*mean_interval(score.to_numpy())),
                _median_of(part, "baseline_score"),
                *_solved(part),
                _median_of(part, "steps_to_solve", "{:,.0f}"),
            ]
        )
    caption = f"Final scores, {task}" if task else "Final scores"
    caption += ". Intervals: Student's for the mean, Wilson's for the rate of solving."
    return Table(caption, columns, body).without_empty_columns()


def _median_of(part: pd.DataFrame, quantity: str, pattern: str = "") -> str:
    value = float(part[quantity].median()) if quantity in part else np.nan
    return pattern.format(value) if pattern and np.isfinite(value) else wording.significant(value)


def _interval(low: float, high: float) -> str:
    return f"{wording.significant(low)} to {wording.significant(high)}" if np.isfinite(low) else wording.MISSING


def _solved(part: pd.DataFrame) -> tuple[str, str]:
    """Return "k of n" and Wilson's interval in percent."""
    solved = part["solved"].dropna() if "solved" in part else pd.Series(dtype=float)
    if solved.empty:
        return wording.MISSING, wording.MISSING
    successes, trials = int((solved > 0.5).sum()), len(solved)
    interval = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    return f"{successes} of {trials}", f"{100 * interval.low:.0f} to {100 * interval.high:.0f}"
