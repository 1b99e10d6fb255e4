"""What k steps back do to every direction: the singular values of the product of Jacobians."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from rnnbench.report import style, wording
from rnnbench.report.figures import _panels
from rnnbench.report.figures._panels import DECADES_PER_NAT, Panel
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups

LARGEST, MEDIAN, SMALLEST = (f"log_{which}_singular_value" for which in ("largest", "median", "smallest"))
LINES = {LARGEST: ("largest", "#d55e00"), MEDIAN: ("median", style.INK), SMALLEST: ("smallest", "#0072b2")}


class JacobianProducts(Plot):
    """Largest, median and smallest singular value of the product of Jacobians by lag, with their bounds."""

    name = "jacobian_products"
    title = "Singular values of Jacobian products"
    probe = "jacobian_products"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per kind of input data."""
        drawings = []
        for where, part in groups(rows.quantity(LARGEST), ["data"]):
            panels, held = _panels.split(rows, part)
            if all(len(panel.curve(LARGEST)) for panel in panels):
                drawings.append(self._drawing(where, panels, part, held))
        return drawings

    def _drawing(
        self, where: Mapping[str, Any], panels: list[Panel], part: pd.DataFrame, held: Mapping[str, Any]
    ) -> Drawing:
        data, finding = wording.setting(where), _finding(panels)
        reading = "Of P = J_T ... J_{T−k+1}, all states by all states. Dotted: the product of the norms of the J_t."
        if any(len(panel.curve("log_theory")) for panel in panels):
            reading += " Dashed: (γ σ_max(W_hh))ᵏ with γ = 1, which the largest never passes."
        return Drawing(
            name="-".join(filter(None, [self.name, data])),
            title=f"{self.title}, {data}" if data else self.title,
            finding=finding,
            reading=f"{reading} {_panels.over_seeds(part, held)}",
            alternative=f"Line charts of three singular values against lag on a logarithmic scale. {finding}",
            paint=partial(_paint, panels),
        )


def _paint(panels: list[Panel]) -> Figure:
    figure, grid = style.panels(len(panels), sharex=True, sharey=True)
    low, high = _panels.limits_in_decades([p.curve(name, DECADES_PER_NAT) for p in panels for name in LINES])
    for axes, panel in zip(grid[:, 0], panels, strict=True):
        axes.set_ylim(low, high)
        axes.set_title(panel.title)
        style.decades(axes)
        for name, (_, color) in LINES.items():
            curve = panel.curve(name, DECADES_PER_NAT)
            axes.plot(curve.index, curve, color=color)
        for name, look in (("log_theory", style.REFERENCE), ("log_trajectory_bound", style.LIMIT)):
            curve = panel.curve(name, DECADES_PER_NAT)
            axes.plot(curve.index, curve, **look)
        axes.set_xlim(0, panel.curve(LARGEST).index.max())
        _panels.float32_line(axes, _panels.FLOAT32_SMALLEST_NORMAL, "smallest normal float32")
    style.names_of_axes(grid, "lag (steps)", "singular value (ratio)")
    dashed = "(γ σ_max)ᵏ" if any(len(panel.curve("log_theory")) for panel in panels) else ""
    _panels.legend(figure, dict(LINES.values()), dashed, "∏ ‖J_t‖")
    return figure


def _finding(panels: list[Panel]) -> str:
    """Say how far apart directions come, and where one of them is kept."""
    lag = int(min(panel.curve(LARGEST).index.max() for panel in panels))
    largest = {panel.name: float(panel.curve(LARGEST, DECADES_PER_NAT)[lag]) for panel in panels}
    most, least = max(largest, key=largest.__getitem__), min(largest, key=largest.__getitem__)
    text = f"Over {lag} steps the direction that is kept best is multiplied by "
    text += f"{wording.power_of_ten(largest[most])} in {most}"
    text += f" and by {wording.power_of_ten(largest[least])} in {least}." if least != most else "."
    conditions = {p.name: p.curve("log_condition", DECADES_PER_NAT) for p in panels}
    spread = {name: float(curve[lag]) for name, curve in conditions.items() if lag in curve.index}
    if not spread:
        return text
    worst = max(spread, key=spread.__getitem__)
    return f"{text} Largest over smallest reaches {wording.power_of_ten(spread[worst])}, in {worst}."
