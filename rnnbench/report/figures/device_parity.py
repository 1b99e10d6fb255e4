"""Whether a backend computes what the reference does: errors by way and cell, as shares of what they may come to."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnbench.report import style, wording
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups
from rnnbench.report.tables import Column, Table, setting_cells, setting_columns

PASSES = ("forward", "backward")
NEEDED = {
    "passed",
    "differing_runs",
    "run_difference",
    *(f"{p}_{what}" for p in PASSES for what in ("error", "tolerance")),
}
GROUP = ["way", "dtype", "backend"]
LAUNCH = ("blocks", "shared_memory")
SMALLEST, LARGEST = 1e-4, 1e4
"""Ends of the axis of errors over tolerance: what lies outside, NaN too, is drawn at an end."""
ROW_INCHES = 0.24
NAMED = 4
"""Failures that the finding names; the table of trials that did not finish has all of them."""


class DeviceParity(Plot):
    """Errors over their tolerance, one line a way, type and backend, one dot a trial."""

    name = "device_parity"
    title = "Right numbers, and the same each time"
    probe = "device_parity"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing, or none where nothing was compared."""
        frame = compared(rows)
        measured = frame[frame["passed"].notna()]
        if measured.empty:
            return []
        finding = _finding(frame)
        reading = "Dots: trials, the error of the array that is furthest off the reference's in float64, over what it "
        reading += "may come to; right of the dashed line it is too large. Errors are max |a − b| / max |b|. "
        reading += "Of training, forward means losses and gradient norms, backward the weights. Every trial is run "
        reading += "several times: a crossed dot has runs that gave other bits than the first."
        return [
            Drawing(
                name=self.name,
                title=self.title,
                finding=finding,
                reading=reading,
                alternative=f"Dot plot of errors over tolerance, one line a way, type and backend. {finding}",
                paint=partial(_paint, measured),
            )
        ]

    def tables(self, rows: Rows) -> list[Table]:
        """Return one table: a line a way, type and backend, with its worst errors and its verdict."""
        frame = compared(rows)
        return [_table(frame)] if frame["passed"].notna().any() else []


def compared(rows: Rows) -> pd.DataFrame:
    """Return one row a trial, those without a result too: training is a way of its own, and `share` of each pass."""
    wide = rows.wide()
    found = wide[["key", *(name for name in (*NEEDED, *LAUNCH, "simulated") if name in wide)]]
    names = [name for name in ("key", "status", *rows.parameters) if name in rows.trials]
    frame = rows.trials[names].merge(found, on="key", how="left")
    frame = frame.assign(**{name: np.nan for name in (*NEEDED, *LAUNCH, "simulated") if name not in frame})
    frame["way"] = frame["way"].where(frame["work"] != "training", "training")
    for each in PASSES:
        frame[f"{each}_share"] = frame[f"{each}_error"] / frame[f"{each}_tolerance"]
    return frame


def verdict(part: pd.DataFrame) -> str:
    """Return "pass" where every trial passed, "fail" where one did not, "incomplete" where some have no result."""
    if (part["passed"] == 0).any():
        return "fail"
    return "pass" if (part["passed"] == 1).all() else "incomplete"


def _table(frame: pd.DataFrame) -> Table:
    columns = [
        *setting_columns(GROUP),
        Column("passed"),
        *(Column(name) for each in PASSES for name in (f"{each} error", "at most")),
        Column("runs that differ"),
        Column("blocks"),
        Column("each with", "KiB"),
        Column("verdict", numeric=False),
    ]
    body = []
    for values, part in groups(frame, GROUP):
        body.append(
            [
                *setting_cells(values),
                f"{(part['passed'] == 1).sum()} of {len(part)}",
                *(text for each in PASSES for text in _worst(part, each)),
                wording.value_text(part["differing_runs"].sum(min_count=1)),
                wording.value_text(part["blocks"].max()),
                wording.value_text(part["shared_memory"].max() // 1024),
                verdict(part),
            ]
        )
    caption = "Worst errors beside the reference in float64, max |a − b| / max |b|, and runs that gave other bits."
    note = "" if frame["passed"].notna().all() else "Incomplete: trials that did not finish. "
    note += "" if frame["blocks"].isna().all() else "Blocks, and the shared memory of each: the most of any launch. "
    note += "Where it ran was no GPU but its simulator." if (frame["simulated"] == 1).any() else ""
    return Table(caption, columns, body, note.strip())


def _worst(part: pd.DataFrame, each: str) -> list[str]:
    """Return the error that is nearest to what it may come to, NaN before all others, and what that is."""
    known = part[part["passed"].notna()]
    if known.empty:
        return [wording.MISSING] * 2
    worst = known.sort_values(f"{each}_share", na_position="last").iloc[-1]
    error = worst[f"{each}_error"]
    return [
        "NaN" if np.isnan(error) else wording.significant(error, 2),
        wording.significant(worst[f"{each}_tolerance"], 1),
    ]


def _finding(frame: pd.DataFrame) -> str:
    known = frame[frame["passed"].notna()]
    failed, passed = known[known["passed"] == 0], known[known["passed"] == 1]
    text = f"{len(passed)} of {wording.count(len(frame), 'comparison')} pass"
    if len(failed):
        named = [_name(trial) for trial in failed.to_dict("records")]
        rest = [wording.count(len(named) - NAMED, "other")] if len(named) > NAMED else []
        text += f"; {len(failed)} fail: {wording.listing([*named[:NAMED], *rest])}"
    text += f"; {len(frame) - len(known)} did not finish" if len(known) < len(frame) else ""
    if len(passed):
        shares = passed[[f"{each}_share" for each in PASSES]].max(axis=1)
        worst, share = passed.iloc[int(shares.to_numpy().argmax())], shares.max()
        text += ". In those that pass all runs gave the same bits, and errors come to "
        text += f"{wording.significant(100 * share, 2)} % of what they may at most ({_name(worst)})"
    if (known["simulated"] == 1).any():
        text += f". {wording.count(int((known['simulated'] == 1).sum()), 'trial')} ran on a simulated GPU"
    return f"{text}."


def _name(trial: dict | pd.Series) -> str:
    values = [wording.value_text(trial[name]) for name in GROUP]
    return " ".join([wording.cell_label(str(trial["cell"])), *values, f"B {trial['batch']:g} H {trial['hidden']:g}"])


def _paint(measured: pd.DataFrame) -> Figure:
    lines = [(wording.setting(values), part) for values, part in groups(measured, GROUP)]
    cells = [str(values["cell"]) for values, _ in groups(measured, ["cell"])]
    marks = style.marks(cells)
    figure, grid = style.panels(1, len(PASSES), height=ROW_INCHES * len(lines) + 0.9, sharey=True, sharex=True)
    shares = measured[[f"{each}_share" for each in PASSES]].fillna(LARGEST)
    highest = max(10.0, min(LARGEST, 2 * shares.to_numpy(float).max()))
    for axes, each in zip(grid[0], PASSES, strict=True):
        axes.set_title(each)
        axes.set_xscale("log")
        axes.set_xlim(SMALLEST, highest)
        axes.axvline(1.0, **style.REFERENCE)
        axes.set_xlabel("error / tolerance (1)")
        for height, (_, part) in enumerate(lines):
            _dots(axes, part, each, height, marks)
        style.log_ticks(axes.xaxis)
    grid[0, 0].set_ylim(len(lines) - 0.5, -0.5)
    grid[0, 0].set_yticks(range(len(lines)), [label for label, _ in lines])
    style.cell_legend(figure, marks, cells)
    return figure


def _dots(axes: Axes, part: pd.DataFrame, each: str, height: int, marks: dict[str, style.Mark]) -> None:
    low, high = axes.get_xlim()
    offsets = np.linspace(-0.3, 0.3, len(part)) if len(part) > 1 else np.zeros(1)
    for offset, trial in zip(offsets, part.to_dict("records"), strict=True):
        share = trial[f"{each}_share"]
        place = high if np.isnan(share) else float(np.clip(share, low, high))
        mark = marks[str(trial["cell"])]
        told = [] if place == share else ["NaN" if np.isnan(share) else f"in truth {wording.significant(share)}"]
        if trial["differing_runs"]:
            told += ["runs differ"]
            crossed = ", ".join([wording.cell_label(str(trial["cell"])), *told])
            axes.plot(place, height + offset, "x", color=style.INK, markersize=6.0, clip_on=False, label=crossed)
        look: dict[str, Any] = {"color": mark.color, "markersize": 3.5, "clip_on": False}
        axes.plot(place, height + offset, mark.marker, **look, label=", ".join(told) or None)
