"""Rows of the probe comparison, a sheet at a time: what its figures and tables have in common.

A *pair* is rnnbench against one other library, the peer, at one shape, on some threads. Its ratio is the peer's median
time over ours: above 1 rnnbench is faster. Pairs of rnnbench with itself are the *control*, whose ratio is 1 but for
what disturbs the timing: they stand apart, and rnnbench is never its own fastest peer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from rnnbench.report import wording
from rnnbench.report.rows import Rows, groups, hold

OURS = "rnnbench"
SHAPE = ("length", "batch", "hidden", "features")
SETTING = ("direction", "dtype", "grid", "cell", "threads", *SHAPE)
"""What tells timings apart, the peer aside."""
_ABSENT = ("direction", "dtype", "grid", "cell")
_NEEDED = {"implementation", "length", "batch", "hidden", "ratio", "ratio_low", "ratio_high"}
_MEASURED = (
    "ratio", "ratio_low", "ratio_high", "median_time", "peer_median_time", "fraction_of_floor",
    "peer_fraction_of_floor", "gemm_rate",
)  # fmt: skip
BOUNDS = ("arithmetic", "weights", "memory")
"""What the value of floor_bound stands for: which of the machine's rates sets the floor."""


def pairs(rows: Rows) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return one row a pair, the median over its seeds, and the parameters that had to be held.

    Only trials that finished count. The columns are SETTING, `implementation`, `bounds` (those of BOUNDS that any seed
    found) and what was measured, NaN where a quantity is missing; no rows at all where there are no ratios.
    """
    wide = rows.wide()
    wide = wide[wide["status"] == "ok"]
    if _NEEDED - set(wide):
        return pd.DataFrame(columns=[*SETTING, "implementation", *_MEASURED, "bounds"]), {}
    frame = wide[np.isfinite(wide["ratio"]) & (wide["ratio"] > 0)]
    frame, held = hold(frame, rows.varying(frame, besides=(*SETTING, "implementation", "pairs")))
    for name in _ABSENT:
        frame = frame.assign(**{name: frame[name].fillna("").astype(str) if name in frame else ""})
    frame = frame.assign(threads=frame["threads"].astype(float) if "threads" in frame else np.nan)
    given = frame["features"] if "features" in frame else frame["hidden"]
    frame = frame.assign(features=given.fillna(frame["hidden"]).astype(float))
    frame = frame.assign(**{name: np.nan for name in (*_MEASURED, "floor_bound") if name not in frame})
    keys = [*SETTING, "implementation"]
    by_pair = frame.groupby(keys, dropna=False)
    bounds = [tuple(BOUNDS[int(code)] for code in part["floor_bound"].dropna().unique()) for _, part in by_pair]
    return by_pair[list(_MEASURED)].median().reset_index().assign(bounds=pd.Series(bounds, dtype=object)), held


def bounds_of(frame: pd.DataFrame) -> list[str]:
    """Return what any of the pairs is bound by, in the order of BOUNDS."""
    found = set().union(*frame["bounds"])
    return [name for name in BOUNDS if name in found]


def fastest(frame: pd.DataFrame) -> pd.DataFrame:
    """Return of each setting the pair with the fastest peer, which is the one with the lowest ratio."""
    return frame.loc[frame.groupby(list(SETTING), dropna=False)["ratio"].idxmin()] if len(frame) else frame


def lowest(frame: pd.DataFrame, name: str = "ratio") -> pd.Series:
    """Return the row with the lowest value of a column."""
    return frame.sort_values(name, kind="stable").iloc[0]


def control_sentence(control: pd.DataFrame) -> str:
    """Return what rnnbench against itself came to; "" where it was not timed so."""
    if control.empty:
        return ""
    ends = dict.fromkeys(map(wording.ratio, (control["ratio"].min(), control["ratio"].max())))
    included = (verdicts(control) == 0).sum()
    text = f"Control: rnnbench beside itself gives {' to '.join(ends)} in {wording.count(len(control), 'pair')}"
    return f"{text}, with 1 in the interval of {included}."


def geometric_mean(ratios: pd.Series) -> float:
    """Return the geometric mean; NaN of none."""
    return float(np.exp(np.log(ratios.astype(float)).mean())) if len(ratios) else np.nan


def verdicts(frame: pd.DataFrame) -> np.ndarray:
    """Return 1 where rnnbench is faster, -1 where it is slower, 0 where the 95 % interval includes 1."""
    low, high = (frame[name].to_numpy(dtype=float) for name in ("ratio_low", "ratio_high"))
    return np.where(low > 1, 1, np.where(high < 1, -1, 0))


def interval(pair: pd.Series) -> str:
    """Return the ends of the interval of a pair's ratio."""
    return f"{wording.plain_ratio(pair['ratio_low'])} to {wording.plain_ratio(pair['ratio_high'])}"


def threads_label(threads: float) -> str:
    """Return "1 thread", "2 threads"; "all threads" where the number is not known."""
    return "all threads" if pd.isna(threads) else wording.count(int(threads), "thread")


def place(pair: pd.Series, direction: bool = False) -> str:
    """Return where a pair was measured: "LSTM 100×32×256 on 2 threads", with the direction where it is asked for."""
    passes = f" {wording.value_text(pair['direction'])}" if direction else ""
    return (
        f"{wording.cell_label(str(pair['cell']))} {pair['shape']}{passes} on {threads_label(pair['threads'])}".strip()
    )


@dataclass(frozen=True)
class Sheet:
    """What one drawing shows.

    Either our own shapes in one direction, the cells side by side, or the shapes of published benchmarks, whose cells
    do not share them, the directions side by side.
    """

    label: str
    published: bool
    pairs: pd.DataFrame
    """The pairs, with the label of their `shape`, the `column` of panels and the `line` that they stand in."""
    control: pd.DataFrame
    """The pairs of rnnbench with itself."""
    held: Mapping[str, Any]

    @property
    def start(self) -> str:
        """The label as the start of a sentence: "Forward, float32: "."""
        return f"{self.label[:1].upper()}{self.label[1:]}: " if self.label else ""

    def name(self, plot: str) -> str:
        """Return the name of a plot's drawing."""
        return "-".join(filter(None, [plot, self.label]))

    def title(self, plot: str) -> str:
        """Return the title of a plot's drawing."""
        return ": ".join(filter(None, [plot, self.label]))

    @cached_property
    def columns(self) -> list[str]:
        """What stands side by side, in natural order: cells or directions."""
        return [values["column"] for values, _ in groups(self.pairs, ["column"])]

    @cached_property
    def threads(self) -> list[float]:
        """The numbers of threads, ascending."""
        return [values["threads"] for values, _ in groups(self.pairs, ["threads"])]

    @cached_property
    def peers(self) -> list[str]:
        """The other libraries, in the report's order."""
        return in_order(self.pairs["implementation"].unique())

    @cached_property
    def lines(self) -> list[tuple[str, tuple[str, str] | None]]:
        """What stands at each height, from the top: (line, (benchmark, line)), or a benchmark's name and None."""
        lines: list[tuple[str, tuple[str, str] | None]] = []
        for values, part in groups(self.pairs, ["grid"]):
            grid = str(values["grid"])
            lines += [(grid, None)] if grid else []
            by_cell = [own for _, own in groups(part, ["cell"])] if self.published else [part]
            for own in by_cell:
                sizes = own.sort_values(["hidden", "batch", "length", "features"])
                lines += [(line, (grid, line)) for line in sizes["line"].unique()]
        return lines

    @cached_property
    def heights(self) -> dict[tuple[str, str], int]:
        """The height of each (benchmark, line)."""
        return {key: height for height, (_, key) in enumerate(self.lines) if key is not None}

    def heading(self, column: str) -> str:
        """Return the title of a column of panels."""
        return wording.value_text(column) if self.published else wording.cell_label(column)

    def place(self, pair: pd.Series) -> str:
        """Return where in this sheet a pair stands."""
        return place(pair, direction=self.published)

    def note(self) -> str:
        """What a reader of any drawing of this sheet has to know of it."""
        inputs = {"": "as many inputs as hidden units", "I": "as many inputs as hidden units, or I"}
        known = _inputs(self.pairs)
        text = f"Shapes are steps T × sequences B × hidden units H, with {inputs.get(known, f'{known} inputs')}. "
        return text + (f"Shown at {wording.setting(self.held)}. " if self.held else "")


def _inputs(frame: pd.DataFrame) -> str:
    """Return how many inputs all shapes have, "" where it is as many as hidden units, "I" where shapes differ."""
    if (frame["features"] == frame["hidden"]).all():
        return ""
    return wording.value_text(frame["features"].iloc[0]) if frame["features"].nunique() == 1 else "I"


def _shapes(frame: pd.DataFrame) -> list[str]:
    """Return the label of each pair's shape; the inputs are part of it where shapes differ in them."""
    told, labels = _inputs(frame) == "I", []
    for length, batch, hidden, features in frame[list(SHAPE)].astype(int).itertuples(index=False):
        label = f"{length}×{batch}×{hidden}"
        labels.append(f"{label}, I {features}" if told and features != hidden else label)
    return labels


def in_order(peers: Iterable[str]) -> list[str]:
    """Return libraries in the report's order: those it knows, then the others by name."""
    known = list(wording.IMPLEMENTATIONS)
    return sorted(peers, key=lambda name: (known.index(name) if name in known else len(known), name))


def sheets(rows: Rows) -> Iterator[Sheet]:
    """Yield our own shapes, direction by direction, then the published ones."""
    every, held = pairs(rows)
    frame, control = every[every["implementation"] != OURS], every[every["implementation"] == OURS]
    own, published = frame[frame["grid"] == ""], frame[frame["grid"] != ""]
    for where, part in groups(own, ["direction", "dtype"]):
        shapes = _shapes(part)
        part = part.assign(shape=shapes, column=part["cell"], line=shapes)
        same = control[(control[list(where)] == pd.Series(where)).all(axis=1)]
        yield Sheet(wording.setting(where), False, part, same.assign(shape=_shapes(same)), held)
    for where, part in groups(published, ["dtype"]) if len(published) else ():
        part = part.assign(shape=_shapes(part), column=part["direction"])
        part = part.assign(line=part["cell"].map(wording.cell_label) + " " + part["shape"])
        yield Sheet(wording.setting({"what": "published shapes"} | where), True, part, control.iloc[:0], held)


def label_lines(axes: Axes, sheet: Sheet) -> None:
    """Write the shapes at the left, from the top down, the names of published benchmarks in bold above theirs."""
    axes.set_ylim(len(sheet.lines) - 0.5, -0.5)
    axes.set_yticks(range(len(sheet.lines)), [label for label, _ in sheet.lines])
    axes.set_ylabel("T × B × H")
    for tick, (_, key) in zip(axes.get_yticklabels(), sheet.lines, strict=True):
        tick.set_fontweight("bold" if key is None else "normal")
