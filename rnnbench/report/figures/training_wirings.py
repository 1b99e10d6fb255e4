"""How inputs, states and answers are connected, drawn from what each wiring declares that it does."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from rnnbench.report import style, wording
from rnnbench.report.figures._applications import applications
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows

if TYPE_CHECKING:
    from rnnbench.network import Step, Wiring

READ, ANSWERED = 3, 3
"""Inputs and answers drawn where a wiring has many; an encoder reads one more than its decoder answers."""
INPUT, STATE, ANSWER = 0.0, 1.0, 2.0
"""Heights of the three rows."""
COLORS = {"": "#c9d7e8", "encoder": "#d9e5d0", "decoder": "#f2dcc4"}
"""States of the one stack, or of an encoder and a decoder."""
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class TrainingWirings(Plot):
    """The wirings of a run's applications as diagrams, unrolled in time."""

    name = "training_wirings"
    title = "The wirings, unrolled in time"
    probe = "training"
    rank = -1

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing with a panel a wiring, or none where no task is an application."""
        used: dict[str, list[str]] = {}
        for application in applications(rows):
            names = used.setdefault(application.task.wiring, [])
            if application.task.application not in names:
                names.append(application.task.application)
        if not used:
            return []
        from rnnbench.network import WIRINGS  # brings Numba, which other pages do without

        wirings = {wiring: used[name] for name, wiring in WIRINGS.items() if name in used}
        finding = " ".join(f"{wording.heading(w.name)}: {wording.listing(names)}." for w, names in wirings.items())
        return [
            Drawing(
                name=self.name,
                title=self.title,
                finding=finding,
                reading="Circles: inputs x and answers y; boxes: the state h, one column a step. Dashed: an answer "
                "that is fed back, the right one while training (teacher forcing), the network's own when it is used.",
                alternative=f"Diagrams of {wording.count(len(wirings), 'wiring')}, unrolled in time. "
                + " ".join(_in_words(wiring) for wiring in wirings),
                paint=partial(_paint, list(wirings)),
            )
        ]


def _steps(wiring: Wiring) -> list[Step]:
    read = READ + 1 if len(wiring.stack_inputs(1, 1)) > 1 else READ
    return wiring.steps(1 if wiring.name.startswith("one-") else read, 1 if wiring.answers_once else ANSWERED)


def _in_words(wiring: Wiring) -> str:
    """Return a diagram in words, for who cannot see it."""
    parts = []
    for number, step in enumerate(_steps(wiring), start=1):
        reads = [f"input {step.reads}"] if step.reads else []
        reads += [f"answer {step.feeds}"] if step.feeds else []
        answers = f", gives answer {step.answers}" if step.answers else ""
        name = f"{step.stack} " if step.stack else ""
        parts.append(f"{name}step {number} reads {wording.listing(reads) if reads else 'nothing'}{answers}")
    return f"{wording.heading(wiring.name)}: {'; '.join(parts)}."


def _paint(wirings: list[Wiring]) -> Figure:
    figure, grid = style.panels(len(wirings), height=1.45)
    width = max(len(_steps(wiring)) for wiring in wirings)
    for axes, wiring in zip(grid[:, 0], wirings, strict=True):
        axes.set_title(wiring.name)
        axes.set_axis_off()
        axes.set_xlim(-0.5, width - 0.5)
        axes.set_ylim(INPUT - 0.35, ANSWER + 0.35)
        axes.set_aspect("equal", anchor="W")
        paint_steps(axes, _steps(wiring))
    return figure


def paint_steps(axes: Axes, steps: list[Step]) -> None:
    """Draw the steps of a wiring from left to right: inputs below, states in the middle, answers above."""
    columns = {step.answers: place for place, step in enumerate(steps) if step.answers}
    seen: set[str] = set()
    for place, step in enumerate(steps):
        corner = (place - 0.24, STATE - 0.2)
        axes.add_patch(
            FancyBboxPatch(
                corner, 0.48, 0.4, boxstyle="round,pad=0.02", facecolor=COLORS[step.stack], edgecolor=style.INK, lw=0.8
            )
        )
        axes.text(place, STATE, "h" + str(place + 1).translate(_SUBSCRIPTS), ha="center", va="center")
        if place:
            _arrow(axes, (place - 0.74, STATE), (place - 0.26, STATE))
        if step.reads:
            _circle(axes, place, INPUT, "x" + str(step.reads).translate(_SUBSCRIPTS))
            _arrow(axes, (place, INPUT + 0.22), (place, STATE - 0.22))
        if step.answers:
            _circle(axes, place, ANSWER, "y" + str(step.answers).translate(_SUBSCRIPTS))
            _arrow(axes, (place, STATE + 0.22), (place, ANSWER - 0.22))
        if step.feeds:
            start = (columns[step.feeds] + 0.17, ANSWER - 0.14)
            _arrow(axes, start, (place - 0.2, STATE + 0.22), linestyle="--", color=style.MUTED)
        if step.stack and step.stack not in seen:
            seen.add(step.stack)
            where = np.mean([n for n, other in enumerate(steps) if other.stack == step.stack])
            row = ANSWER if step.stack == "encoder" else INPUT
            axes.text(float(where), row, step.stack, ha="center", va="center", color=style.MUTED)


def _circle(axes: Axes, x: float, y: float, text: str) -> None:
    axes.add_patch(Circle((x, y), 0.2, facecolor="white", edgecolor=style.INK, lw=0.8))
    axes.text(x, y, text, ha="center", va="center")


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], color: str = style.INK, linestyle: str = "-"
) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=7,
            color=color,
            linestyle=linestyle,
            linewidth=0.9,
            shrinkA=0,
            shrinkB=0,
        )
    )
