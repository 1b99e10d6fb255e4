"""What clipping does where gradients explode: loss, norm and update at every step of training, a colour a rule."""

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
TRACES = {"training_loss": "loss", "gradient_norm": "norm before clipping", "update_norm": "norm of the update"}
COLORS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


class Exploding(Plot):
    """Traces of training with and without clipping and regulariser, three panels; one figure a task."""

    name = "exploding"
    title = "Exploding gradients"
    probe = "exploding"

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per task."""
        drawings = []
        for where, part in groups(rows.quantity("gradient_norm"), ["task"]):
            shown, held = _held(rows, part)
            arms = {rule: rows.measurements[rows.measurements["key"].isin(own["key"])] for rule, own in _arms(shown)}
            drawings.append(self._drawing(where, arms, held))
        return drawings

    def _drawing(self, where: Mapping[str, Any], arms: dict[str, pd.DataFrame], held: Mapping[str, Any]) -> Drawing:
        task, finding = wording.setting(where), _finding(arms)
        shown = wording.setting(held)
        return Drawing(
            name="-".join(filter(None, [self.name, task])),
            title=f"{self.title}, {task}" if task else self.title,
            finding=finding,
            reading="Thin lines: seeds; thick: their median while all of them train. Dotted: the loss of the trivial "
            "baseline. A cross marks where a loss or gradient stopped being finite."
            + (f" Shown at {shown}." if shown else ""),
            alternative=f"Traces of loss, gradient norm and update norm over training steps. {finding}",
            paint=partial(_paint, arms),
        )

    def tables(self, rows: Rows) -> list[Table]:
        """Return for each task, setting and rule how training ended and what was clipped."""
        columns = [
            *(Column(name, numeric=False) for name in ("setting", "rule")),
            *map(Column, ("trials", "diverged", "norm, median", "norm, 99th percentile", "norm, largest")),
            Column("clipped", "% of steps"),
            *map(Column, ("final loss, median", "largest loss, median", "final score, median")),
        ]
        tables = []
        for where, part in groups(rows.quantity("fraction_clipped"), ["task"]):
            others = rows.varying(part, besides=("task", *RULES))
            body = [
                [wording.setting(values) or wording.MISSING, rule, *_row(rows, own)]
                for values, of_setting in groups(part, ["cell", *others])
                for rule, own in _arms(of_setting)
            ]
            tables.append(Table(f"Training where gradients explode, {wording.setting(where)}.", columns, body))
        return [table.condensed() for table in tables]


def _held(rows: Rows, part: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Keep one cell and one value of whatever is no rule of clipping."""
    shown, held = hold(part, ["cell"]) if "cell" in part else (part, {})
    shown, more = hold(shown, rows.varying(shown, besides=("task", *RULES)))
    return shown, held | more


def _arms(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return (rule in words, rows) for each rule of clipping, the one without any first."""
    return [(_rule(values), part) for values, part in groups(frame, RULES)]


def _rule(values: Mapping[str, Any]) -> str:
    words = {"clip_norm": "norm ≤", "clip_value": "entries ≤", "regularization": "Ω ×"}
    known = [f"{words[name]} {wording.value_text(value)}" for name, value in values.items() if float(value) > 0]
    return ", ".join(known) or "no clipping"


def _row(rows: Rows, own: pd.DataFrame) -> list[str]:
    found = rows.measurements[rows.measurements["key"].isin(own["key"])]

    def median(quantity: str, index: int | None = None, factor: float = 1.0) -> str:
        values = found[found["quantity"] == quantity]
        values = values[values["index"].isna()] if index is None else values[values["index"] == index]
        return wording.significant(factor * float(values["value"].median()))

    norms = [median("gradient_norm_quantile", percent) for percent in (50, 99, 100)]
    ends = [median(name) for name in ("final_loss", "largest_loss", "final_score")]
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
        axes.plot(seed["index"].astype(float), seed["value"], color=color, linewidth=0.5, alpha=0.4)
        if len(seed) < (found["key"] == key).sum():
            axes.plot(float(seed["index"].iloc[-1]), seed["value"].iloc[-1], "x", color=color, clip_on=False)
    shortest = finite.groupby("key")["index"].max().min() if len(finite) else 0
    median = finite[finite["index"] <= shortest].groupby("index")["value"].median()
    axes.plot(median.index.astype(float), median, color=color)


def _finding(arms: dict[str, pd.DataFrame]) -> str:
    """Say what becomes of training under each rule, from how it ends."""
    parts = []
    for rule, found in arms.items():
        trials, diverged = found["key"].nunique(), _diverged(found)
        if diverged:
            parts.append(f"with {rule} {diverged} of {wording.count(trials, 'trial')} diverge")
            continue
        losses = found.loc[found["quantity"] == "final_loss", "value"]
        jumps = found.loc[found["quantity"] == "update_norm", "value"].max()
        parts.append(
            f"with {rule} none diverges, the final loss is {wording.significant(float(losses.median()))} "
            f"and the largest update {wording.significant(float(jumps))}"
        )
    norms = pd.concat([found.loc[found["quantity"] == "gradient_norm", "value"] for found in arms.values()])
    peak = float(norms[np.isfinite(norms)].max()) if np.isfinite(norms).any() else float("nan")
    text = "; ".join(parts)
    return f"Norms reach {wording.significant(peak)}: {text}."
