"""How fast layers are on a GPU: beside PyTorch in three precisions on the same GPU, and beside the floor."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnbench.report import style, wording
from rnnbench.report.figures._comparison import geometric_mean, lowest
from rnnbench.report.figures._scaling import label_sizes
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups, hold
from rnnbench.report.tables import Column, Table, setting_cells, setting_columns

PRECISIONS = {"fp32": "fp32", "tf32": "TF32", "fp16": "fp16"}
LOOKS = {
    "rnnbench": ("median_time", style.Mark(style.INK, "o")),
    "PyTorch fp32": ("torch_fp32_median_time", style.Mark("#e69f00", "v")),
    "PyTorch TF32": ("torch_tf32_median_time", style.Mark("#56b4e9", "P")),
    "PyTorch fp16": ("torch_fp16_median_time", style.Mark("#7a5195", "D")),
}
"""Lines by name: their quantity and how they look."""
FLOOR = "floor_time"
GROUP = ["backend", "direction", "cell"]
SHOWN = {"cell": "lstm", "length": 1024, "batch": 16, "hidden": 768}
"""The shape whose times have a table of their own: that of FlashRNN's benchmark."""


class DeviceSpeed(Plot):
    """Microseconds a step against hidden size, ours, PyTorch's and the floor: a column a cell, a row a batch size."""

    name = "device_speed"
    title = "Time of a step on the GPU"
    probe = "device_speed"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing a direction, where the hidden size takes more than one value."""
        drawings = []
        for where, part in groups(step_times(rows), ["direction"]):
            shown, held = hold(part, rows.varying(part, besides=("direction", "cell", "batch", "hidden", "repeats")))
            if shown["hidden"].nunique() > 1:
                drawings.append(self._drawing(where, shown, held))
        return drawings

    def _drawing(self, where: Mapping[str, Any], shown: pd.DataFrame, held: Mapping[str, Any]) -> Drawing:
        kind, finding = wording.setting(where), _finding(shown)
        reading = "Points: medians over the repeats of a trial, of a whole sequence, divided by its steps. Dashed: the "
        reading += "floor, the least that the recurrence alone can take in the chosen way; none where each step is a "
        reading += "product and a kernel. rnnbench computes in float32. "
        reading += f"Shown at {wording.setting(held)}." if held else ""
        return Drawing(
            name="-".join(filter(None, [self.name, kind])),
            title=f"{self.title}, {kind}" if kind else self.title,
            finding=finding,
            reading=reading.strip(),
            alternative=f"Line charts of microseconds a step against hidden size. {finding}",
            paint=partial(_paint, shown),
        )

    def tables(self, rows: Rows) -> list[Table]:
        """Return the ratios to PyTorch by cell, and the times of one shape."""
        frame = step_times(rows)
        if frame.empty:
            return []
        return [_ratios(frame), *_one_shape(frame)]


def step_times(rows: Rows) -> pd.DataFrame:
    """Return one row a trial that was timed: its parameters, ratios, and times in microseconds a step."""
    wide = rows.wide()
    if "median_time" not in wide:
        return pd.DataFrame(columns=[*rows.parameters, "median_time"])
    names = [*(quantity for quantity, _ in LOOKS.values()), FLOOR, "fraction_of_floor", "simulated"]
    names += [f"torch_{precision}_ratio" for precision in PRECISIONS]
    frame = wide.assign(**{name: np.nan for name in names if name not in wide})
    for name in (*(quantity for quantity, _ in LOOKS.values()), FLOOR):
        frame[name] = 1e6 * frame[name] / frame["length"].astype(float)
    return frame[frame["median_time"].notna()]


def _ratios(frame: pd.DataFrame) -> Table:
    columns = [*setting_columns(GROUP), Column("shapes")]
    for label in PRECISIONS.values():
        columns += [Column(f"PyTorch {label}", "×"), Column("lowest at B×H", "×")]
    columns += [Column("of the floor, median", "%")]
    body = []
    for values, part in groups(frame, GROUP):
        cells = [text for precision in PRECISIONS for text in _ratio_cells(part, f"torch_{precision}_ratio")]
        floor = wording.significant(100 * part["fraction_of_floor"].median(), 2)
        body.append([*setting_cells(values), str(len(part)), *cells, floor])
    note = "" if any(frame[f"torch_{p}_ratio"].notna().any() for p in PRECISIONS) else "PyTorch was not timed. "
    note += "Where it ran was no GPU but its simulator." if (frame["simulated"] == 1).any() else ""
    caption = "PyTorch's median time over that of rnnbench, on the same GPU: geometric means over the shapes."
    return Table(caption, columns, body, note.strip())


def _ratio_cells(part: pd.DataFrame, name: str) -> list[str]:
    known = part[part[name].notna()]
    if known.empty:
        return [wording.MISSING] * 2
    worst = lowest(known, name)
    mean = wording.plain_ratio(geometric_mean(known[name]))
    mean += f" ({len(known)} of {len(part)})" if len(known) < len(part) else ""
    return [mean, f"{wording.plain_ratio(worst[name])} at {worst['batch']:g}×{worst['hidden']:g}"]


def _one_shape(frame: pd.DataFrame) -> list[Table]:
    own = frame[(frame[list(SHOWN)] == pd.Series(SHOWN)).all(axis=1)]
    if own.empty:
        return []
    columns = [
        *setting_columns(["backend", "direction"]),
        *(Column(name, "µs/step") for name in LOOKS),
        Column("floor", "µs/step"),
    ]
    body = [
        [
            *setting_cells(values),
            *(wording.significant(part[name].median()) for name in [*(name for name, _ in LOOKS.values()), FLOOR]),
        ]
        for values, part in groups(own, ["backend", "direction"])
    ]
    return [Table(f"Time of a step at {_shape(SHOWN)}.", columns, body)]


def _shape(values: Mapping[str, Any] | pd.Series) -> str:
    shape = f"{values['length']:g}×{values['batch']:g}×{values['hidden']:g}"
    return f"{wording.cell_label(str(values['cell']))}, T×B×H {shape}"


def _finding(shown: pd.DataFrame) -> str:
    text = []
    for precision, label in PRECISIONS.items():
        name = f"torch_{precision}_ratio"
        known = shown[shown[name].notna()]
        if known.empty:
            continue
        worst = lowest(known, name)
        text.append(
            f"{wording.ratio(geometric_mean(known[name]))} as fast as PyTorch in {label} "
            f"(lowest {wording.ratio(worst[name])}, {_shape(worst)})"
        )
    found = f"On geometric average rnnbench is {wording.listing(text)}. " if text else ""
    fastest, slowest = (shown.sort_values("median_time").iloc[place] for place in (0, -1))
    found += f"A step takes {wording.significant(fastest['median_time'])} µs ({_shape(fastest)}) to "
    found += f"{wording.significant(slowest['median_time'])} µs ({_shape(slowest)})."
    return found + (" These are times of a simulator, not of a GPU." if (shown["simulated"] == 1).any() else "")


def _paint(shown: pd.DataFrame) -> Figure:
    cells = [values["cell"] for values, _ in groups(shown, ["cell"])]
    batches = [values["batch"] for values, _ in groups(shown, ["batch"])]
    figure, grid = style.panels(len(batches), len(cells), height=1.7, sharex=True, sharey=True)
    for row, batch in zip(grid, batches, strict=True):
        for axes, cell in zip(row, cells, strict=True):
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_label(f"B {batch:g}")
            _lines(axes, shown[(shown["batch"] == batch) & (shown["cell"] == cell)])
        row[-1].annotate(f"B {batch:g}", (1.03, 0.5), xycoords="axes fraction", rotation=270, va="center")
    for axes, cell in zip(grid[0], cells, strict=True):
        axes.set_title(wording.cell_label(str(cell)))
    style.names_of_axes(grid, "hidden size (units)", "step (µs)")
    for axes in grid.flat:
        style.log_ticks(axes.yaxis)
        label_sizes(axes, shown["hidden"], apart=2.0 if len(cells) < 3 else 4.0)
    drawn = {name: look for name, (quantity, look) in LOOKS.items() if shown[quantity].notna().any()}
    handles = [Line2D([], [], color=look.color, marker=look.marker, label=name) for name, look in drawn.items()]
    handles += [Line2D([], [], label="floor", **style.REFERENCE)] if shown[FLOOR].notna().any() else []
    figure.legend(handles=handles, loc="outside upper left", ncols=3)
    return figure


def _lines(axes: Axes, own: pd.DataFrame) -> None:
    for quantity, look in LOOKS.values():
        middle = own.groupby("hidden")[quantity].median().dropna()
        axes.plot(middle.index.astype(float), middle, color=look.color, marker=look.marker, markersize=3.5)
    floor = own.groupby("hidden")[FLOOR].median().dropna()
    axes.plot(floor.index.astype(float), floor, **style.REFERENCE)
