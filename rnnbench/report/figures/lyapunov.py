"""All Lyapunov exponents of a layer in descending order: which share of directions grows, lasts or dies."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnbench.report import ranking, style, wording
from rnnbench.report.figures import _panels
from rnnbench.report.figures._panels import Panel
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups
from rnnbench.report.tables import Column, Table

LOWEST_SHOWN = -4.0
"""Nats a step: a direction that loses so much in one is gone."""
EDGE = 1e-6
"""Nats a step: an exponent as near to 0 as this is 0 but for rounding."""
MOST_CURVES = 24


class Lyapunov(Plot):
    """Exponents against their place in the spectrum, a panel a cell, a shade a setting, eigenvalues dashed."""

    name = "lyapunov"
    title = "Lyapunov spectrum"
    probe = "lyapunov"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per kind of input data."""
        drawings = []
        for where, part in groups(rows.quantity("lyapunov_exponent"), ["data"]):
            curves, held = _panels.split(rows, part, most=MOST_CURVES)
            if all(len(curve.curve("lyapunov_exponent")) for curve in curves):
                drawings.append(self._drawing(rows, where, curves, part, held))
        return drawings

    def _drawing(
        self,
        rows: Rows,
        where: Mapping[str, Any],
        curves: list[Panel],
        part: pd.DataFrame,
        held: Mapping[str, Any],
    ) -> Drawing:
        data, finding = wording.setting(where), _finding(curves) + _panels.learned(rows, part)
        reading = f"{_panels.over_seeds(part, held)} Above 0 a direction grows and gradients explode along it."
        if any(len(curve.curve("log_eigenvalue")) for curve in curves):
            reading += " Dashed: ln |eigenvalue| of W_hh, what the spectrum is where the slope is 1 everywhere."
        return Drawing(
            name="-".join(filter(None, [self.name, data])),
            title=f"{self.title}, {data}" if data else self.title,
            finding=finding,
            reading=reading,
            alternative=f"Line charts of Lyapunov exponents in descending order, a panel a cell. {finding}",
            paint=partial(_paint, curves),
        )

    def tables(self, rows: Rows) -> list[Table]:
        """Return the largest and the mean exponent of every setting."""
        columns = [Column("cell and setting", numeric=False), Column("largest exponent, median", "nat/step")]
        columns += [Column("lowest to highest", "nat/step"), Column("mean exponent", "nat/step")]
        tables = []
        for where, part in groups(rows.quantity("largest_exponent"), ["data"]):
            body = [
                [
                    curve.name,
                    wording.significant(float(np.median(curve.values("largest_exponent")))),
                    wording.span(curve.values("largest_exponent")),
                    wording.significant(float(np.median(values))) if len(values) else wording.MISSING,
                ]
                for curve in _panels.split(rows, part, most=1000)[0]
                if len(curve.values("largest_exponent"))
                for values in [curve.values("mean_exponent")]
            ]
            data = wording.setting(where)
            tables.append(Table(f"Lyapunov exponents{f' on {data}' if data else ''}.", columns, body))
        return tables


def _paint(curves: list[Panel]) -> Figure:
    cells = list(dict.fromkeys(curve.cell for curve in curves))
    marks = style.marks(cells)
    figure, grid = style.panels(len(cells), sharex=True, sharey=True)
    values = pd.concat([curve.curve("lyapunov_exponent") for curve in curves])
    low, high = max(float(values.min()), LOWEST_SHOWN), max(float(values.max()), 0.0)
    margin = 0.05 * (high - low) + 0.01
    for axes, cell in zip(grid[:, 0], cells, strict=True):
        own = [curve for curve in curves if curve.cell == cell]
        colors = style.shades(marks[cell].color, len(own))
        axes.set_ylim(low - margin, high + margin)
        axes.set_xlim(0, 1)
        axes.set_title(wording.cell_label(cell))
        axes.axhline(0, color=style.MUTED, linewidth=0.8)
        ends = []
        for curve, color in zip(own, colors, strict=True):
            spectrum, eigenvalues = curve.curve("lyapunov_exponent"), curve.curve("log_eigenvalue")
            axes.plot(_places(spectrum), spectrum, color=color, label="exponents")
            axes.plot(_places(eigenvalues), eigenvalues, **{**style.REFERENCE, "color": color}, label="eigenvalues")
            ends.append((float(spectrum.iloc[-1]), wording.wrapped(curve.label), color))
        style.label_ends(axes, [end for end in ends if end[1]])
    style.names_of_axes(grid, "place in the spectrum (fraction)", "exponent (nat/step)")
    dashed = "ln |eigenvalue of W_hh|" if any(len(curve.curve("log_eigenvalue")) for curve in curves) else ""
    _panels.legend(figure, {"exponents": style.INK}, dashed)
    return figure


def _places(spectrum: pd.Series) -> np.ndarray:
    """Return where in the spectrum its exponents lie, from 0 to 1."""
    return (np.arange(len(spectrum)) + 0.5) / max(1, len(spectrum))


def _finding(curves: list[Panel]) -> str:
    """Say which setting has the largest exponent, and where gradients explode, neither grow nor vanish, or vanish."""
    largest = {curve.name: np.array([float(curve.curve("lyapunov_exponent").max())]) for curve in curves}
    seeds = {curve.name: curve.values("largest_exponent") for curve in curves}
    known = {name: values for name, values in seeds.items() if len(values)} or largest
    top, bottom = ranking.highest(known), ranking.lowest(known)
    text = f"The largest exponent is highest in {wording.listing(top)}, {_median(top)} nat a step"
    text += f", and lowest in {wording.listing(bottom)}, {_median(bottom)}." if not set(top) & set(bottom) else "."
    medians = {name: float(np.median(values)) for name, values in known.items()}
    growing = [name for name, value in medians.items() if value > EDGE]
    lasting = [name for name, value in medians.items() if abs(value) <= EDGE]
    if growing:
        text += f" Above 0, where gradients explode: {wording.listing(growing)}."
    if lasting:
        text += f" At 0, where a direction neither grows nor vanishes: {wording.listing(lasting)}."
    if not growing and not lasting:
        text += " All are below 0: every gradient vanishes in the end."
    return text


def _median(entries: Mapping[str, np.ndarray]) -> str:
    return wording.significant(float(np.median(np.concatenate(list(entries.values())))), 2)
