"""How speed grows with the number of threads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from rnnbench.report import style, wording
from rnnbench.report.figures._scaling import GEMM_RATES, label_sizes, paint_cell, trial_rates, widest
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups

TICKS = [factor * 2.0**power for power in range(-3, 11) for factor in (1.0, 1.5)]
"""Of the speed-up: 1, 1.5, 2, 3, 4, 6, ..."""


class ThroughputThreads(Plot):
    """Speed against threads, as a multiple of that on the fewest; the machine's own matrix product beside it."""

    name = "throughput_threads"
    title = "Speed-up by threads"
    probe = "throughput"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per floating-point type, where more than one number of threads was timed."""
        frame = trial_rates(rows)
        if "threads" not in rows.varying(frame) or "sequence_step_rate" not in frame:
            return []
        drawings = []
        for where, part in groups(frame, ["dtype"]):
            names = rows.varying(part, besides=("cell", "direction", "dtype", "threads"))
            shown, held = widest(part, names, "threads")
            if shown["threads"].nunique() > 1:
                drawings.append(self._drawing(where, _speed_ups(shown), held))
        return drawings

    def _drawing(self, where: Mapping[str, Any], speeds: pd.DataFrame, held: Mapping[str, Any]) -> Drawing:
        kind, finding = wording.setting(where), _finding(speeds)
        reading = f"Speed over that on {_fewest(speeds)}: medians over the repeats of a trial; bars: their quartiles. "
        reading += "Dotted: as many times as fast as there are threads. "
        if _gemm(speeds):
            reading += f"Dashed: {_label(speeds)}, timed in the same trials on the same threads. "
        reading += f"Shown at {wording.setting(held)}; the table has the other settings." if held else ""
        return Drawing(
            name="-".join(filter(None, [self.name, kind])),
            title=f"{self.title}, {kind}" if kind else self.title,
            finding=finding,
            reading=reading.strip(),
            alternative=f"Line charts of speed-up against threads, one line a cell. {finding}",
            paint=partial(_paint, speeds),
        )


def _speed_ups(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with `speed_up`, its quartiles, and `gemm_speed_up`, over the median on the fewest threads."""
    fewest = frame["threads"].min()
    parts = []
    for _, own in groups(frame, ["direction", "cell"]):
        own, start = own.copy(), own[own["threads"] == fewest].median(numeric_only=True)
        for end in ("", "_lower", "_upper"):
            if f"sequence_step_rate{end}" in own:
                own[f"speed_up{end}"] = own[f"sequence_step_rate{end}"] / start.get("sequence_step_rate", np.nan)
        if gemm := _gemm(own):
            own["gemm_speed_up"] = own[gemm] / start.get(gemm, np.nan)
        parts.append(own)
    return pd.concat(parts)


def _gemm(frame: pd.DataFrame) -> str:
    return next((name for name in GEMM_RATES if name in frame and frame[name].notna().any()), "")


def _label(frame: pd.DataFrame) -> str:
    return _gemm(frame).split("_")[0]


def _fewest(frame: pd.DataFrame) -> str:
    return wording.count(int(frame["threads"].min()), "thread")


def _paint(speeds: pd.DataFrame) -> Figure:
    directions = list(groups(speeds, ["direction"]))
    cells = [str(values.get("cell", "")) for values, _ in groups(speeds, ["cell"])]
    marks = style.marks(cells)
    figure, grid = style.panels(1, len(directions), height=2.6, sharex=True, sharey=True)
    counts = np.sort(speeds["threads"].dropna().astype(float).unique())
    for axes, (values, part) in zip(grid[0], directions, strict=True):
        axes.set_title(wording.setting(values))
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.plot(counts, counts / counts[0], **style.LIMIT)
        if "gemm_speed_up" in part:
            product = part.groupby("threads")["gemm_speed_up"].median()
            axes.plot(product.index.astype(float), product, **style.REFERENCE)
        for of_cell, own in groups(part, ["cell"]):
            paint_cell(axes, own, "threads", "speed_up", marks[str(of_cell.get("cell", ""))])
        label_sizes(axes, speeds["threads"])
        axes.yaxis.set_major_locator(FixedLocator(TICKS))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(lambda value, _: wording.value_text(value))
        axes.set_xlabel("threads (number)")
    grid[0, 0].set_ylabel(f"speed / speed on {_fewest(speeds)} (×)")
    _legend(figure, marks, cells, _label(speeds))
    return figure


def _legend(figure: Figure, marks: Mapping[str, style.Mark], cells: list[str], gemm: str) -> None:
    handles = [
        Line2D([], [], color=marks[cell].color, marker=marks[cell].marker, label=wording.cell_label(cell))
        for cell in cells
    ]
    handles += [Line2D([], [], **style.REFERENCE, label=gemm)] if gemm else []
    handles.append(Line2D([], [], **style.LIMIT, label="ideal"))
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 5))


def _finding(speeds: pd.DataFrame) -> str:
    most = speeds["threads"].max()
    parts = []
    for values, part in groups(speeds[speeds["threads"] == most], ["direction"]):
        by_cell = {
            wording.cell_label(str(of.get("cell", ""))): own["speed_up"].median() for of, own in groups(part, ["cell"])
        }
        known = {cell: value for cell, value in by_cell.items() if np.isfinite(value)}
        if known:
            ends = dict.fromkeys((min(known, key=lambda c: known[c]), max(known, key=lambda c: known[c])))
            text = " to ".join(f"{wording.ratio(known[cell])} ({cell})".replace(" ()", "") for cell in ends)
            text = f"{wording.setting(values)} {text}".strip()
            if "gemm_speed_up" in part:
                text += f", {_label(part)} {wording.ratio(part['gemm_speed_up'].median())}"
            parts.append(text)
    threads = wording.count(int(most), "thread")
    return f"Speed on {threads} over that on {_fewest(speeds)}: {'; '.join(parts)}." if parts else ""
