"""Which way the gradient goes: by the states it passes, and by the gates alone, beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnbench.report import style, wording
from rnnbench.report.figures import _panels
from rnnbench.report.figures._panels import DECADES_PER_NAT, Panel
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups

PATHS = {
    "log_gradient_norm": ("all states", style.INK),
    "log_gradient_norm_h": ("dL/dh", "#e69f00"),
    "log_gradient_norm_c": ("dL/dc", "#cc79a7"),
    "log_gates_only": ("gates alone", "#56b4e9"),
}
"""Quantities with the name and colour of their lines; the first where a cell has one state."""


class GradientPaths(Plot):
    """Gradient norm by lag through h, through c and through the gates alone, a panel a setting of a gated cell."""

    name = "gradient_paths"
    title = "Paths of the gradient"
    probe = "gradient_decay"
    rank = 1

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per kind of input data and gated cell."""
        drawings = []
        for where, part in groups(rows.quantity("log_gates_only"), ["data", "cell"]):
            panels, held = _panels.split(rows, part)
            if all(len(panel.curve("log_gradient_norm")) for panel in panels):
                drawings.append(self._drawing(where, panels, part, held))
        return drawings

    def _drawing(
        self, where: Mapping[str, Any], panels: list[Panel], part: pd.DataFrame, held: Mapping[str, Any]
    ) -> Drawing:
        data = wording.setting({"data": where["data"]}) if "data" in where else ""
        cell = wording.cell_label(str(where.get("cell", "")))
        finding = _finding(panels)
        return Drawing(
            name="-".join(filter(None, [self.name, str(where.get("cell", "")), data])),
            title=f"{self.title}, {', '.join(filter(None, [cell, data]))}",
            finding=finding,
            reading=f"The loss is at the last step only. {_panels.over_seeds(part, held)} Gates alone: the gradient "
            "carried back by the gate that keeps the state, as it is on these inputs, and by nothing else; dashed, the "
            "same with that gate at its bias.",
            alternative=f"Line charts of the gradient norm against lag by the path it takes. {finding}",
            paint=partial(_paint, panels),
        )


def _lines(panel: Panel) -> dict[str, pd.Series]:
    """Return the curves of a panel in decades by quantity; of all states together only where there is one."""
    found = {name: panel.curve(name, DECADES_PER_NAT) for name in PATHS}
    if len(found["log_gradient_norm_h"]) or len(found["log_gradient_norm_c"]):
        del found["log_gradient_norm"]
    return {name: curve for name, curve in found.items() if len(curve)}


def _paint(panels: list[Panel]) -> Figure:
    figure, grid = style.panels(len(panels), sharex=True, sharey=True)
    every = [_lines(panel) for panel in panels]
    low, high = _panels.limits_in_decades([curve for lines in every for curve in lines.values()])
    for axes, panel, lines in zip(grid[:, 0], panels, every, strict=True):
        axes.set_ylim(low, high)
        axes.set_title(panel.title)
        style.decades(axes)
        for name, curve in lines.items():
            axes.plot(curve.index, curve, color=PATHS[name][1])
        theory = panel.curve("log_theory", DECADES_PER_NAT)
        axes.plot(theory.index, theory, **style.REFERENCE)
        axes.set_xlim(0, max(curve.index.max() for curve in lines.values()))
        _panels.float32_line(axes, _panels.FLOAT32_SMALLEST_NORMAL, "smallest normal float32")
    style.names_of_axes(grid, "lag (steps back from the loss)", "gradient norm (ratio)")
    drawn = dict.fromkeys(name for lines in every for name in lines)
    _panels.legend(figure, dict(PATHS[name] for name in drawn), "gates at their bias")
    return figure


def _finding(panels: list[Panel]) -> str:
    """Say at which lag the gates alone have lost most against the whole gradient, and where they explain it all."""
    excess = {}
    for panel in panels:
        whole, gates = (panel.curve(name, DECADES_PER_NAT) for name in ("log_gradient_norm", "log_gates_only"))
        lag = min(whole.index.max(), gates.index.max())
        excess[panel.name] = (float(whole[lag]) - float(gates[lag]), float(whole[lag]), int(lag))
    most = max(excess, key=lambda name: excess[name][0])
    least = min(excess, key=lambda name: abs(excess[name][0]))
    text = _comparison(most, *excess[most])
    return f"{text} {_comparison(least, *excess[least])}" if least != most else text


def _comparison(name: str, excess: float, whole: float, lag: int) -> str:
    left = wording.power_of_ten(whole)
    if abs(excess) < np.log10(2):
        return f"In {name} the gates alone explain what is left after {lag} steps, {left}, to within a factor of 2."
    times = wording.power_of_ten(abs(excess))
    return f"In {name} {left} of the gradient is left after {lag} steps, {times} times {_side(excess)} the gates alone."


def _side(excess: float) -> str:
    return "what passes through" if excess > 0 else "less than what passes through"
