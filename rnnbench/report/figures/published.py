"""Published numbers beside ours: one table over all tasks that the literature reports."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd

from rnnbench.report import wording
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups, hold, seed_count
from rnnbench.report.tables import Column, Table

AT_BASELINE = 0.1
"""A score that has come less than this fraction of the way from the baseline to perfection is at the baseline."""


@dataclass(frozen=True)
class Comparison:
    """One [[comparison]] of published.toml, where the fields are explained."""

    task: str
    source: str
    length: int
    setting: str
    quantity: str
    unit: str
    better: str
    scores: Mapping[str, float]
    differs: str
    baseline: float = np.nan

    @property
    def perfect(self) -> float:
        """The best score there can be."""
        return 0.0 if self.better == "lower" else 1.0

    def left_baseline(self, score: float, baseline: float) -> bool:
        """Tell whether a score is better than what needs no memory; where no baseline is known, always."""
        if not np.isfinite(baseline):
            return True
        return (baseline - score) / (baseline - self.perfect) > AT_BASELINE


@cache
def comparisons() -> tuple[Comparison, ...]:
    """Return the published numbers."""
    text = resources.files("rnnbench.report").joinpath("published.toml").read_text(encoding="utf-8")
    return tuple(Comparison(**entry) for entry in tomllib.loads(text)["comparison"])


class Published(Plot):
    """No figure, one table: published numbers, ours, and whether cells come in the same order."""

    name = "published"
    title = "Published numbers"
    probe = "training"
    rank = 5

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return nothing: numbers that were not measured in one place are a table."""
        return []

    def tables(self, rows: Rows) -> list[Table]:
        """Return the table, a row for each published comparison whose task was run; none where there is none."""
        wide = _with_quantities(rows)
        body = [row for row in (_row(rows, each, wide) for each in comparisons()) if row]
        columns = ["task", "source", "published at", "published", "ours at", "ours, median of seeds", "order of cells"]
        note = "In parentheses what a predictor without memory has. Orders are compared pair by pair: ours are told "
        note += "apart where one cell left the baseline and the other did not, or where their seeds do not overlap."
        caption = "Published numbers beside ours: orders and baselines can agree, decimals depend on the recipe."
        return [Table(caption, [Column(name, numeric=False) for name in columns], body, note)] if body else []


def _with_quantities(rows: Rows) -> pd.DataFrame:
    """Return one row a trial, with the quantities that a comparison can be about as columns."""
    wide = rows.wide()
    losses = rows.quantity("training_loss")
    wide["training_loss"] = wide["key"].map(losses.sort_values("index").groupby("key")["value"].last())
    if {"steps_to_solve", "batch"} <= set(wide):
        wide["training_sequences"] = wide["steps_to_solve"].fillna(np.inf) * wide["batch"].astype(float)
    return wide


def _row(rows: Rows, published: Comparison, wide: pd.DataFrame) -> list[str]:
    """Return the cells of one comparison; nothing where its task or quantity was not measured."""
    if not {"task", "cell", "length", published.quantity} <= set(wide):
        return []
    own = wide[(wide["task"] == published.task) & wide["cell"].isin(list(published.scores))]
    own = own[own[published.quantity].notna()]
    if "chrono" in own and own["chrono"].isna().any():
        own = own[own["chrono"].isna()]  # none of the published ones has chrono biases
    if own.empty:
        return []
    length = _nearest(own["length"], published.length)
    own, _ = hold(own[own["length"] == length], rows.varying(own, besides=("task", "length")))
    values = {str(at["cell"]): part[published.quantity].to_numpy(float) for at, part in groups(own, ["cell"])}
    baseline = _own_baseline(published, own)
    return [
        wording.words(published.task),
        published.source,
        f"{published.length:,} steps, {published.setting}",
        _scores(published.scores, published.unit, published.baseline),
        f"{length:,} steps, {_sizes(own)}, {wording.count(seed_count(own), 'seed')}",
        _scores({cell: float(np.median(found)) for cell, found in values.items()}, published.unit, baseline),
        _order(published, values, baseline),
    ]


def _nearest(lengths: pd.Series, wanted: int) -> int:
    return int(min(lengths.unique(), key=lambda length: abs(np.log(float(length) / wanted))))


def _own_baseline(published: Comparison, own: pd.DataFrame) -> float:
    name = {"final_score": "baseline_score", "training_loss": "baseline_loss"}.get(published.quantity, "")
    return float(own[name].median()) if name in own else np.nan


def _sizes(own: pd.DataFrame) -> str:
    """Return the numbers of parameters of our networks."""
    if "parameter_count" not in own:
        return f"{wording.span(own['hidden'])} units" if "hidden" in own else ""
    ends = dict.fromkeys(f"{size:,.0f}" for size in (own["parameter_count"].min(), own["parameter_count"].max()))
    return f"{' to '.join(ends)} parameters"


def _scores(scores: Mapping[str, float], unit: str, baseline: float) -> str:
    texts = [f"{wording.cell_label(cell)} {_score(value)}" for cell, value in scores.items()]
    without = f" ({wording.significant(baseline)})" if np.isfinite(baseline) else ""
    return f"{', '.join(texts)} {unit}{without}"


def _score(value: float) -> str:
    return wording.significant(value) if np.isfinite(value) else "not solved"


def _order(published: Comparison, ours: Mapping[str, np.ndarray], baseline: float) -> str:
    """Return which pairs of cells are in the published order, which are not, and what is different here."""
    found: dict[str, list[str]] = {"as published": [], "not told apart here": [], "the other way round": []}
    for one, other in itertools.combinations([cell for cell in published.scores if cell in ours], 2):
        theirs = _compare(published, {c: np.array([published.scores[c]]) for c in (one, other)}, published.baseline)
        own = _compare(published, {c: ours[c] for c in (one, other)}, baseline)
        kind = "as published" if own == theirs else "not told apart here" if own == 0 else "the other way round"
        if theirs == 0 and own != 0:
            kind = "told apart only here"
        sign = {1: " before ", -1: " after ", 0: " like "}[theirs]
        found.setdefault(kind, []).append(f"{wording.cell_label(one)}{sign}{wording.cell_label(other)}")
    text = "; ".join(f"{kind}: {', '.join(pairs)}" for kind, pairs in found.items() if pairs)
    agrees = not any(pairs for kind, pairs in found.items() if kind != "as published")
    return text if agrees and text else " ".join(filter(None, [f"{text}." if text else "", published.differs]))


def _compare(published: Comparison, seeds: Mapping[str, np.ndarray], baseline: float) -> int:
    """Return 1 where the first of two cells is better, -1 where the second is, 0 where they are not told apart."""
    sign = -1.0 if published.better == "lower" else 1.0
    one, other = seeds.values()
    left = [published.left_baseline(float(np.median(each)), baseline) for each in (one, other)]
    if left[0] != left[1]:
        return 1 if left[0] else -1
    if not left[0]:
        return 0
    if (sign * one).min() > (sign * other).max():
        return 1
    return -1 if (sign * other).min() > (sign * one).max() else 0
