"""The tables of the comparison: geometric means by setting, and every pair with all of its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rnnbench import cells
from rnnbench.report import wording
from rnnbench.report.figures import _comparison
from rnnbench.report.figures._comparison import Sheet, fastest, geometric_mean, lowest, verdicts
from rnnbench.report.rows import Rows, groups
from rnnbench.report.tables import Column, Table

_BY = ("direction", "dtype", "grid", "cell", "threads")


def tables(rows: Rows) -> list[Table]:
    """Return geometric means, and the pairs of each sheet: for our own shapes, then for published ones; the control."""
    found = []
    for published in (False, True):
        own = [sheet for sheet in _comparison.sheets(rows) if sheet.published == published]
        if own:
            found += [means(own), *(_every_pair(rows, sheet) for sheet in own)]
            found += [_control(own)] if any(len(sheet.control) for sheet in own) else []
    return found


def means(sheets: Sequence[Sheet]) -> Table:
    """Return the geometric mean of the ratios to each peer and to the fastest, and the lowest ratio with its shape."""
    frame, peers = _all(sheets)
    columns = [
        *_setting_columns(_BY),
        Column("shapes"),
        *(Column(wording.implementation_label(peer), "×") for peer in peers),
        Column("the fastest of them", "×"),
        Column("rnnbench faster"),
        Column("slower"),
        Column("lowest", "×"),
        Column("95 % interval", "×"),
        Column("at T×B×H", numeric=False),
    ]
    body = []
    for values, part in groups(frame, _BY):
        best = fastest(part)
        worst, found = lowest(best), verdicts(best)
        body.append(
            [
                *_setting_cells(values),
                str(len(best)),
                *(_mean(part[part["implementation"] == peer], len(best)) for peer in peers),
                wording.plain_ratio(geometric_mean(best["ratio"])),
                str((found > 0).sum()),
                str((found < 0).sum()),
                wording.plain_ratio(worst["ratio"]),
                _comparison.interval(worst),
                str(worst["shape"]),
            ]
        )
    caption = f"Geometric means over {_shapes(sheets)}: the other library's median time over that of rnnbench."
    note = "Faster and slower: shapes where the 95 % interval of the ratio to the fastest lies above and below 1."
    control = pd.concat([sheet.control for sheet in sheets], ignore_index=True)
    note = f"{note} {_comparison.control_sentence(control)}".strip()
    return Table(caption, columns, body, note).condensed()


def _mean(part: pd.DataFrame, shapes: int) -> str:
    """Return the geometric mean, and over how many shapes where some are missing."""
    text = wording.plain_ratio(geometric_mean(part["ratio"])) if len(part) else wording.MISSING
    return f"{text} ({len(part)} of {shapes})" if 0 < len(part) < shapes else text


def _every_pair(rows: Rows, sheet: Sheet) -> Table:
    sizes = ("hidden", "batch", "length", "features")
    with_features = (sheet.pairs["features"] != sheet.pairs["hidden"]).any()
    columns = [
        *_setting_columns(_BY),
        *(Column(name) for name in ("TBHI" if with_features else "TBH")),
        Column("rnnbench", "ms"),
        *(Column(wording.implementation_label(peer), "ms") for peer in sheet.peers),
        Column("ratio to the fastest", "×"),
        Column("95 % interval", "×"),
        Column("of the floor", "%"),
        Column("bound by", numeric=False),
        Column("arithmetic", "GFLOP/s"),
        Column("matrix product", "GFLOP/s"),
    ]
    body = []
    for values, part in groups(sheet.pairs, (*_BY, *sizes)):
        best, ours = lowest(part), part.median(numeric_only=True)
        times = part.set_index("implementation")["peer_median_time"]
        shape = [values[name] for name in _comparison.SHAPE if with_features or name != "features"]
        body.append(
            [
                *_setting_cells({name: values[name] for name in _BY}),
                *map(wording.value_text, shape),
                wording.significant(1e3 * ours["median_time"]),
                *(wording.significant(1e3 * times.get(peer, np.nan)) for peer in sheet.peers),
                wording.plain_ratio(best["ratio"]),
                _comparison.interval(best),
                wording.significant(100 * ours["fraction_of_floor"], 2),
                wording.listing(_comparison.bounds_of(part), "or"),
                wording.significant(_operations(values) / ours["median_time"] / 1e9),
                wording.significant(ours["gemm_rate"]),
            ]
        )
    caption = f"{sheet.start}median times, and the ratio to the fastest other library."
    return Table(caption, columns, body, _checks(rows, sheet)).condensed()


def _control(sheets: Sequence[Sheet]) -> Table:
    columns = [
        *_setting_columns(_BY),
        Column("at T×B×H", numeric=False),
        Column("ratio", "×"),
        Column("95 % interval", "×"),
    ]
    control = pd.concat([sheet.control for sheet in sheets], ignore_index=True)
    body = [
        [
            *_setting_cells({name: pair[name] for name in _BY}),
            str(pair["shape"]),
            wording.plain_ratio(pair["ratio"]),
            _comparison.interval(pair),
        ]
        for _, pair in control.iterrows()
    ]
    caption = "Control: rnnbench timed against itself, where the ratio is 1 but for what disturbs the timing."
    return Table(caption, columns, body).condensed()


def _operations(values: Mapping[str, Any]) -> float:
    """Return 2 G H (H + I) T B forward, three times as many with backward; NaN for a cell not known here."""
    cell = cells.entries().get(str(values["cell"]))
    if cell is None:
        return np.nan
    length, batch, hidden, features = (float(values[name]) for name in _comparison.SHAPE)
    passes = 1 if values["direction"] == "forward" else 3
    return passes * 2 * len(cell.gates) * hidden * (hidden + features) * length * batch


def _checks(rows: Rows, sheet: Sheet) -> str:
    """Return how our times came to be, how far outputs differ, and how many samples were thrown away."""
    text = "Each library is timed in turn with rnnbench, whose time here is the median over those trials."
    trials = rows.wide()
    if "grid" in trials:
        trials = trials[(trials["grid"].fillna("") != "") == sheet.published]
    known = [name for name in ("direction", "dtype") if name in trials]
    trials = trials.merge(sheet.pairs[known].drop_duplicates(), on=known) if known else trials
    if "difference" in trials and trials["difference"].notna().any():
        text += (
            f" Outputs differ by at most {wording.significant(trials['difference'].max(), 2)} of the largest of them."
        )
    if "discarded_samples" in trials:
        text += f" Samples discarded because Numba compiled: {trials['discarded_samples'].sum():.0f}."
    if "unsettled_samples" in trials and trials["unsettled_samples"].any():
        text += f" Samples whose threads did not come to rest after them: {trials['unsettled_samples'].sum():.0f}."
    return text


def _all(sheets: Sequence[Sheet]) -> tuple[pd.DataFrame, list[str]]:
    """Return the pairs of all sheets, and the peers in the report's order."""
    frame = pd.concat([sheet.pairs for sheet in sheets], ignore_index=True)
    return frame, _comparison.in_order(frame["implementation"].unique())


def _shapes(sheets: Sequence[Sheet]) -> str:
    return "the published shapes" if sheets[0].published else "the shapes"


def _setting_columns(names: Sequence[str]) -> list[Column]:
    headings = {"dtype": "type", "grid": "benchmark"}
    return [Column(headings.get(name, name), numeric=name == "threads", axis=True) for name in names]


def _setting_cells(values: Mapping[str, Any]) -> list[str]:
    """Return the text of each value; a benchmark's name stays as it was written."""
    return [str(v or wording.MISSING) if name == "grid" else wording.value_text(v) for name, v in values.items()]
