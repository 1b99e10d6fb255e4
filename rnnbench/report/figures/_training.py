"""Curves over training steps: what training_score and training_gradient have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from rnnbench.report import style, wording
from rnnbench.report.rows import Rows, groups, hold, settings

MOST_PANELS = 6
FEWEST_SEEDS = 3
"""Of fewer seeds no median is drawn."""


def split(rows: Rows, frame: pd.DataFrame) -> tuple[list[tuple[dict[str, Any], pd.DataFrame]], dict[str, Any]]:
    """Return (setting, rows) for each panel of one task, and the parameters that are held to have few panels.

    Whole parameters are given up, the last first, until the panels are few enough to be read.
    """
    names = sorted(rows.varying(frame, besides=("task",)), key=lambda name: name != "length")
    held: dict[str, Any] = {}
    while len(settings(frame, names)) > MOST_PANELS:
        frame, more = hold(frame, [names.pop()])
        held |= more
    return settings(frame, names), held


def where(found: Sequence[Mapping[str, Any]]) -> str:
    """Return what panels differ in: "length 25 to 100"."""
    parts = []
    for name in dict.fromkeys(name for setting in found for name in setting):
        values = list(dict.fromkeys(setting[name] for setting in found if not pd.isna(setting.get(name))))
        if len(values) < 2:
            continue
        texts = list(map(wording.value_text, values))
        between = wording.listing(texts) if any(isinstance(v, str) for v in values) else f"{texts[0]} to {texts[-1]}"
        parts.append(f"{wording.words(name)} {between}")
    return ", ".join(parts)


def by_cell(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the finite rows of each cell that has any."""
    finite = frame[np.isfinite(frame["value"])]
    return [(str(values.get("cell", "")), part) for values, part in groups(finite, ["cell"])]


def median_while_all_train(part: pd.DataFrame) -> pd.Series:
    """Return the median over seeds by step, up to where the first of them stops.

    Training stops when a task is solved: beyond that, a median would be one of the seeds that are slower.
    """
    steps = part["index"].astype(float)
    first_end = steps.groupby(part["key"]).max().min()
    return part[steps <= first_end].groupby("index")["value"].median()


def paint_curve(axes: Axes, part: pd.DataFrame, mark: style.Mark, window: int = 1) -> None:
    """Draw the seeds of one cell thin and their median thick, a running one over `window` records.

    Of one or two seeds each is drawn thick: their median would be a curve that none of them went.
    """
    seeds = [seed.set_index("index")["value"] for _, seed in part.groupby("key")]
    thick, name = seeds, "each seed"
    if len(seeds) >= FEWEST_SEEDS or window > 1:
        thick = [median_while_all_train(part).rolling(window, center=True, min_periods=1).median()]
        name = "median of seeds"
        for seed in seeds:
            axes.plot(seed.index.astype(float), seed, color=mark.color, linewidth=0.7, alpha=0.45, label="each seed")
    for curve in thick:
        steps, every = curve.index.astype(float), max(1, len(curve) // 8)
        axes.plot(steps, curve, color=mark.color, label=name)
        axes.plot(steps[::every], curve[::every], mark.marker, color=mark.color, markersize=4, clip_on=False)


def label_curves(axes: Axes, frame: pd.DataFrame, marks: Mapping[str, style.Mark], lines: Mapping[str, float]) -> None:
    """Name each cell where its last seed ends, and the reference lines right of the panel."""
    right = axes.get_xlim()[1]
    early, late = [], [(height, text, style.MUTED) for text, height in lines.items()]
    for cell, part in by_cell(frame):
        last = part[part["index"] == part["index"].max()]
        step, height, color = float(last["index"].iloc[0]), float(last["value"].median()), marks[cell].color
        if step < 0.85 * right:
            early.append((step, height, wording.cell_label(cell), color))
        else:
            late.append((height, wording.cell_label(cell), color))
    style.label_points(axes, early)
    style.label_ends(axes, late)
