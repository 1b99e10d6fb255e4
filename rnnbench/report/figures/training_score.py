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
from matplotlib.lines import Line2D

from rnnbench.report import ranking, style, wording
from rnnbench.report.figures import _final_scores, _training
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups
from rnnbench.report.statistics import mean_interval
from rnnbench.report.tables import Table

_RING: dict[str, Any] = {"marker": "o", "markersize": 7, "markerfacecolor": "white", "linestyle": "none"}


@dataclass(frozen=True)
class Panel:
    """One task in one setting: the curves of all cells and what they are compared with."""

    setting: Mapping[str, Any]
    scores: pd.DataFrame
    """Rows of evaluation_score."""
    final: dict[str, np.ndarray]
    """Final scores of the seeds that have one, by cell."""
    solved: dict[str, np.ndarray]
    """Whether each seed solved the task, by cell; empty where the task cannot be solved."""
    solved_at: Mapping[str, float]
    """The step at which a trial was first seen to have solved the task, by key."""
    unit: str
    baseline: float
    threshold: float
    higher_is_better: bool

    def beats_baseline(self, cell: str) -> bool:
        """Tell whether the median of the final scores is better than the baseline."""
        median = np.median(self.final[cell]) if len(self.final[cell]) else np.nan
        return bool(median > self.baseline if self.higher_is_better else median < self.baseline)

    def unclear(self, cell: str) -> bool:
        """Tell whether the 95 % interval of the mean has the baseline within; never for one seed."""
        low, high = mean_interval(self.final[cell])
        return bool(low <= self.baseline <= high)


class TrainingScore(Plot):
    """Evaluation score against step, a colour a cell, a panel a setting; one figure a task."""

    name = "training_score"
    title = "Score during training"
    probe = "training"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per task."""
        drawings = []
        for where, part in groups(rows.quantity("evaluation_score"), ["task"]):
            found, held = _training.split(rows, part)
            drawings.append(self._drawing(where, [_panel(rows, setting, rest) for setting, rest in found], held))
        return drawings

    def _drawing(self, where: Mapping[str, Any], panels: list[Panel], held: Mapping[str, Any]) -> Drawing:
        task = wording.setting(where)
        finding = _finding(panels, task)
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
        return [_final_scores.table(rows, wording.setting(where), part) for where, part in groups(wide, ["task"])]


def _panel(rows: Rows, setting: Mapping[str, Any], scores: pd.DataFrame) -> Panel:
    own = rows.measurements[rows.measurements["key"].isin(scores["key"])]

    def scalar(name: str) -> pd.Series:
        values = own[own["quantity"] == name].set_index("key")["value"]
        return values[np.isfinite(values)]

    cells = [(str(values.get("cell", "")), part["key"].unique()) for values, part in groups(scores, ["cell"])]
    final, solved = scalar("final_score"), scalar("solved") > 0.5
    return Panel(
        setting=setting,
        scores=scores,
        final={cell: final[final.index.isin(keys)].to_numpy(dtype=float) for cell, keys in cells},
        solved={cell: solved[solved.index.isin(keys)].to_numpy(dtype=bool) for cell, keys in cells},
        solved_at={str(key): float(step) for key, step in scalar("steps_to_solve").items()},
        unit=str(scores["unit"].iloc[0]),
        baseline=float(scalar("baseline_score").median()),
        threshold=float(scalar("solved_threshold").median()),
        higher_is_better=bool(scalar("score_higher_is_better").median() > 0.5),
    )


def _paint(panels: list[Panel]) -> Figure:
    marks = style.marks([cell for panel in panels for cell in panel.final])
    figure, grid = style.panels(len(panels), sharex=True, sharey=True)
    logarithmic = _logarithmic(panels)
    for axes, panel in zip(grid[:, 0], panels, strict=True):
        axes.set_yscale("log" if logarithmic else "linear")
        axes.set_title(wording.setting(panel.setting))
        axes.xaxis.set_major_formatter(lambda value, _: wording.value_text(value))
        if np.isfinite(panel.baseline):
            axes.axhline(panel.baseline, **style.REFERENCE)
        if np.isfinite(panel.threshold):
            axes.axhline(panel.threshold, **style.LIMIT)
        for cell, part in _training.by_cell(panel.scores):
            _training.paint_curve(axes, part, marks[cell])
            _paint_rings(axes, part, panel.solved_at, marks[cell].color)
    grid[0, 0].set_xlim(0, max(float(panel.scores["index"].max()) for panel in panels))
    for axes, panel in zip(grid[:, 0], panels, strict=True):  # after all panels: the limits are shared
        lines = {"baseline": panel.baseline, "solved": panel.threshold}
        named = {f"{name} {wording.significant(at)}": at for name, at in lines.items() if np.isfinite(at)}
        _training.label_curves(axes, panel.scores, marks, named)
        if logarithmic:
            style.log_ticks(axes.yaxis)
    style.names_of_axes(grid, "training (steps)", f"score ({panels[0].unit})")
    if handles := _handles(panels):
        figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    return figure


def _handles(panels: list[Panel]) -> list[Line2D]:
    """Return what the legend explains: seeds and their median where there are several, rings where there are any."""
    handles = []
    if any(
        part["key"].nunique() >= _training.FEWEST_SEEDS
        for panel in panels
        for _, part in _training.by_cell(panel.scores)
    ):
        handles.append(Line2D([], [], color=style.INK, linewidth=0.7, alpha=0.6, label="each seed"))
        handles.append(Line2D([], [], color=style.INK, label="median of seeds"))
    if _solving(panels):
        handles.append(Line2D([], [], color=style.INK, **_RING, label="solved"))
    return handles


def _paint_rings(axes: Axes, part: pd.DataFrame, solved_at: Mapping[str, float], color: str) -> None:
    """Draw a ring on the curve of each seed where it was first seen to have solved the task."""
    solved = part[part["index"].astype(float) == part["key"].map(solved_at)]
    if len(solved):  # an empty line that is not clipped has no place, and the layout gives up
        axes.plot(
            solved["index"].astype(float),
            solved["value"],
            color=color,
            **_RING,
            clip_on=False,
            zorder=3,
            label="solved",
        )


def _solving(panels: list[Panel]) -> bool:
    return any(seeds.any() for panel in panels for seeds in panel.solved.values())


def _logarithmic(panels: list[Panel]) -> bool:
    """A score that is better lower and spans ten times or more, all above zero, has a logarithmic axis."""
    values = np.concatenate([panel.scores["value"].to_numpy(dtype=float) for panel in panels])
    values = values[np.isfinite(values)]
    lower_is_better = not any(panel.higher_is_better for panel in panels)
    return bool(lower_is_better and len(values) and values.min() > 0 and values.max() >= 10 * values.min())


def _finding(panels: list[Panel], task: str) -> str:
    subject = wording.heading(task) or "This task"
    cells = list(dict.fromkeys(cell for panel in panels for cell in panel.final))
    if not any(len(panel.final[cell]) for panel in panels for cell in panel.final):
        return f"{subject}: no trial came to a final score."
    if not _solving(panels):
        return f"{subject}: {_best_scores(panels, cells)}"
    place = _training.where([panel.setting for panel in panels])
    counts = {cell: np.concatenate([panel.solved.get(cell, np.zeros(0, bool)) for panel in panels]) for cell in cells}
    parts = [
        f"{wording.cell_label(cell)} {'' if number else 'solved '}{counts[cell].sum()} of {len(counts[cell])}"
        f"{'' if number else ' trials'}"
        for number, cell in enumerate(cell for cell in cells if counts[cell].any())
    ]
    text = f"{subject}: {wording.listing(parts)}{f', at {place}' if place else ''}"
    for cell in cells:
        if not counts[cell].any():
            text += f"; {wording.cell_label(cell)} solved 0 of {len(counts[cell])}{_against_baseline(panels, cell)}"
    one_seed = all(len(scores) < 2 for panel in panels for scores in panel.final.values())
    return f"{text}{' (one seed each)' if one_seed else ''}."


def _against_baseline(panels: list[Panel], cell: str) -> str:
    """Return how the final scores of a cell that solved nothing compare with the baseline, panel by panel."""
    own = [panel for panel in panels if len(panel.final.get(cell, ()))]
    if not own:
        return " and came to no final score"
    scores = wording.span(float(np.median(panel.final[cell])) for panel in own)
    text = f", and its final score, {scores} {own[0].unit},"
    if not np.isfinite([panel.baseline for panel in own]).all():
        return f", with a final score of {scores} {own[0].unit}"
    better = "above" if own[0].higher_is_better else "below"
    baseline = f"the baseline's {wording.span(panel.baseline for panel in own)}"
    beating = [panel for panel in own if panel.beats_baseline(cell)]
    if not beating:
        return f"{text} is not {better} {baseline}"
    if any(panel.unclear(cell) for panel in beating):
        return f"{text} cannot be told from {baseline} with these seeds"
    few = f" in {len(beating)} of {len(own)} settings" if len(beating) < len(own) else ""
    return f"{text} is {better} {baseline}{few}"


def _best_scores(panels: list[Panel], cells: list[str]) -> str:
    """Return the best median score of each cell over the panels, best first, and what the seeds leave open."""
    sign = 1 if panels[0].higher_is_better else -1
    best: dict[str, Panel] = {}
    for cell in cells:
        own = [panel for panel in panels if len(panel.final.get(cell, ()))]
        if own:
            best[cell] = max(own, key=lambda panel: sign * float(np.median(panel.final[cell])))
    finals = {cell: panel.final[cell] for cell, panel in best.items()}
    ranked = sorted(finals, key=lambda cell: -sign * float(np.median(finals[cell])))
    scores = [f"{wording.cell_label(cell)} {wording.significant(float(np.median(finals[cell])))}" for cell in ranked]
    place = _training.where([panel.setting for panel in panels])
    text = f"{scores[0]} {panels[0].unit} is the best score{f', over {place}' if place else ''}"
    text += f", then {wording.listing(scores[1:])}" if scores[1:] else ""
    baselines = [panel.baseline for panel in best.values()]
    if np.isfinite(baselines).any():
        text += f"; the baseline, which needs no memory, has {wording.span(baselines)}"
    thresholds = [panel.threshold for panel in panels if any(len(seeds) for seeds in panel.solved.values())]
    if np.isfinite(thresholds).any():
        text += f". None solved the task, which takes {wording.span(thresholds)}"
    return f"{text}. {_left_open(best, finals, sign)}".strip()


def _left_open(best: Mapping[str, Panel], finals: Mapping[str, np.ndarray], sign: int) -> str:
    if all(len(scores) < 2 for scores in finals.values()):
        return "One seed a cell: small differences may be chance."
    parts = []
    leading = [wording.cell_label(cell) for cell in (ranking.highest if sign > 0 else ranking.lowest)(finals)]
    if len(leading) > 1:
        parts.append(f"do not rank {wording.listing(leading)}")
    unclear = [wording.cell_label(cell) for cell, panel in best.items() if panel.unclear(cell)]
    if unclear:
        parts.append(f"do not tell {wording.listing(unclear)} from the baseline")
    return f"These seeds {wording.listing(parts)}." if parts else ""


def _reading(panels: list[Panel], held: Mapping[str, Any]) -> str:
    seeds = max(part["key"].nunique() for panel in panels for _, part in groups(panel.scores, ["cell"]))
    text = "One seed: no spread can be told. " if seeds == 1 else "One line a seed. "
    if seeds >= _training.FEWEST_SEEDS:
        text = "Thin lines: seeds; thick: their median, while all of them train. "
    text += "Higher is better. " if panels[0].higher_is_better else "Lower is better. "
    text += "Dashed: the baseline, the best score that needs no memory. "
    if any(np.isfinite(panel.threshold) for panel in panels):
        text += "Dotted: the score from which on the task counts as solved. "
    if _solving(panels):
        text += "Rings: solved there; a curve that ends at its ring was stopped for it. "
    if held:
        text += f"Shown at {wording.setting(held)}; the table has the other settings."
    return text.strip()
