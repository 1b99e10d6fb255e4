"""What a step forward is made of: its input product, its recurrent product and its elements, by shape."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rnnbench.report import style, wording
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups, hold

PARTS = {
    "floor": ("recurrent product, at least", "#0072b2"),
    "above": ("recurrent product, above that", "#8cc3e6"),
    "input": ("input product", "#d8d4c8"),
    "elements": ("gates and states", "#e69f00"),
}
TIMES = ("product_time", "product_floor", "input_time", "element_time", "call_time")
ROW_INCHES = 0.19


class StepProfile(Plot):
    """Shares of a step's time, one bar a shape and cell, with the time of a step and of a call beside it."""

    name = "step_profile"
    title = "Where the time of a step goes"
    probe = "step_profile"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per floating-point type and number of threads."""
        frame = rows.wide()
        if not {"step_time", *TIMES} <= set(frame):
            return []
        drawings = []
        for where, part in groups(frame, [name for name in ("dtype", "threads") if name in rows.varying(frame)]):
            names = rows.varying(part, besides=("cell", "batch", "hidden", "length", "repeats", "dtype", "threads"))
            shown, held = hold(part, names)
            drawings.append(self._drawing(where, shares(shown), held))
        return drawings

    def _drawing(self, where: Mapping[str, Any], bars: pd.DataFrame, held: Mapping[str, Any]) -> Drawing:
        kind, finding = wording.setting(where), _finding(bars)
        reading = "Bars: shares of the time of one step forward, nothing kept for backward, as differences to the same "
        reading += "layer without that part. Dark: the least that the recurrent product could take, its arithmetic at "
        reading += (
            "the rate of a large matrix product or one reading of its weights. At the right: the time of a step, "
        )
        reading += "and what a call costs besides, in steps. "
        reading += f"Shown at {wording.setting(held)}; the table has the other settings." if held else ""
        return Drawing(
            name="-".join(filter(None, [self.name, wording.slug(kind)])),
            title=f"{self.title}, {kind}" if kind else self.title,
            finding=finding,
            reading=reading.strip(),
            alternative=f"Stacked bars of the shares of a step's time, one bar a shape and cell. {finding}",
            paint=partial(_paint, bars),
        )


def shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a cell and shape: the shares of PARTS, the step's time in seconds, and calls in steps."""
    medians = frame.groupby(["cell", "batch", "hidden"], sort=False).median(numeric_only=True).reset_index()
    product, step = medians["product_time"].clip(lower=0.0), medians["step_time"]
    floor = np.minimum(medians["product_floor"], product)
    parts = {
        "floor": floor,
        "above": product - floor,
        "input": medians["input_time"].clip(lower=0.0),
        "elements": medians["element_time"].clip(lower=0.0),
    }
    total = sum(parts.values(), start=pd.Series(0.0, medians.index))
    return medians.assign(**{name: value / total for name, value in parts.items()}, calls=medians["call_time"] / step)


def _paint(bars: pd.DataFrame) -> Figure:
    cells = [str(values["cell"]) for values, _ in groups(bars, ["cell"])]
    counts = [int((bars["cell"] == cell).sum()) for cell in cells]
    figure, grid = style.panels(
        len(cells), height=ROW_INCHES * max(counts) + 0.45, sharex=True, gridspec_kw={"height_ratios": counts}
    )
    for axes, cell in zip(grid[:, 0], cells, strict=True):
        own = bars[bars["cell"] == cell].sort_values(["batch", "hidden"], ascending=False).reset_index(drop=True)
        left = np.zeros(len(own))
        for name, (_, color) in PARTS.items():
            axes.barh(own.index, own[name], left=left, color=color, height=0.8)
            left += own[name].to_numpy()
        axes.set_title(wording.cell_label(cell))
        axes.set_yticks(own.index, [f"B {b}, H {h}" for b, h in zip(own["batch"], own["hidden"], strict=True)])
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0.0, 1.0)
        axes.set_xticks([0.0, 0.25, 0.5, 0.75, 1.0], ["0", "25", "50", "75", "100"])
        for place, bar in own.iterrows():
            text = f"{wording.significant(1e6 * bar['step_time'], 2)} µs, call {wording.significant(bar['calls'], 2)}"
            axes.text(1.02, place, text, va="center", transform=axes.get_yaxis_transform(), color=style.MUTED)
    grid[-1, 0].set_xlabel("share of the time of a step (%)")
    handles = [Patch(color=color, label=label) for label, color in PARTS.values()]
    figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure


def _finding(bars: pd.DataFrame) -> str:
    product = bars["floor"] + bars["above"]
    needed = bars["floor"] / product.where(product > 0)
    longest = bars.sort_values("calls").iloc[-1]
    return (
        f"The recurrent product takes {_percents(product)} of a step; {_percents(needed)} of that is what the machine "
        f"needs at least. Gates and states take {_percents(bars['elements'])}. A call costs as much as "
        f"{wording.significant(longest['calls'], 2)} steps at B {longest['batch']}, H {longest['hidden']} "
        f"({wording.cell_label(str(longest['cell']))}), {wording.significant(bars['calls'].min(), 2)} at the least."
    )


def _percents(values: pd.Series) -> str:
    low, high = (wording.significant(100 * value, 2) for value in (values.min(), values.max()))
    return f"{low} to {high} %" if low != high else f"{low} %"
