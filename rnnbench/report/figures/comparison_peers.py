"""How fast rnnbench is beside each other library, with the interval of every ratio."""

from __future__ import annotations

from functools import partial

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnbench.report import style, wording
from rnnbench.report.figures import _comparison
from rnnbench.report.figures._comparison import Sheet, geometric_mean, verdicts
from rnnbench.report.figures._comparison_dots import Dots, legend, panels
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups


class ComparisonPeers(Plot):
    """Ratio to each peer by shape, a dot with its interval."""

    name = "comparison_peers"
    title = "Speed beside each other library"
    probe = "comparison"
    rank = 1

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return one drawing per direction and floating-point type, for our own shapes and for published ones."""
        return [self._drawing(sheet) for sheet in _comparison.sheets(rows)]

    def _drawing(self, sheet: Sheet) -> Drawing:
        finding = _finding(sheet)
        reading = "Dots: the other library's median time over that of rnnbench; right of 1 rnnbench is faster. "
        reading += "Lines: 95 % bootstrap intervals over rounds; one that cannot be seen is narrower than its dot. "
        return Drawing(
            name=sheet.name(self.name),
            title=sheet.title(self.title),
            finding=finding,
            reading=f"{reading}{sheet.note()}".strip(),
            alternative=f"Dot plot of ratios on a logarithmic axis, one dot a shape and library. {finding}",
            paint=partial(_paint, sheet),
        )


def _paint(sheet: Sheet) -> Figure:
    columns = {"ratio": "value", "ratio_low": "low", "ratio_high": "high"}
    series = [
        Dots(peer, sheet.pairs[sheet.pairs["implementation"] == peer].rename(columns=columns)) for peer in sheet.peers
    ]
    figure, grid = panels(sheet, series, "log")
    low = min(0.8, 0.9 * float(sheet.pairs[["ratio", "ratio_low"]].min().min()))
    high = max(1.25, 1.1 * float(sheet.pairs[["ratio", "ratio_high"]].max().max()))
    grid[0, 0].set_xlim(low, high)
    for axes in grid.flat:
        axes.axvline(1.0, **style.REFERENCE, zorder=1)
        style.log_ticks(axes.xaxis)
    for axes in grid[-1]:
        axes.set_xlabel("ratio of times (×)")
    legend(figure, series, [(Line2D([], [], **style.REFERENCE), "equally fast")])
    return figure


def _finding(sheet: Sheet) -> str:
    means, slower = [], []
    for peer in sheet.peers:
        own, name = sheet.pairs[sheet.pairs["implementation"] == peer], wording.implementation_label(peer)
        of_panels = [geometric_mean(part["ratio"]) for _, part in groups(own, ["column", "threads"])]
        ends = dict.fromkeys(map(wording.ratio, (min(of_panels), max(of_panels))))
        means.append(f"{' to '.join(ends)} as fast as {name}")
        slower.append(f"{(verdicts(own) < 0).sum() or 'none'} of {len(own)} beside {name}")
    panel = "direction" if sheet.published else "cell"
    text = f"{sheet.start}rnnbench is {wording.listing(means)} (geometric means over shapes, by {panel} and threads)"
    return f"{text}. The interval of the ratio ends below 1 in {wording.listing(slower)}."
