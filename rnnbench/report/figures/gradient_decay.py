"""How the gradient of a loss at the last step fades, or grows, on its way back through the sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rnnbench.report import ranking, style, wording
from rnnbench.report.figures._panels import (
    DECADES_PER_NAT,
    FLOAT32_SMALLEST_NORMAL,
    KEPT,
    LOWEST_DECADE,
    float32_line,
    label,
    learned,
    limits_in_decades,
)
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups, hold, seed_count

CONDITIONS = KEPT
_THEORY = (
    (("rnn",), "the upper bound (γ σ_max(W_hh))ᵏ"),
    (("lstm", "gru"), "the path through the gate that keeps the state alone, σ(its bias)ᵏ"),
)


@dataclass(frozen=True)
class Curve:
    """One cell in one setting, over its seeds: rows of log-norm and theory in nats."""

    cell: str
    label: str
    norms: pd.DataFrame
    lower: pd.Series
    upper: pd.Series
    theory: pd.Series

    @cached_property
    def median(self) -> pd.Series:
        """Median over seeds, in decades, by lag."""
        return _by_lag(self.norms)


class GradientDecay(Plot):
    """Median log-gradient-norm against lag, a panel a cell, a shade a setting, the theory dashed."""

    name = "gradient_decay"
    title = "Gradient norm against lag"
    probe = "gradient_decay"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per kind of input data."""
        norms = rows.quantity("log_gradient_norm")
        drawings = []
        for where, part in groups(norms, ["data"]):
            shown, held = hold(part, rows.varying(part, besides=("cell", "data", *CONDITIONS)))
            curves = _curves(rows, shown)
            if curves:
                drawings.append(self._drawing(where, curves, held, shown, learned(rows, shown)))
        return drawings

    def _drawing(
        self,
        where: Mapping[str, Any],
        curves: list[Curve],
        held: Mapping[str, Any],
        shown: pd.DataFrame,
        training: str,
    ) -> Drawing:
        data, seeds = wording.setting(where), seed_count(shown)
        title = f"{self.title}, {data}" if data else self.title
        finding = _finding(curves, data, seeds) + training
        return Drawing(
            name="-".join(filter(None, [self.name, data])),
            title=title,
            finding=finding,
            reading=_reading(curves, held, seeds),
            alternative=f"Line chart of the gradient norm against lag on a logarithmic scale. {finding}",
            paint=partial(_paint, curves),
        )


def _curves(rows: Rows, norms: pd.DataFrame) -> list[Curve]:
    """Split the rows into one curve per cell and setting."""
    names = ("log_gradient_norm_lower_quartile", "log_gradient_norm_upper_quartile", "log_theory")
    quantities = [rows.quantity(name) for name in names]
    curves = []
    for values, of_cell in groups(norms, ["cell"]):
        conditions = [name for name in rows.varying(of_cell) if name in CONDITIONS]
        for setting, part in groups(of_cell, conditions):
            others = [_by_lag(frame[frame["key"].isin(part["key"])]) for frame in quantities]
            curves.append(Curve(str(values.get("cell", "")), label(setting), part, *others))
    return [curve for curve in curves if len(curve.median)]


def _by_lag(frame: pd.DataFrame) -> pd.Series:
    """Median over seeds at each lag, in decades."""
    finite = frame[np.isfinite(frame["value"])]
    return finite.groupby("index")["value"].median() * DECADES_PER_NAT


def _paint(curves: list[Curve]) -> Figure:
    cells = list(dict.fromkeys(curve.cell for curve in curves))
    marks = style.marks(cells)
    figure, grid = style.panels(len(cells), sharex=True, sharey=True)
    low, high = limits_in_decades([curve.median for curve in curves] + [curve.upper for curve in curves])
    for axes, cell in zip(grid[:, 0], cells, strict=True):
        own = [curve for curve in curves if curve.cell == cell]
        axes.set_ylim(low, high)
        axes.set_title(wording.cell_label(cell))
        style.decades(axes)
        for curve, color in zip(own, style.shades(marks[cell].color, len(own)), strict=True):
            _paint_curve(axes, curve, color)
        axes.set_xlim(0, max(curve.median.index.max() for curve in own))
        shades = style.shades(marks[cell].color, len(own))
        ends = zip(own, shades, strict=True)
        style.label_ends(axes, [(c.median.iloc[-1], wording.wrapped(c.label), color) for c, color in ends if c.label])
        float32_line(axes, FLOAT32_SMALLEST_NORMAL, "smallest normal float32")
    style.names_of_axes(grid, "lag (steps back from the loss)", "gradient norm (ratio)")
    _legend(figure, curves)
    return figure


def _paint_curve(axes: Axes, curve: Curve, color: str) -> None:
    median = curve.median
    if len(curve.lower) and len(curve.upper):
        band = curve.lower.index.intersection(curve.upper.index)
        axes.fill_between(band, curve.lower[band], curve.upper[band], color=color, alpha=0.18, linewidth=0)
    for _, seed in curve.norms.groupby("key"):
        axes.plot(
            seed["index"], seed["value"] * DECADES_PER_NAT, color=color, linewidth=0.5, alpha=0.5, label="each seed"
        )
    axes.plot(median.index, median, color=color, label="median over seeds")
    if len(curve.theory):
        axes.plot(curve.theory.index, curve.theory, **{**style.REFERENCE, "color": color}, label="theory")


def _legend(figure: Figure, curves: list[Curve]) -> None:
    handles: list[Any] = [Line2D([], [], color=style.INK, label="median over seeds")]
    if any(len(curve.lower) for curve in curves):
        handles.append(Patch(color=style.INK, alpha=0.18, linewidth=0, label="quartiles of samples"))
    if any(len(curve.theory) for curve in curves):
        handles.append(Line2D([], [], **style.REFERENCE, label="theory"))
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))


def _finding(curves: list[Curve], data: str, seeds: int) -> str:
    lag = int(min(curve.median.index.max() for curve in curves))
    ends = {ranking.name(curve.cell, curve.label): _ends(curve, lag) for curve in curves}
    ends = {name: decades for name, decades in ends.items() if len(decades)}
    if not ends:
        return f"No gradient norm is finite {lag} steps back from the loss."
    least, most = ranking.lowest(ends), ranking.highest(ends)
    place = f"On {data} the" if data else "The"
    over = f"medians over {seeds} seeds" if seeds > 1 else "one seed"
    if _median(least) >= 0:
        return f"{place} gradient grows most in {_names(most)}: {_amount(most)}-fold over {lag} steps ({over})."
    fastest = "vanishes fastest in" if len(least) < len(ends) else "vanishes in"
    text = f"{place} gradient {fastest} {_names(least)}: after {lag} steps {_amount(least)} of its norm is left"
    if len(least) == len(ends) or set(least) & set(most):
        return f"{text} ({over})."
    if _median(most) >= 0:
        return f"{text}. In {_names(most)} it does not vanish but grows {_amount(most)}-fold ({over})."
    return f"{text}. It lasts longest in {_names(most)}, where {_amount(most)} is left ({over})."


def _ends(curve: Curve, lag: int) -> np.ndarray:
    """Return the finite log-norms of the seeds at a lag, in decades."""
    values = curve.norms.loc[curve.norms["index"] == lag, "value"].to_numpy(dtype=float) * DECADES_PER_NAT
    return values[np.isfinite(values)]


def _median(entries: Mapping[str, np.ndarray]) -> float:
    return float(np.median(np.concatenate(list(entries.values()))))


def _names(entries: Mapping[str, np.ndarray]) -> str:
    return wording.listing(entries)


def _amount(entries: Mapping[str, np.ndarray]) -> str:
    medians = sorted(float(np.median(decades)) for decades in entries.values())
    return " to ".join(dict.fromkeys(wording.power_of_ten(decades) for decades in (medians[0], medians[-1])))


def _reading(curves: list[Curve], held: Mapping[str, Any], seeds: int) -> str:
    text = "The loss is at the last step only. Lines: median over the batch"
    text += ", thick for the median over seeds, thin for each seed. " if seeds > 1 else ". "
    if any(len(curve.lower) for curve in curves):
        text += "Bands: quartiles over the samples of a batch. "
    drawn = {curve.cell for curve in curves if len(curve.theory)}
    known = [
        f"for {wording.listing(wording.cell_label(cell) for cell in cells if cell in drawn)} {theory}"
        for cells, theory in _THEORY
        if drawn & set(cells)
    ]
    if known:
        text += f"Dashed, the theory: {'; '.join(known)}. "
    if any(float(curve.median.min()) < LOWEST_DECADE for curve in curves):
        text += "Curves that leave the panel go on falling below what float32 can hold. "
    if held:
        text += f"Shown at {wording.setting(held)}; the table has the other settings. "
    return text.strip()
