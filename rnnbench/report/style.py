"""The look of every figure: colours that colour-blind readers can tell apart, labels beside the lines.

Only `matplotlib.figure.Figure` is used, never pyplot, so drawing leaves no state behind in a notebook.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend_handler import HandlerBase
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from scipy.optimize import isotonic_regression

from rnnbench.report.wording import cell_label, superscript

INK, MUTED, GRID = "#1f2328", "#6a7078", "#e3e5e8"
WIDTH_INCHES = 5.0
_width: ContextVar[float] = ContextVar("width", default=WIDTH_INCHES)
FONT_POINTS = 9.0
"""On a phone of 390 px the figure is set at about its own size: no text falls below 7 px, labels stay above 9."""
REFERENCE: dict[str, Any] = {"color": MUTED, "linestyle": (0, (5, 3)), "linewidth": 1.0}
"""Lines to compare with: theory, baselines, the machine's own rate."""
LIMIT: dict[str, Any] = {"color": MUTED, "linestyle": ":", "linewidth": 1.2}
"""Lines that something happens at: solved, clipped."""

_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": FONT_POINTS,
    "text.color": INK,
    "text.parse_math": False,  # a "$" in a user's name is a dollar sign
    "axes.titlesize": FONT_POINTS + 0.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.labelsize": FONT_POINTS,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": FONT_POINTS,
    "legend.handlelength": 1.5,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.4,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text: searchable, selectable, in the page's own font
    "svg.hashsalt": "rnnbench",  # the same rows give the same bytes
    "pdf.fonttype": 42,
}
_lock = threading.RLock()
_STATED: WeakKeyDictionary[Artist, tuple[str, float]] = WeakKeyDictionary()


@contextmanager
def context(width: float = WIDTH_INCHES) -> Iterator[None]:
    """Within the block matplotlib draws in the house style, `width` inches wide; what the user had set comes back."""
    before = _width.set(width)
    try:
        with _lock, matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_SETTINGS)
            yield
    finally:
        _width.reset(before)


@dataclass(frozen=True)
class Mark:
    """How one cell looks wherever it is drawn."""

    color: str
    marker: str


MARKS = {"rnn": Mark("#d55e00", "o"), "lstm": Mark("#0072b2", "s"), "gru": Mark("#009e73", "^")}
"""Okabe and Ito's colours; the three cells keep theirs in every figure."""

_NEXT = (
    Mark("#cc79a7", "D"),
    Mark("#e69f00", "v"),
    Mark("#56b4e9", "P"),
    Mark("#7a5195", "X"),
    Mark("#4d4d4d", "*"),
    Mark("#8c6d31", "h"),
)


def marks(cells: Sequence[str]) -> dict[str, Mark]:
    """Return the look of each cell; those without a fixed one take the next in alphabetical order."""
    others = sorted(set(cells) - set(MARKS))
    return MARKS | {cell: _NEXT[place % len(_NEXT)] for place, cell in enumerate(others)}


IMPLEMENTATION_MARKS = {
    "rnnbench": Mark(INK, "o"),
    "torch": Mark("#e69f00", "v"),
    "onnxruntime": Mark("#56b4e9", "P"),
    "jax": Mark("#7a5195", "D"),
}
"""Libraries have colours that no cell has."""


def implementation_marks(names: Sequence[str]) -> dict[str, Mark]:
    """Return the look of each library; those without a fixed one take the next in alphabetical order."""
    others, spare = sorted(set(names) - set(IMPLEMENTATION_MARKS)), (_NEXT[0], *_NEXT[4:])
    return IMPLEMENTATION_MARKS | {name: spare[place % len(spare)] for place, name in enumerate(others)}


FASTER, SLOWER = "#4f9fd4", "#e8853f"
"""Ends of the colours of a ratio: told apart by colour-blind readers, light enough for ink to be read on them."""


def blend(low: str, high: str) -> LinearSegmentedColormap:
    """Return colours of shares, from that of 0 to that of 1."""
    return LinearSegmentedColormap.from_list("share", [low, high], N=65)


def ratio_colors() -> LinearSegmentedColormap:
    """Return colours of log-ratios from slower over white, at 1, to faster."""
    return LinearSegmentedColormap.from_list("ratio", [SLOWER, "#ffffff", FASTER], N=65)


def shades(color: str, number: int) -> list[str]:
    """Return `number` shades of a colour from dark to light, for the settings of one cell."""
    base, black, white = np.array(to_rgb(color)), np.zeros(3), np.ones(3)
    if number == 1:
        return [color]
    places = np.linspace(-0.45, 0.45, number)
    return [_hex(base + (black - base) * -p if p < 0 else base + (white - base) * p) for p in places]


def darker(color: str) -> str:
    """Return a colour dark enough for text on white: a contrast of 4.5 or more (WCAG 2.2, 1.4.3)."""
    rgb = np.array(to_rgb(color))
    while _luminance(rgb) > 1.05 / 4.5 - 0.05:
        rgb = rgb * 0.95
    return _hex(rgb)


def _hex(rgb: np.ndarray) -> str:
    red, green, blue = map(float, rgb)
    return to_hex((red, green, blue))


def _luminance(rgb: np.ndarray) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def panels(rows: int, columns: int = 1, height: float = 1.85, **options: Any) -> tuple[Figure, np.ndarray]:
    """Return a figure of the house width and its axes (rows, columns), each `height` inches high or so."""
    layout = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.06)
    figure = Figure(figsize=(_width.get(), height * rows + 0.7), layout=layout)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def sign(figure: Figure, source: str) -> None:
    """Write under the figure which run it came from."""
    if source:
        figure.supxlabel(source, x=0.995, ha="right", fontsize=FONT_POINTS - 2, color=MUTED)


class Decades(FuncFormatter):
    """The labels of an axis that holds log10 of what it is named after: the powers of ten themselves."""

    def __init__(self) -> None:
        super().__init__(lambda place, _: "1" if place == 0 else f"10{superscript(round(place))}")


def decades(axes: Axes) -> None:
    """Label a vertical axis that holds log10 of a ratio with the powers of ten themselves."""
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_formatter(Decades())


def state(artist: Artist, series: str, value: float) -> None:
    """Say what an artist that is no line, bar or image stands for, where the values of the figure are listed."""
    _STATED[artist] = (series, value)


def stated(artist: Artist) -> tuple[str, float] | None:
    """Return what was said of an artist, (series, value)."""
    return _STATED.get(artist)


def log_ticks(axis: Axis) -> None:
    """Label a logarithmic axis, after all is drawn: 1, 2 and 5 where it spans less than two decades."""
    low, high = axis.get_view_interval()
    narrow = low > 0 and high < 100 * low
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _log_label(value)))
    axis.set_minor_formatter(NullFormatter())


def _log_label(value: float) -> str:
    if 1e-3 <= value < 1e4:
        return f"{value:,.6g}"
    mantissa, _, exponent = f"{value:.0e}".partition("e")
    return ("" if mantissa == "1" else f"{mantissa}×") + f"10{superscript(int(exponent))}"


class LetterHandle(HandlerBase):
    """Writes a letter where a legend has a line: for handles that are text."""

    def create_artists(  # type: ignore[override]
        self, legend: Any, orig_handle: str, xdescent: float, ydescent: float, width: float, height: float, *more: Any
    ) -> list[Text]:
        """Return the letter, in the middle of the handle's place; `more` is font size and transform."""
        x, y = width / 2 - xdescent, height / 2 - ydescent
        return [Text(x, y, orig_handle, ha="center", va="center", fontsize=more[0], transform=more[1])]


def cell_legend(figure: Figure, looks: Mapping[str, Mark], cells: Sequence[str]) -> None:
    """Explain above the panels which colour and marker is which cell."""
    handles = [Line2D([], [], color=looks[c].color, marker=looks[c].marker, label=cell_label(c)) for c in cells]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 6))


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write each (height in data units, text, colour) right of the axes, moved apart just enough to be read.

    The places p minimise Σ (p_i − y_i)² subject to p_{i+1} − p_i ≥ d_i, half the height of both texts: the
    isotonic regression of y_i − D_i, plus D_i, the sum of the d before i.
    """
    if not ends:
        return
    ends = sorted(ends, key=lambda end: end[0])
    heights = np.array([_fraction(axes.yaxis, height) for height, _, _ in ends]).clip(0.0, 1.0)
    lines = np.array([1.3 + 1.35 * text.count("\n") for _, text, _ in ends]) * FONT_POINTS / _size_points(axes)[1]
    offsets = np.concatenate([[0.0], np.cumsum((lines[1:] + lines[:-1]) / 2)])
    places = isotonic_regression(heights - offsets).x.clip(0.0, max(0.0, 1.0 - offsets[-1])) + offsets
    for height, place, (_, text, color) in zip(heights, places, ends, strict=True):
        axes.annotate(
            text,
            xy=(1.0, height),
            xytext=(1.025, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            color=darker(color),
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0},
        )


def label_points(axes: Axes, points: Sequence[tuple[float, float, str, str]]) -> None:
    """Write each (x, y in data units, text, colour) right of its point, moved up until it covers no other."""
    width, height = _size_points(axes)
    line, taken = 1.2 * FONT_POINTS / height, list[tuple[float, float, float]]()
    for x, y, text, color in sorted(points):
        left, place = _fraction(axes.xaxis, x) + 6 / width, max(_fraction(axes.yaxis, y), line / 2)
        right = left + 0.75 * FONT_POINTS * len(text) / width
        while any(left < end and start < right and abs(place - other) < line for start, end, other in taken):
            place += line / 4
        taken.append((left, right, place))
        axes.text(
            left,
            place,
            text,
            transform=axes.transAxes,
            va="center",
            color=darker(color),
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
        )


def label_line(axes: Axes, height: float, text: str, color: str = MUTED) -> None:
    """Write a small label on a horizontal reference line, at the left end of the axes."""
    axes.annotate(
        text,
        xy=(0.0, height),
        xycoords=("axes fraction", "data"),
        xytext=(3, 2),
        textcoords="offset points",
        fontsize=FONT_POINTS - 1,
        color=color,
    )


def _fraction(axis: Axis, place: float) -> float:
    """Return where a place in data units lies between the start (0) and the end (1) of an axis."""
    low, high = axis.get_transform().transform(np.array(axis.get_view_interval()))
    return float((axis.get_transform().transform(np.array([place]))[0] - low) / (high - low))


def _size_points(axes: Axes) -> tuple[float, float]:
    """Return about how wide and high the axes will be once the layout has made room for their labels."""
    figure, grid = axes.get_figure(), axes.get_subplotspec().get_gridspec()  # type: ignore[union-attr]
    assert figure is not None
    width, height = figure.get_size_inches() * 72  # type: ignore[union-attr]
    return width / grid.ncols - 120, (height - 65) / grid.nrows - 22


def names_of_axes(grid: np.ndarray, x: str, y: str) -> None:
    """Name the vertical axes at the left and the horizontal ones, which the panels share, at the bottom."""
    for axes in grid[:, 0]:
        axes.set_ylabel(y)
    for axes in grid[-1]:
        axes.set_xlabel(x)
