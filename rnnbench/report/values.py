"""The values that a figure shows, read from the figure itself: its CSV file, and what a page says at a point.

Whatever a plot draws with lines, points, intervals, bars or an image is found here, under the names that a reader sees:
titles of panels, names of axes, legends, labels at the ends of lines, and the labels that artists carry.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Annotation
from matplotlib.ticker import FixedLocator

from rnnbench.report import style

NEUTRAL = (style.INK, style.MUTED)
"""Colours that stand for no series of their own: there the kind of line tells."""
POINTS_PER_INCH = 72


@dataclass(frozen=True)
class Values:
    """What a figure shows.

    rows     one row a point: panel, series, then the axes by their names, the ends of an interval (low, high), and
             a value that is written or coloured; columns that would be empty are left out
    places   (rows, 2): where it is, in 1/72 inch from the left and the top of the figure; NaN outside of its panel
    """

    rows: pd.DataFrame
    places: np.ndarray

    def csv(self) -> bytes:
        """Return the rows as a CSV file, with six digits: more than a figure shows, and the page stays light."""
        return self.rows.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode()


@dataclass
class _Mark:
    """One point of a panel, in the units of its axes; what it is not about is NaN."""

    series: str
    x: float
    y: float
    low: float = np.nan
    high: float = np.nan
    value: float = np.nan
    at: tuple[float, float] | None = None
    """Where it is pointed at, if that is not (x, y)."""


@dataclass
class _Curve:
    """The points of one line, with what decides whose interval is whose."""

    color: str
    weight: float
    marks: list[_Mark] = field(default_factory=list)


def download(content: bytes) -> str:
    """Return a CSV file as the address of a link, so that a page stays one file."""
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(content).decode()}"


def read(figure: Figure) -> Values:
    """Return the values of a figure that was drawn: before, its panels have no places."""
    legend = dict(_legend(figure))
    rows: list[dict[str, Any]] = []
    places: list[np.ndarray] = []
    titles: dict[tuple[str, str, str], int] = {}
    for axes in figure.axes:
        marks = [] if axes.get_label() == "<colorbar>" else list(_marks(axes, legend))
        if not marks:
            continue
        panel, x_name, y_name = _title(axes), *(_axis_name(axes, axis) for axis in (axes.xaxis, axes.yaxis))
        number = titles[panel, x_name, y_name] = titles.get((panel, x_name, y_name), 0) + 1
        panel = panel if number == 1 else f"{panel} ({number})".strip()
        x_value, y_value = _reader(axes.xaxis), _reader(axes.yaxis)
        for mark in marks:
            row = {"panel": panel, "series": mark.series, x_name: x_value(mark.x), y_name: y_value(mark.y)}
            rows.append(row | {"low": mark.low, "high": mark.high, "value": mark.value})
        places.append(_places(axes, np.array([mark.at or (mark.x, mark.y) for mark in marks])))
    if not rows:
        return Values(pd.DataFrame(), np.empty((0, 2)))
    frame = pd.DataFrame(rows)
    ends = [name for name in ("low", "high", "value") if name in frame]
    frame = frame[[*(name for name in frame if name not in ends), *ends]]
    told = [name for name in frame if (frame[name].notna() & (frame[name] != "")).any()]
    return Values(frame[told], np.concatenate(places))


def _legend(figure: Figure) -> Iterator[tuple[Any, str]]:
    """Yield what a look stands for: a colour, or of the neutral ones the colour, the dashes and the marker."""
    for legend in [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]:
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            if isinstance(handle, Line2D):
                yield _look(handle), text.get_text()
            elif isinstance(handle, Patch):
                yield to_hex(handle.get_facecolor()), text.get_text()


def _look(line: Line2D) -> Any:
    color = to_hex(line.get_color())
    return (color, line.get_linestyle(), line.get_marker()) if color in NEUTRAL else color


def _marks(axes: Axes, legend: dict[Any, str]) -> Iterator[_Mark]:
    """Yield the points of one panel: lines with their intervals, bars, images, and what was stated."""
    curves = list(_curves(axes, legend))
    for color, ends in _intervals(axes):
        _attach(curves, color, ends)
    for curve in curves:
        yield from curve.marks
    for container in axes.containers:
        if isinstance(container, BarContainer):
            name = legend.get(to_hex(container.patches[0].get_facecolor()), "") if container.patches else ""
            across = container.orientation == "horizontal"
            for bar in container.patches:
                x, y = _middle(bar)
                yield _Mark(name, bar.get_width() if across else x, y if across else bar.get_height(), at=(x, y))
    for image in axes.images:
        array: np.ndarray = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
        for (row, column), value in np.ndenumerate(array):
            yield _Mark(_own_label(image), float(column), float(row), value=float(value))
    for artist in axes.patches:
        if stated := style.stated(artist):
            yield _Mark(stated[0], *_middle(artist), value=stated[1])


def _middle(patch: Patch) -> tuple[float, float]:
    box = patch.get_path().get_extents(patch.get_patch_transform())
    return float(box.x0 + box.x1) / 2, float(box.y0 + box.y1) / 2


def _curves(axes: Axes, legend: dict[Any, str]) -> Iterator[_Curve]:
    """Yield each line of a panel; those of the grid and the caps of error bars say nothing of their own."""
    caps = {id(cap) for each in axes.containers if isinstance(each, ErrorbarContainer) for cap in each.lines[1]}
    seen: dict[str, int] = {}
    drawn: dict[str, set[tuple[float, float]]] = {}
    for line in axes.lines:
        color = to_hex(line.get_color())
        x_is_data, y_is_data = line.get_transform().contains_branch_seperately(axes.transData)
        if id(line) in caps or color == style.GRID or not (x_is_data or y_is_data):
            continue
        x, y = (np.atleast_1d(np.asarray(each, dtype=float)) for each in line.get_data(orig=False))
        if not (x_is_data and y_is_data):  # across the whole panel: one value
            x, y = (x[-1:], np.full(1, np.nan)) if x_is_data else (np.full(1, np.nan), y[-1:])
        crosses = not (x_is_data and y_is_data)
        name = _series(axes, line, legend, float(y[-1]) if crosses else np.nan)
        points = list(zip(x.tolist(), y.tolist(), strict=True))
        connected = line.get_linestyle() != "None"
        if (crosses and not name) or (
            not connected and not _own_label(line) and drawn.get(color, set()).issuperset(points)
        ):
            continue  # an axis through zero; markers on a line
        if connected:
            drawn.setdefault(color, set()).update(points)
            seen[name] = seen.get(name, 0) + 1
            name = name if seen[name] == 1 else f"{name} ({seen[name]})".strip()
        weight = line.get_linewidth() if line.get_linestyle() == "-" else 0.1 * line.get_markersize()
        yield _Curve(color, weight, [_Mark(name, *point) for point in points])


def _series(axes: Axes, line: Line2D, legend: dict[Any, str], height: float) -> str:
    """Return what a reader calls a line: the label at its end, or its entry in the legend, and the artist's own."""
    color, named = to_hex(line.get_color()), legend.get(_look(line), "")
    for text in axes.texts:
        if isinstance(text, Annotation):
            level = bool(np.isclose(float(text.xy[1]), height, rtol=1e-9))
            fits = level if color in NEUTRAL or not text.arrowprops else to_hex(text.arrowprops["color"]) == color
        else:
            fits = color not in NEUTRAL and to_hex(text.get_color()) == style.darker(color)
        if fits:
            named = " ".join(text.get_text().split())
            break
    return ", ".join(dict.fromkeys(filter(None, [named, _own_label(line)])))


def _own_label(artist: Any) -> str:
    label = str(artist.get_label())
    return "" if label.startswith("_") else label


def _intervals(axes: Axes) -> Iterator[tuple[str, dict[tuple[str, float], tuple[float, float]]]]:
    """Yield the colour of each set of bars or band, and its ends by ("x" or "y", the place on that axis)."""
    for collection in axes.collections:
        if isinstance(collection, LineCollection):
            segments = np.array(
                [segment[[0, -1]] for segment in map(np.asarray, collection.get_segments()) if len(segment)]
            )
            if len(segments) and np.ptp(segments, axis=1).any():
                along = int(np.ptp(segments, axis=1).sum(axis=0).argmax())
                fixed, ends = segments[:, 0, 1 - along].tolist(), segments[:, :, along].tolist()
                found = {("yx"[along], place): (low, high) for place, (low, high) in zip(fixed, ends, strict=True)}
                yield _first_color(collection.get_color()), found
        elif isinstance(collection, PolyCollection) and collection.get_paths():
            points = pd.DataFrame(np.concatenate([path.vertices for path in collection.get_paths()]))
            band = points.groupby(0)[1].agg(["min", "max"])
            color = _first_color(collection.get_facecolor())
            yield color, {("x", float(x)): (float(low), float(high)) for x, low, high in band.itertuples()}


def _first_color(colors: Any) -> str:
    return to_hex(np.asarray(colors)[0])


def _attach(curves: list[_Curve], color: str, ends: dict[tuple[str, float], tuple[float, float]]) -> None:
    """Give each point of the heaviest line of a colour its interval."""
    for curve in sorted((each for each in curves if each.color == color), key=lambda each: -each.weight):
        for mark in curve.marks:
            found = ends.pop(("x", mark.x), None) or ends.pop(("y", mark.y), None)
            if found:
                mark.low, mark.high = found


def _title(axes: Axes) -> str:
    """Return a panel's title, or that of the panel at the head of its column, and the label the panel carries."""
    title, place = axes.get_title(loc="left"), axes.get_subplotspec()
    for each in axes.figure.axes if place and axes.figure else ():
        spec = each.get_subplotspec()
        title = title or (each.get_title(loc="left") if spec and spec.colspan == place.colspan else "")  # type: ignore[union-attr]
    return ", ".join(" ".join(part.split()) for part in (title, str(axes.get_label())) if part)


def _axis_name(axes: Axes, axis: Axis) -> str:
    """Return the name of an axis; panels share the names at the left and at the bottom."""
    place, across = axes.get_subplotspec(), isinstance(axis, XAxis)
    name = axis.get_label_text()
    for each in axes.figure.axes if place and axes.figure else ():
        spec = each.get_subplotspec()
        if not name and spec and (spec.colspan == place.colspan if across else spec.rowspan == place.rowspan):  # type: ignore[union-attr]
            name = (each.xaxis if across else each.yaxis).get_label_text()
    if isinstance(axis.get_major_formatter(), style.Decades):
        return f"log10 of {name}"
    return " ".join(name.split()) or ("setting" if _categories(axis) else "x" if across else "y")


def _categories(axis: Axis) -> tuple[np.ndarray, list[str], float | None] | None:
    """Return the places of the labels of an axis, the labels, and the scale where they are numbers in proportion."""
    if not isinstance(axis.get_major_locator(), FixedLocator):
        return None
    ticks = np.asarray(axis.get_majorticklocs(), dtype=float)
    labels = [" ".join(label.split()) for label in axis.get_major_formatter().format_ticks(list(ticks))]
    if not any(labels):
        return None
    try:
        numbers = np.array([float(label.replace(",", "")) for label in labels])
    except ValueError:
        return ticks, labels, None
    scale = float(numbers[-1] / ticks[-1]) if len(ticks) and ticks[-1] else 1.0
    return ticks, labels, scale if np.allclose(numbers, scale * ticks) else None


def _reader(axis: Axis) -> Any:
    """Return what turns a place on an axis into what stands there: a number, or the label beside it."""
    found = _categories(axis)
    if found is None:
        return lambda place: place
    ticks, labels, scale = found
    if scale is not None and axis.get_scale() == "log":  # points of one tick are drawn beside each other
        return lambda place: ticks[int(np.abs(np.log(ticks / place)).argmin())] if np.isfinite(place) else place
    if scale is not None:
        return lambda place: place * scale
    return lambda place: labels[int(np.abs(ticks - place).argmin())] if np.isfinite(place) else ""


def _places(axes: Axes, points: np.ndarray) -> np.ndarray:
    """Return where points are on the page; what crosses the whole panel is at its right or upper end."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    filled = np.where(np.isnan(points), (right, top), points)
    with np.errstate(all="ignore"):
        inside = (filled - np.minimum((left, bottom), (right, top)) >= 0).all(axis=1)
        inside &= (filled - np.maximum((left, bottom), (right, top)) <= 0).all(axis=1)
        pixels = axes.transData.transform(filled)
    figure = axes.get_figure(root=True)
    assert figure is not None
    places = pixels / figure.dpi * POINTS_PER_INCH
    places[:, 1] = figure.get_size_inches()[1] * POINTS_PER_INCH - places[:, 1]
    places[~inside] = np.nan
    return places
