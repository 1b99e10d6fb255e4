"""A panel for each cell and setting: what figures share that show several quantities of one trial together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnbench.report import ranking, style, wording
from rnnbench.report.rows import Rows, groups, hold, seed_count

DECADES_PER_NAT = 1 / np.log(10)
FLOAT32_EPSILON = float(np.log10(np.finfo(np.float32).eps))
FLOAT32_SMALLEST_NORMAL = float(np.log10(np.finfo(np.float32).smallest_normal))
LOWEST_DECADE = -45.0
"""Below float32's smallest normal number (10⁻³⁸) float32 loses a gradient: no need to draw it."""
MOST_PANELS = 6


@dataclass(frozen=True)
class Panel:
    """One cell in one setting, over its seeds."""

    cell: str
    label: str
    """The setting in words; "" where the cell has one alone."""
    measurements: pd.DataFrame
    """All rows of its trials."""

    @property
    def name(self) -> str:
        """The cell and its setting, as a sentence calls them."""
        return ranking.name(self.cell, self.label)

    @property
    def title(self) -> str:
        """The cell and its setting, as a heading."""
        return ", ".join(filter(None, [wording.cell_label(self.cell), self.label]))

    def quantities(self) -> list[str]:
        """Return the names of what was measured."""
        return list(self.measurements["quantity"].unique())

    def values(self, quantity: str) -> np.ndarray:
        """Return the finite values of a quantity that has one a trial."""
        found = self.measurements.loc[self.measurements["quantity"] == quantity, "value"].to_numpy(dtype=float)
        return found[np.isfinite(found)]

    def curve(self, quantity: str, scale: float = 1.0) -> pd.Series:
        """Return the median over seeds by index, of finite values, times `scale`; empty where it was not measured."""
        own = self.measurements[self.measurements["quantity"] == quantity]
        return own[np.isfinite(own["value"])].groupby("index")["value"].median() * scale


def split(
    rows: Rows, frame: pd.DataFrame, besides: Sequence[str] = (), most: int = MOST_PANELS
) -> tuple[list[Panel], dict[str, Any]]:
    """Return a panel for each cell and setting, and the parameters that are held to have few panels.

    Whole parameters are given up, the last first, until the panels are few enough to be read.
    """
    names, held = rows.varying(frame, besides=("data", *besides)), dict[str, Any]()
    while names and len(list(groups(frame, ["cell", *names]))) > most:
        frame, more = hold(frame, [names.pop()])
        held |= more
    panels = []
    for values, of_cell in groups(frame, ["cell"]):
        own = [name for name in rows.varying(of_cell) if name in names]
        for setting, part in groups(of_cell, own):
            measurements = rows.measurements[rows.measurements["key"].isin(part["key"])]
            panels.append(Panel(str(values.get("cell", "")), wording.setting(setting), measurements))
    return panels, held


def limits_in_decades(curves: Sequence[pd.Series]) -> tuple[float, float]:
    """Return vertical limits that show every curve, down to where float32 ends."""
    values = pd.concat(list(curves))
    low, high = max(float(values.min()), LOWEST_DECADE), max(float(values.max()), 0.0)
    margin = 0.04 * (high - low) + 0.1
    return low - margin, high + margin


def float32_line(axes: Axes, height: float, text: str) -> None:
    """Draw where float32 ends, if the panel reaches that far."""
    if axes.get_ylim()[0] < height:
        axes.axhline(height, color=style.MUTED, linewidth=0.7, linestyle=":")
        style.label_line(axes, height, text)


def legend(figure: Figure, names: Mapping[str, str], dashed: str = "", dotted: str = "") -> None:
    """Explain above the panels which colour is which, and what the dashed and dotted lines are."""
    handles = [Line2D([], [], color=color, label=name) for name, color in names.items()]
    handles += [Line2D([], [], **style.REFERENCE, label=dashed)] if dashed else []
    handles += [Line2D([], [], **style.LIMIT, label=dotted)] if dotted else []
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 4))


def over_seeds(frame: pd.DataFrame, held: Mapping[str, Any]) -> str:
    """Return how lines come about, and at what the other parameters are held."""
    seeds = seed_count(frame)
    text = f"Lines: medians over {seeds} seeds." if seeds > 1 else "One seed."
    return f"{text} Shown at {wording.setting(held)}." if wording.setting(held) else text
