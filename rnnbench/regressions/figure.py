"""The comparison as a forest plot: one line a point, its ratio with the interval, the threshold as a band."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from rnnbench.errors import InputError
from rnnbench.regressions.compare import Comparison
from rnnbench.regressions.statistics import CANNOT_TELL, FASTER, SAME, SLOWER
from rnnbench.report import style, wording
from rnnbench.report.files import PNG_DOTS_PER_INCH
from rnnbench.sweeps.folder import replacing

FORMATS = ("svg", "pdf", "png")
MOST_POINTS = 60
"""More lines than this make no figure that can be read; those farthest from 1 are drawn."""

# Shape and colour say the same, so that either can be missed.
_LOOKS = {
    SLOWER: style.Mark("#d55e00", ">"),
    FASTER: style.Mark("#0072b2", "<"),
    SAME: style.Mark(style.INK, "o"),
    CANNOT_TELL: style.Mark(style.MUTED, "o"),
}


def write(comparison: Comparison, path: Path) -> None:
    """Write the forest plot to a file, whole or not at all; its suffix says the format. InputError without a ratio."""
    if comparison.points["ratio"].isna().all():
        raise InputError(f"{path}: the runs have no time in common that could be drawn")
    title = f"{comparison.path_b} over {comparison.path_a}"
    metadata: dict[str, dict[str, str | None]] = {
        "svg": {"Title": title, "Creator": "rnnbench", "Date": None},
        "pdf": {"Title": title, "Creator": "rnnbench", "CreationDate": None},
        "png": {"Title": title, "Software": "rnnbench"},
    }
    file_format, buffer = path.suffix.removeprefix(".").lower(), io.BytesIO()
    with style.context():
        figure = draw(comparison)
        figure.savefig(buffer, format=file_format, metadata=metadata[file_format], dpi=PNG_DOTS_PER_INCH)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def draw(comparison: Comparison) -> Figure:
    """Return the figure; call it within `style.context`."""
    points = comparison.points.dropna(subset=["ratio"])
    farthest = np.log(points["ratio"]).abs().sort_values(ascending=False, kind="stable").index[:MOST_POINTS]
    shown = points.loc[points.index.isin(farthest)]
    labels = _labels(comparison, shown)
    lines_high = np.array([1.0 + 0.85 * label.count("\n") for label in labels])
    heights = np.cumsum(lines_high) - lines_high / 2
    figure, grid = style.panels(1, height=0.215 * lines_high.sum() + 0.45)
    axes = grid[0, 0]
    bound = 1.0 + comparison.threshold
    axes.axvspan(1.0 / bound, bound, color=style.GRID, linewidth=0, zorder=0)
    axes.axvline(1.0, color=style.MUTED, linewidth=0.8)
    for height, row in zip(heights, shown.to_dict("records"), strict=True):
        _paint_point(axes, float(height), row)
    axes.set_xscale("log")
    axes.set_yticks(heights, labels)
    axes.set_ylim(lines_high.sum() + 0.2, -0.2)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    left_out = f"\n{len(shown)} of {len(points)} points, the farthest from 1" if len(shown) < len(points) else ""
    axes.set_xlabel(f"time in B / time in A, with 95 % intervals{left_out}")
    _ratio_ticks(axes)
    figure.legend(handles=_handles(comparison, shown), loc="outside upper left", ncols=5)
    style.sign(figure, f"A {comparison.path_a} · B {comparison.path_b}")
    return figure


def _labels(comparison: Comparison, shown: pd.DataFrame) -> list[str]:
    """Return what tells each point from the others, broken into lines."""
    kinds = [name for name in ("probe", "quantity") if comparison.points[name].nunique() > 1]
    names = [*kinds, *comparison.varying] or ["probe"]
    return [wording.wrapped(wording.setting({name: row[name] for name in names})) for row in shown.to_dict("records")]


def _paint_point(axes: Axes, height: float, row: Mapping[Any, Any]) -> None:
    look = _LOOKS[row["verdict"]]
    filled = look.color if row["verdict"] != CANNOT_TELL else "white"
    axes.hlines(height, row["ratio_low"], row["ratio_high"], color=look.color, linewidth=1.2)  # NaN draws nothing
    axes.plot(row["ratio"], height, look.marker, color=look.color, markerfacecolor=filled)


def _ratio_ticks(axes: Axes) -> None:
    """Label the ratios: at round numbers where they span less than a factor 4, where decades would leave one tick."""
    low, high = axes.get_xlim()
    if high > 4 * low:
        style.log_ticks(axes.xaxis)
        return
    axes.xaxis.set_major_locator(FixedLocator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(low, high)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.4g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(low, high)


def _handles(comparison: Comparison, shown: pd.DataFrame) -> list[Line2D | Patch]:
    """Explain the verdicts that occur, and the band."""
    handles: list[Line2D | Patch] = []
    for verdict, look in _LOOKS.items():
        if (shown["verdict"] == verdict).any():
            filled = look.color if verdict != CANNOT_TELL else "white"
            options: dict[str, Any] = {"color": look.color, "marker": look.marker, "markerfacecolor": filled}
            handles.append(Line2D([], [], **options, linewidth=1.2, label=verdict))
    return [*handles, Patch(color=style.GRID, label=f"±{100 * comparison.threshold:g} %")]
