"""The figure of a claim: the effect of every seed, its mean and interval, and where the hypothesis expects it."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from rnnbench.report import style, wording
from rnnbench.report.figures.base import Drawing
from rnnbench.report.findings.base import CANNOT_TELL, NOT_SUPPORTED, SUPPORTED, Judged

LOOKS = {
    SUPPORTED: style.Mark("#0072b2", "o"),
    NOT_SUPPORTED: style.Mark("#d55e00", "X"),
    CANNOT_TELL: style.Mark("#6a7078", "D"),
}
EXPECTED = "#dcebf5"


def drawing(judged: Judged) -> Drawing:
    """Return the figure of a claim with findings."""
    claim, findings = judged.claim, judged.findings
    said = " ".join(f"{finding.sentence} {wording.heading(finding.verdict)}." for finding in findings)
    return Drawing(
        name=judged.anchor,
        title=claim.hypothesis,
        finding=said,
        reading="Small points: seeds. Large: their mean with its 95 % interval. Shaded: what the hypothesis expects.",
        alternative=f"Dot plot of the effect with its interval, a line a setting. {said}",
        paint=partial(_paint, judged),
    )


def _paint(judged: Judged) -> Figure:
    claim, findings = judged.claim, judged.findings
    figure, grid = style.panels(1, height=0.55 + 0.42 * len(findings))
    axes = grid[0, 0]
    places = np.arange(len(findings))[::-1]
    for place, finding in zip(places, findings, strict=True):
        look = LOOKS[finding.verdict]
        seeds = finding.effects.to_numpy(float)
        axes.plot(
            seeds,
            np.full(len(seeds), place - 0.22),
            "o",
            color=look.color,
            alpha=0.55,
            markersize=2.8,
            mew=0,
            label="seed",
        )
        axes.hlines(place, *finding.interval, color=look.color, linewidth=2.2)
        axes.plot(finding.mean, place, look.marker, color=look.color, markersize=6.5, label="mean")
    low, high = _limits(judged)
    left, right = (float(np.clip(end, low, high)) for end in claim.expected)
    axes.axvspan(left, right, color=EXPECTED, linewidth=0, zorder=0)
    axes.set_xlim(low, high)
    axes.set_ylim(-0.6, len(findings) - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.set_yticks(places, [wording.wrapped(finding.where, 22) for finding in findings])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(wording.with_unit(claim.effect_name, claim.unit))
    verdicts = [verdict for verdict in LOOKS if any(finding.verdict == verdict for finding in findings)]
    handles: list[Line2D | Patch] = [Patch(color=EXPECTED, label="expected")]
    handles += [Line2D([], [], ls="", marker=LOOKS[v].marker, color=LOOKS[v].color, label=v) for v in verdicts]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    return figure


def _limits(judged: Judged) -> tuple[float, float]:
    """Return the ends of the axis: all points, intervals up to three times their spread, and the region's ends."""
    effects = np.concatenate([finding.effects.to_numpy(float) for finding in judged.findings])
    ends = [*effects, *(end for end in judged.claim.expected if np.isfinite(end))]
    spread = np.ptp(ends) or abs(ends[0]) or 1.0
    intervals = [end for finding in judged.findings for end in finding.interval if np.isfinite(end)]
    ends += list(np.clip(intervals, min(ends) - 3 * spread, max(ends) + 3 * spread))
    margin = 0.06 * (np.ptp(ends) or spread)
    return float(min(ends) - margin), float(max(ends) + margin)
