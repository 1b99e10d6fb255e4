"""How large the gradient is while a network is trained, and how often it has to be clipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnbench.report import style, wording
from rnnbench.report.figures import _training
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups

WINDOW = 9
"""Records that the thick line is a median of: the norm of one step jumps by a factor of ten."""


@dataclass(frozen=True)
class Panel:
    """One task in one setting."""

    setting: Mapping[str, Any]
    norms: pd.DataFrame
    """Rows of gradient_norm above zero: the global norm over all weights, before clipping."""

    @property
    def bounds(self) -> list[float]:
        """The norms beyond which gradients were clipped; none where they were not."""
        known = pd.to_numeric(self.norms["clip_norm"]).dropna() if "clip_norm" in self.norms else pd.Series(dtype=float)
        return sorted(float(bound) for bound in known.unique() if bound > 0)


class TrainingGradient(Plot):
    """Gradient norm against step on a logarithmic axis, a colour a cell, a panel a setting; one figure a task."""

    name = "training_gradient"
    title = "Gradient norm during training"
    probe = "training"
    rank = 1

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per task."""
        norms = rows.quantity("gradient_norm")
        norms = norms[np.isfinite(norms["value"]) & (norms["value"] > 0)]
        drawings = []
        for where, part in groups(norms, ["task"]):
            found, held = _training.split(rows, part)
            panels = [Panel(setting, rest) for setting, rest in found]
            drawings.append(self._drawing(wording.setting(where), panels, held, rows.quantity("fraction_clipped")))
        return drawings

    def _drawing(self, task: str, panels: list[Panel], held: Mapping[str, Any], clipped: pd.DataFrame) -> Drawing:
        finding = _finding(panels, task, clipped)
        return Drawing(
            name="-".join(filter(None, [self.name, task])),
            title=f"{self.title}, {task}" if task else self.title,
            finding=finding,
            reading=_reading(panels, held),
            alternative=f"Line chart of the gradient norm against training steps, one line a cell. {finding}",
            paint=partial(_paint, panels),
        )


def _paint(panels: list[Panel]) -> Figure:
    every = pd.concat([panel.norms for panel in panels])
    marks = style.marks([cell for cell, _ in _training.by_cell(every)])
    figure, grid = style.panels(len(panels), sharex=True, sharey=True)
    for axes, panel in zip(grid[:, 0], panels, strict=True):
        axes.set_yscale("log")
        axes.set_title(wording.setting(panel.setting))
        axes.xaxis.set_major_formatter(lambda value, _: wording.value_text(value))
        for bound in panel.bounds:
            axes.axhline(bound, **style.LIMIT)
        for cell, part in _training.by_cell(panel.norms):
            _training.paint_curve(axes, part, marks[cell], WINDOW)
    grid[0, 0].set_xlim(0, float(every["index"].max()))
    for axes, panel in zip(grid[:, 0], panels, strict=True):  # after all panels: the limits are shared
        lines = [(bound, f"clipped\nabove {wording.value_text(bound)}", style.MUTED) for bound in panel.bounds]
        style.label_ends(axes, lines)
        style.log_ticks(axes.yaxis)
    style.names_of_axes(grid, "training (steps)", "gradient norm")
    style.cell_legend(figure, marks, [cell for cell, _ in _training.by_cell(every)])
    return figure


def _finding(panels: list[Panel], task: str, clipped: pd.DataFrame) -> str:
    every = pd.concat([panel.norms for panel in panels])
    subject = wording.heading(task) or "This task"
    largest = every[every["value"] == every["value"].max()].to_dict("records")[0]
    cell = f" ({wording.cell_label(str(largest['cell']))}, step {largest['index']})" if "cell" in every else ""
    peak = f"The largest norm recorded is {wording.significant(largest['value'])}{cell}."
    own = clipped[clipped["key"].isin(every["key"])]
    if own.empty or not any(panel.bounds for panel in panels):
        return f"{subject}: no gradient was clipped by its norm. {peak}"
    shares = {wording.cell_label(cell): 100 * part["value"] for cell, part in _training.by_cell(own)}
    ranked = sorted(shares, key=lambda cell: -float(shares[cell].median()))
    parts = [_share(cell, shares[cell], first=not place) for place, cell in enumerate(ranked)]
    place = _training.where([panel.setting for panel in panels])
    return f"{subject}{f', {place}' if place else ''}: the gradient is clipped in {wording.listing(parts)}. {peak}"


def _share(cell: str, percent: pd.Series, first: bool) -> str:
    """Return the median over trials and, where there are several, their range."""
    text = f"{wording.significant(float(percent.median()))} % of {'the steps of ' if first else ''}{cell}"
    over = f" over {len(percent)} trials" if first else ""
    return f"{text} [{wording.span(percent)}{over}]" if len(percent) > 1 else text


def _reading(panels: list[Panel], held: Mapping[str, Any]) -> str:
    text = f"Global norm over all weights, before clipping. Thin lines: seeds; thick: running median of {WINDOW} "
    text += "records and of the seeds, while all of them train. "
    if any(panel.bounds for panel in panels):
        text += "Dotted: longer gradients are scaled down to this norm. "
    if held:
        text += f"Shown at {wording.setting(held)}."
    return text.strip()
