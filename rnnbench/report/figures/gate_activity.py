"""How open the gates are while a sequence is read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnbench.report import style, wording
from rnnbench.report.figures import _panels
from rnnbench.report.figures._panels import Panel
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups

GATE, MEAN = "_gate", "_gate_mean"


class GateActivity(Plot):
    """Mean of each gate by step with its quartiles over units, a panel a cell and setting."""

    name = "gate_activity"
    title = "Gate activity"
    probe = "gate_activity"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per kind of input data, none where no cell has gates."""
        means = rows.measurements[rows.measurements["quantity"].str.endswith(MEAN)]
        gated = means.drop_duplicates("key")
        drawings = []
        for where, part in groups(gated, ["data"]):
            panels, held = _panels.split(rows, part)
            if all(_gates(panel) for panel in panels):
                drawings.append(self._drawing(where, panels, part, held))
        return drawings

    def _drawing(
        self, where: Mapping[str, Any], panels: list[Panel], part: pd.DataFrame, held: Mapping[str, Any]
    ) -> Drawing:
        data, finding = wording.setting(where), _finding(panels)
        return Drawing(
            name="-".join(filter(None, [self.name, data])),
            title=f"{self.title}, {data}" if data else self.title,
            finding=finding,
            reading=f"Lines: means over units and sequences; bands: quartiles. {_panels.over_seeds(part, held)}",
            alternative=f"Line charts of the gates' means between 0 and 1 against the step. {finding}",
            paint=partial(_paint, panels),
        )


def _gates(panel: Panel) -> list[str]:
    """Return the gates that have a mean by step, in the order of the cell."""
    return [name.removesuffix(GATE) for name in panel.quantities() if name.endswith(GATE)]


def _paint(panels: list[Panel]) -> Figure:
    figure, grid = style.panels(len(panels), sharex=True, sharey=True)
    gates = list(dict.fromkeys(gate for panel in panels for gate in _gates(panel)))
    looks = style.marks(gates)
    for axes, panel in zip(grid[:, 0], panels, strict=True):
        axes.set_ylim(0, 1)
        axes.set_title(panel.title)
        for gate in _gates(panel):
            low, high = (panel.curve(f"{gate}{GATE}_{side}_quartile") for side in ("lower", "upper"))
            both = low.index.intersection(high.index).to_numpy(dtype=float)
            axes.fill_between(both, low[both], high[both], color=looks[gate].color, alpha=0.18, linewidth=0)
            mean = panel.curve(gate + GATE)
            axes.plot(mean.index, mean, color=looks[gate].color)
            axes.set_xlim(1, mean.index.max())
    style.names_of_axes(grid, "step", "gate (fraction open)")
    _panels.legend(figure, {wording.words(gate): looks[gate].color for gate in gates})
    return figure


def _finding(panels: list[Panel]) -> str:
    """Say which gate is widest open and which least, and how often gates are saturated."""
    means = {
        (panel.name, gate): float(np.median(panel.values(gate + MEAN)))
        for panel in panels
        for gate in _gates(panel)
        if len(panel.values(gate + MEAN))
    }
    if not means:
        return "No mean of a gate was measured."
    most, least = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    text = f"Widest open is the {wording.words(most[1])} gate of {most[0]}, {means[most]:.2f} on average; "
    text += f"least the {wording.words(least[1])} gate of {least[0]}, {means[least]:.2f}."
    saturated = {(p.name, g): _saturated(p, g) for p in panels for g in _gates(p)}
    top = max(saturated, key=saturated.__getitem__)
    if saturated[top] < 0.01:
        return f"{text} No gate is below 0.1 or above 0.9 more than 1 % of the time."
    share = f"{100 * saturated[top]:.0f} %"
    return f"{text} The {wording.words(top[1])} gate of {top[0]} is below 0.1 or above 0.9 for {share} of the time."


def _saturated(panel: Panel, gate: str) -> float:
    sides = [panel.curve(f"{gate}{GATE}_{side}_saturated") for side in ("left", "right")]
    return float(sum(side.mean() for side in sides if len(side)))
