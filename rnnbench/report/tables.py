"""Tables of the report: cells are text, ready to show in a page or a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rnnbench.report import wording
from rnnbench.report.rows import Rows, groups, parameter_names


@dataclass(frozen=True)
class Column:
    """A column's heading with its unit ("" where it has none); numbers are set flush right."""

    title: str
    unit: str = ""
    numeric: bool = True

    @property
    def heading(self) -> str:
        """The heading with its unit in parentheses."""
        return wording.with_unit(self.title, self.unit)


@dataclass(frozen=True)
class Table:
    """A caption, columns and rows of text."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]

    def without_empty_columns(self) -> Table:
        """Return the table without the columns that say nothing in any row."""
        kept = [n for n in range(len(self.columns)) if any(row[n] != wording.MISSING for row in self.rows)]
        rows = [[row[n] for n in kept] for row in self.rows]
        return Table(self.caption, [self.columns[n] for n in kept], rows)


def setting_columns(names: Sequence[str]) -> list[Column]:
    """Return the columns that tell settings apart, one a parameter."""
    return [Column(wording.words(name), numeric=False) for name in names]


def setting_cells(values: Mapping[str, Any]) -> list[str]:
    """Return the cells under `setting_columns`."""
    return [wording.value_text(value) for value in values.values()]


def scalar_table(rows: Rows) -> Table | None:
    """Return mean ± standard deviation over seeds of every scalar quantity; None where there is none."""
    wide, names = rows.wide(), rows.varying()
    quantities = [name for name in rows.scalars() if name in wide]
    if not quantities:
        return None
    columns = [
        *setting_columns(names),
        Column("trials"),
        *(Column(wording.words(name), rows.unit(name)) for name in quantities),
    ]
    body = [
        [
            *setting_cells(values),
            str(len(part)),
            *(wording.mean_and_deviation(part[name].mean(), part[name].std()) for name in quantities),
        ]
        for values, part in groups(wide, names)
    ]
    return Table(f"{wording.heading(rows.probe)}: mean ± standard deviation over seeds.", columns, body)


def axes_table(trials: pd.DataFrame, probe: str) -> Table:
    """Return what varied and what was held in one probe's trials, in plain words."""
    own = trials[trials["probe"] == probe]
    names = parameter_names(own)
    distinct = {name: [values[name] for values, _ in groups(own, [name])] for name in names}
    varied = sorted((n for n in names if len(distinct[n]) > 1), key=lambda name: name == "seed")
    body = [
        [wording.words(name), wording.PARAMETER_MEANINGS.get(name, ""), _values_text(distinct[name])] for name in varied
    ]
    held = {name: distinct[name][0] for name in names if name not in varied}
    if held:
        body.append(["the others", "held at one value", wording.setting(held)])
    caption = f"{wording.heading(probe)}: {wording.count(len(own), 'trial')}."
    columns = [
        Column("parameter", numeric=False),
        Column("meaning", numeric=False),
        Column("values", numeric=False),
    ]
    return Table(caption, columns, body)


def unfinished_table(trials: pd.DataFrame) -> Table | None:
    """Return the trials whose status is not "ok", with parameters and reasons; None where all finished."""
    unfinished = trials[trials["status"] != "ok"]
    if unfinished.empty:
        return None
    body = []
    for probe, part in unfinished.groupby("probe", sort=False):
        same_probe = trials[trials["probe"] == probe]
        names = [n for n in parameter_names(same_probe) if same_probe[n].nunique(dropna=False) > 1]
        body += [
            [
                wording.words(str(probe)),
                wording.setting({name: trial[name] for name in names}) or wording.MISSING,
                wording.words(str(trial["status"])),
                str(trial["reason"] or wording.MISSING),
                wording.duration(float(trial["runtime_s"])),
                str(trial["key"])[:12],
            ]
            for trial in part.to_dict("records")
        ]
    columns = [Column(name, numeric=False) for name in ("probe", "setting", "status", "reason")]
    columns += [Column("run time"), Column("key", numeric=False)]
    return Table("Trials that did not finish; rows measured before the end are kept.", columns, body)


def _values_text(values: Sequence[object], most: int = 12) -> str:
    texts = [text for text in map(wording.value_text, values) if text != wording.MISSING]
    if len(texts) > most:
        return f"{len(texts)} values from {texts[0]} to {texts[-1]}"
    return ", ".join(texts)
