"""The two tables of a run, one probe at a time: quantities joined with the parameters of their trials."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Number
from typing import TYPE_CHECKING, Any

import pandas as pd

from rnnbench.sweeps.store import LATER_COLUMNS, TRIAL_COLUMNS

if TYPE_CHECKING:
    from rnnbench.sweeps.store import Results

BOOKKEEPING = frozenset([*TRIAL_COLUMNS, *LATER_COLUMNS])
"""Columns of `trials` that are not parameters; columns that end in _version are not either."""

CELL_ORDER = ("rnn", "lstm", "gru")


@dataclass(frozen=True)
class Rows:
    """All rows of one probe."""

    probe: str
    trials: pd.DataFrame
    measurements: pd.DataFrame
    """One row a measurement: key, quantity, index, value, unit, and the parameters of its trial."""

    @classmethod
    def of(cls, run: Results, probe: str) -> Rows:
        """Select the rows of one probe and join the parameters to the measurements."""
        trials = run.trials[run.trials["probe"] == probe].copy()
        own = run.measurements[run.measurements["key"].isin(trials["key"])]
        taken = {*own.columns, *own["quantity"]} - {"key"}
        clashes = {name: f"{name} parameter" for name in parameter_names(trials) if name in taken}
        trials = trials.rename(columns=clashes)
        names = parameter_names(trials)
        for name in names:
            if trials[name].dtype == object:
                trials[name] = trials[name].map(_hashable)
        joined = own.merge(trials[["key", *names]], on="key", validate="many_to_one")
        return cls(probe, trials, joined)

    @cached_property
    def parameters(self) -> list[str]:
        """Names of the probe's parameters."""
        return parameter_names(self.trials)

    @cached_property
    def quantities(self) -> list[str]:
        """Names of the measured quantities, in the order they were yielded."""
        return list(self.measurements["quantity"].unique())

    def quantity(self, name: str) -> pd.DataFrame:
        """Return the rows of one quantity; empty where it was not measured."""
        return self.measurements[self.measurements["quantity"] == name]

    def unit(self, name: str) -> str:
        """Return the unit of a quantity ("" where it was not measured)."""
        units = self.quantity(name)["unit"]
        return str(units.iloc[0]) if len(units) else ""

    def scalars(self) -> list[str]:
        """Return the quantities that have one value a trial."""
        indexed = set(self.measurements.loc[self.measurements["index"].notna(), "quantity"])
        return [name for name in self.quantities if name not in indexed]

    def wide(self) -> pd.DataFrame:
        """Return one row a trial: its key, its parameters and its scalar quantities as columns."""
        return self._wide.copy()

    @cached_property
    def _wide(self) -> pd.DataFrame:
        scalars = self.measurements[self.measurements["quantity"].isin(self.scalars())]
        values = scalars.drop_duplicates(["key", "quantity"]).set_index(["key", "quantity"])["value"].unstack()
        return self.trials[["key", "status", *self.parameters]].merge(values, on="key", how="inner")

    def varying(self, frame: pd.DataFrame | None = None, besides: Sequence[str] = ()) -> list[str]:
        """Return the parameters that take more than one value within one cell, without seed and `besides`.

        What differs between cells alone (a gate bias, which an RNN has none of) belongs to the cell.
        """
        frame = self.trials if frame is None else frame
        names = [name for name in self.parameters if name not in {"cell", "seed", *besides}]
        cells = [part for _, part in groups(frame, ["cell"])]
        return [name for name in names if any(part[name].nunique(dropna=False) > 1 for part in cells)]

    def distinct(self, frame: pd.DataFrame | None = None) -> list[str]:
        """Return the parameters that a table needs a column for: cell, what varies, what differs between cells."""
        frame = self.trials if frame is None else frame
        varying = self.varying(frame)
        return [n for n in self.parameters if n in varying or (n != "seed" and frame[n].nunique() > 1)]


def parameter_names(trials: pd.DataFrame) -> list[str]:
    """Return the columns that hold parameters, without those that no trial has."""
    return [
        str(name)
        for name in trials.columns
        if name not in BOOKKEEPING and not str(name).endswith("_version") and trials[name].notna().any()
    ]


def groups(frame: pd.DataFrame, names: Sequence[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield (values, rows) for each combination of the named parameters, in natural order."""
    names = [name for name in names if name in frame]
    if not names:
        if len(frame):
            yield {}, frame
        return
    parts = [
        (dict(zip(names, values, strict=True)), part)
        for values, part in frame.groupby(list(names), dropna=False, sort=False)
    ]
    yield from sorted(parts, key=lambda part: [natural_order(value) for value in part[0].values()])


def settings(frame: pd.DataFrame, names: Sequence[str]) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """Return (values, rows) for each combination of the named parameters, in natural order.

    A cell that does not have a parameter (missing in all its rows) is part of every setting of the others.
    """
    cells = frame["cell"] if "cell" in frame else pd.Series("", frame.index)
    names = [name for name in names if name in frame]
    absent = {name: frame[name].isna().groupby(cells, dropna=False).transform("all") for name in names}
    complete = frame[~pd.DataFrame(absent, index=frame.index).any(axis=1)]
    found, rest = [], frame
    for values, _ in groups(complete, names):
        fits = pd.Series(True, frame.index)
        for name, value in values.items():
            fits &= absent[name] | _equals(frame[name], value)
        found.append((values, frame[fits]))
        rest = rest[~rest.index.isin(frame.index[fits])]
    found += groups(rest, names)
    return sorted(found, key=lambda part: [natural_order(value) for value in part[0].values()])


def natural_order(value: object) -> tuple[int, float, str]:
    """Sort key: the known cells, then numbers, then text, then what is missing."""
    if isinstance(value, str):
        known = value in CELL_ORDER
        return (0, float(CELL_ORDER.index(value)), "") if known else (2, 0.0, value)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return (3, 0.0, "")
    return (3, 0.0, "") if math.isnan(number) else (1, number, "")


def hold(frame: pd.DataFrame, names: Sequence[str]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Keep one value of each named parameter and say which: the one most trials have, the largest of equals.

    A figure has room for a few parameters; the others are held, named in its caption, and vary in its table.
    """
    held: dict[str, Any] = {}
    for name in names:
        found = settings(frame, [name])
        if len(found) > 1:
            values, frame = max(found, key=lambda part: (part[1]["key"].nunique(), natural_order(part[0][name])))
            held[name] = values[name]
    return frame, held


def seed_count(frame: pd.DataFrame) -> int:
    """Return how many seeds (trials, where there is no seed) a frame has."""
    return int(frame["seed"].nunique() if "seed" in frame else frame["key"].nunique())


def _hashable(value: object) -> object:
    return value if isinstance(value, str | Number) or value is None or value is pd.NA else str(value)


def _equals(column: pd.Series, value: Any) -> pd.Series:
    return column.isna() if pd.isna(value) else (column == value).fillna(False).astype(bool)
