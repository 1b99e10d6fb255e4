"""What clipping does where gradients explode through time: loss, norms and update by training step, a colour an arm."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnbench.report import style, wording
from rnnbench.report.figures import _panels
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups, hold
from rnnbench.report.tables import Column, Table

RULES = ("clip_norm", "clip_value", "regularization")
ARMS = ("gain", *RULES)
"""What an arm differs by: the rule, and the gain of a control that does not explode."""
TRACES = {
    "training_loss": "loss",
    "recurrent_gradient_norm": "‖dL/dW_hh‖",
    "readout_gradient_norm": "‖dL/dW_hy‖",
    "update_norm": "‖update‖",
}
COLORS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


class Exploding(Plot):
    """Traces of training with and without clipping and regulariser, a panel a quantity; one figure a task."""

    name = "exploding"
    title = "Exploding gradients"
    probe = "exploding"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per task."""
        drawings = []
        for where, part in groups(rows.quantity("recurrent_gradient_norm"), ["task"]):
            shown, held = _held(rows, part)
            arms = {arm: rows.measurements[rows.measurements["key"].isin(own["key"])] for arm, own in _arms(shown)}
            drawings.append(self._drawing(where, arms, held))
        return drawings

    def _drawing(self, where: Mapping[str, Any], arms: dict[str, pd.DataFrame], held: Mapping[str, Any]) -> Drawing:
        task, finding = wording.setting(where), _finding(arms)
        shown = wording.setting(held)
        return Drawing(
            name="-".join(filter(None, [self.name, task])),
            title=f"{self.title}, {task}" if task else self.title,
            finding=finding,
            reading="Norms are those of the loss, before clipping and without Ω; W_hh is reached through time, the "
            "readout W_hy is not. Thin lines: seeds; thick: their median while all of them train. Dotted: the loss "
            "of the trivial baseline. A cross marks where a loss or gradient stopped being finite."
            + (f" Shown at {shown}." if shown else ""),
            alternative=f"Traces of loss, gradient norms and update norm over training steps. {finding}",
            paint=partial(_paint, arms),
        )

    def tables(self, rows: Rows) -> list[Table]:
        """Return for each task, setting and rule how training ended and what was clipped."""
        columns = [
            *(Column(name, numeric=False) for name in ("setting", "arm")),
            *map(Column, ("trials", "diverged")),
            *(Column(f"‖dL/dW_hh‖, {name}") for name in ("median", "99th percentile", "largest")),
            Column("‖dL/dW_hy‖, largest"),
            Column("clipped", "% of steps"),
            *map(Column, ("final loss, median", "largest loss, median", "baseline loss", "final score, median")),
        ]
        tables = []
        for where, part in groups(rows.quantity("fraction_clipped"), ["task"]):
            others = rows.varying(part, besides=("task", *ARMS))
            body = [
                [wording.setting(values) or wording.MISSING, arm, *_row(rows, own)]
                for values, of_setting in groups(part, ["cell", *others])
                for arm, own in _arms(of_setting)
            ]
            tables.append(Table(f"Training where gradients explode, {wording.setting(where)}.", columns, body))
        return [table.condensed() for table in tables]


def _held(rows: Rows, part: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Keep one cell and one value of whatever no arm differs by."""
    shown, held = hold(part, ["cell"]) if "cell" in part else (part, {})
    shown, more = hold(shown, rows.varying(shown, besides=("task", *ARMS)))
    return shown, held | more


def _arms(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return (arm in words, rows) for each gain and rule of clipping, no clipping first; the gain if there are more."""
    many = "gain" in frame and frame["gain"].nunique() > 1
    return [
        (", ".join([*([wording.setting({"gain": values["gain"]})] if many else []), _rule(values)]), part)
        for values, part in groups(frame, ARMS)
    ]


def _rule(values: Mapping[str, Any]) -> str:
    weight = float(values.get("regularization", 0))
    return _panels.clipping_in_words(values) + (f", Ω × {wording.value_text(weight)}" if weight else "")


def _row(rows: Rows, own: pd.DataFrame) -> list[str]:
    found = rows.measurements[rows.measurements["key"].isin(own["key"])]

    def median(quantity: str, index: int | None = None, factor: float = 1.0) -> str:
        values = found[found["quantity"] == quantity]
        values = values[values["index"].isna()] if index is None else values[values["index"] == index]
        return wording.significant(factor * float(values["value"].median()))

    norms = [median("recurrent_gradient_norm_quantile", percent) for percent in (50, 99, 100)]
    norms.append(median("largest_readout_gradient_norm"))
    ends = [median(name) for name in ("final_loss", "largest_loss", "baseline_loss", "final_score")]
    return [str(len(own)), str(_diverged(found)), *norms, median("fraction_clipped", factor=100), *ends]


def _diverged(found: pd.DataFrame) -> int:
    """Return how many trials stopped being finite."""
    return int(np.isfinite(found.loc[found["quantity"] == "diverged_at_step", "value"]).sum())


def _paint(arms: dict[str, pd.DataFrame]) -> Figure:
    traces = [name for name in TRACES if any((found["quantity"] == name).any() for found in arms.values())]
    figure, grid = style.panels(len(traces), sharex=True)
    for axes, name in zip(grid[:, 0], traces, strict=True):
        axes.set_yscale("log")
        for place, found in enumerate(arms.values()):
            _paint_trace(axes, found[found["quantity"] == name], COLORS[place % len(COLORS)])
        axes.set_ylabel(TRACES[name])
        if name == "training_loss":
            for found in arms.values():
                for height in found.loc[found["quantity"] == "baseline_loss", "value"].unique():
                    axes.axhline(height, **style.LIMIT)
        style.log_ticks(axes.yaxis)
    grid[-1, 0].set_xlabel("training (steps)")
    _panels.legend(figure, {rule: COLORS[place % len(COLORS)] for place, rule in enumerate(arms)})
    return figure


def _paint_trace(axes: Axes, found: pd.DataFrame, color: str) -> None:
    """Draw every seed, their median while all of them train, and where one ends that is not finite."""
    finite = found[np.isfinite(found["value"]) & (found["value"] > 0)]
    for key, seed in finite.groupby("key"):
        axes.plot(seed["index"].astype(float), seed["value"], color=color, linewidth=0.5, alpha=0.4, label="each seed")
        if len(seed) < (found["key"] == key).sum():
            axes.plot(
                float(seed["index"].iloc[-1]), seed["value"].iloc[-1], "x", color=color, clip_on=False, label="ends"
            )
    shortest = finite.groupby("key")["index"].max().min() if len(finite) else 0
    median = finite[finite["index"] <= shortest].groupby("index")["value"].median()
    axes.plot(median.index.astype(float), median, color=color, label="median over seeds")


def _finding(arms: dict[str, pd.DataFrame]) -> str:
    """Say how large the gradient by W_hh becomes in each arm, how large the readout's, and how training ends."""
    return " ".join(f"{wording.heading(arm)}: {_outcome(found)}." for arm, found in arms.items())


def _outcome(found: pd.DataFrame) -> str:
    """Say what the trials of one arm come to, medians over seeds."""

    def largest(quantity: str) -> str:
        own = found[(found["quantity"] == quantity) & np.isfinite(found["value"])]
        return wording.significant(float(own.groupby("key")["value"].max().median()), 2)

    text = f"‖dL/dW_hh‖ reaches {largest('recurrent_gradient_norm')}, ‖dL/dW_hy‖ {largest('readout_gradient_norm')}"
    text += f", the largest update {largest('update_norm')}"
    diverged, trials = _diverged(found), found["key"].nunique()
    if diverged:
        return f"{text}; {diverged} of {wording.count(trials, 'trial')} diverge"
    ends = [float(found.loc[found["quantity"] == name, "value"].median()) for name in ("final_loss", "baseline_loss")]
    return f"{text}; the final loss is {wording.significant(ends[0])} (baseline {wording.significant(ends[1])})"
