"""How far back the gradient of each parameter comes from: the share of every step in it, by lag."""

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

SHARE, COUNT = "log_gradient_share_", "steps_that_count_"


class ParameterGradient(Plot):
    """Norm of each step's share over that of the whole gradient, a line a parameter, a panel a cell and setting."""

    name = "parameter_gradient"
    title = "Shares of steps in the gradient by each parameter"
    probe = "parameter_gradient"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per kind of input data."""
        drawings = []
        for where, part in groups(rows.quantity(f"{SHARE}W_hh"), ["data"]):
            panels, held = _panels.split(rows, part)
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
            reading=f"The loss is at the last step only. {_panels.over_seeds(part, held)} What is below the resolution "
            "of float32 changes nothing in a sum computed in float32.",
            alternative=f"Line charts of the share of each step in a parameter's gradient, by lag. {finding}",
            paint=partial(_paint, panels),
        )


def _parameters(panels: list[Panel]) -> list[str]:
    names = dict.fromkeys(name for panel in panels for name in panel.quantities() if name.startswith(SHARE))
    return [name.removeprefix(SHARE) for name in names]


def _paint(panels: list[Panel]) -> Figure:
    figure, grid = style.panels(len(panels), sharex=True, sharey=True)
    parameters = _parameters(panels)
    looks = style.marks(parameters)
    curves = [panel.curve(SHARE + name, DECADES_PER_NAT) for panel in panels for name in parameters]
    curves = [curve for curve in curves if len(curve)]
    low, high = _panels.limits_in_decades(curves)
    for axes, panel in zip(grid[:, 0], panels, strict=True):
        axes.set_ylim(low, high)
        axes.set_title(panel.title)
        style.decades(axes)
        for name in parameters:
            curve = panel.curve(SHARE + name, DECADES_PER_NAT)
            axes.plot(curve.index, curve, color=looks[name].color)
        axes.set_xlim(0, max(curve.index.max() for curve in curves))
        _panels.float32_line(axes, _panels.FLOAT32_EPSILON, "resolution of float32")
    style.names_of_axes(grid, "lag (steps back from the loss)", "share of the gradient (ratio)")
    _panels.legend(figure, {name: looks[name].color for name in parameters})
    return figure


def _finding(panels: list[Panel]) -> str:
    """Say over how many steps the gradient by W_hh is made, and where that is the same for all parameters."""
    counts = {panel.name: panel.values(f"{COUNT}W_hh") for panel in panels}
    steps = {name: float(np.median(values)) for name, values in counts.items() if len(values)}
    if not steps:
        return "How many steps count was not measured."
    most, least = max(steps, key=steps.__getitem__), min(steps, key=steps.__getitem__)
    text = f"All but 1 % of the gradient by W_hh comes from the last {_steps(steps[least])} in {least}"
    return f"{text} and from the last {_steps(steps[most])} in {most}." if most != least else f"{text}."


def _steps(number: float) -> str:
    return wording.count(round(number), "step")
