"""Tables of the report: cells are text, ready to show in a page or a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rnnbench.report import wording
from rnnbench.report.rows import Rows, groups, natural_order, parameter_names

MOST_TRIALS = 3000
"""Of one probe, that a page lists; beyond that they are in the run's folder alone."""


@dataclass(frozen=True)
class Column:
    """A column's heading with its unit ("" where it has none); numbers are set flush right.

    An axis is a column that rows are chosen by.
    """

    title: str
    unit: str = ""
    numeric: bool = True
    axis: bool = False

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
    note: str = ""
    """What holds for the whole table, written under it."""

    def condensed(self) -> Table:
        """Return the table without columns that say nothing; what is the same in all rows goes to the note."""
        distinct = [{row[n] for row in self.rows} for n in range(len(self.columns))]
        kept = [n for n, values in enumerate(distinct) if len(values) > 1 or len(self.rows) == 1]
        kept = [n for n in kept if distinct[n] != {wording.MISSING}]
        same = [
            f"{self.columns[n].heading}: {values.copy().pop()}"
            for n, values in enumerate(distinct)
            if n not in kept and values != {wording.MISSING}
        ]
        note = " ".join(filter(None, [self.note, f"In every row: {'; '.join(same)}." if same else ""]))
        rows = [[row[n] for n in kept] for row in self.rows]
        return Table(self.caption, [self.columns[n] for n in kept], rows, note)


def markdown(table: Table) -> str:
    """Return a table in the Markdown of GitHub, without its caption and note."""
    columns = [column.heading for column in table.columns]
    rules = ["---:" if column.numeric else "---" for column in table.columns]
    lines = [columns, rules, *([cell.replace("|", "\\|") for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def setting_columns(names: Sequence[str]) -> list[Column]:
    """Return the columns that tell settings apart, one a parameter."""
    return [Column(wording.words(name), numeric=False, axis=True) for name in names]


def setting_cells(values: Mapping[str, Any]) -> list[str]:
    """Return the cells under `setting_columns`."""
    return [wording.value_text(value) for value in values.values()]


def scalar_table(rows: Rows) -> Table | None:
    """Return mean ± standard deviation over seeds of every scalar quantity; None where there is none."""
    wide, names = rows.wide(), rows.distinct()
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


def trials_table(rows: Rows) -> Table | None:
    """Return a row a trial: what differs between trials, how it ended, and its scalars; None where there are too many.

    Figures and tables above it are of settings, over seeds; this is where one trial is found.
    """
    trials = rows.trials
    if trials.empty or len(trials) > MOST_TRIALS:
        return None
    names = [*rows.distinct(), *(["seed"] if "seed" in rows.parameters else [])]
    wide = rows.wide().set_index("key")
    quantities = [name for name in rows.scalars() if name in wide]
    columns = [
        *setting_columns(names),
        Column("status", numeric=False, axis=True),
        *(Column(wording.words(name), rows.unit(name)) for name in quantities),
        Column("run time", "s"),
        Column("key", numeric=False),
    ]
    scalars = wide[quantities].to_dict("index")
    body = [
        [
            *setting_cells({name: trial[name] for name in names}),
            wording.words(str(trial["status"])),
            *(wording.significant(scalars.get(trial["key"], {}).get(name, math.nan)) for name in quantities),
            wording.significant(float(trial["runtime_s"])),
            str(trial["key"])[:12],
        ]
        for trial in trials.sort_values(names, key=_order).to_dict("records")
    ]
    return Table(f"{wording.heading(rows.probe)}: every trial.", columns, body)


def _order(column: pd.Series) -> pd.Series:
    """Return the rank of each value in natural order."""
    distinct = sorted(column.unique(), key=natural_order)
    return column.map({value: place for place, value in enumerate(distinct)}).fillna(len(distinct))


def asked_tables(sweep: Mapping[str, Any], trials: pd.DataFrame) -> list[Table]:
    """Return what was asked: a table for each section of the sweep, or for each probe where the sweep is not known."""
    sections = [section for section in sweep.get("sweep", []) if "probe" in section]
    if sections:
        return [_section_table(section) for section in sections]
    return [_probe_table(trials[trials["probe"] == probe], str(probe)) for probe in trials["probe"].unique()]


def _section_table(section: Mapping[str, Any]) -> Table:
    """Return the axes of one [[sweep]]; what advances together is one row."""
    probe, axes, together = wording.words(section["probe"]), section.get("axes", {}), section.get("together", {})
    caption = f"{section['title']} ({probe})" if section.get("title") else wording.heading(probe)
    points = [dict(zip(together, values, strict=True)) for values in zip(*together.values(), strict=True)]
    joint = "; ".join(map(wording.setting, points))
    body = [_axis_row(name, values) for name, values in axes.items() if name != "seed"]
    body += [[", ".join(map(wording.words, together)), "advance together", joint]] if together else []
    body += [_axis_row("seed", axes["seed"])] if "seed" in axes else []
    return _asked(caption, body, section.get("fixed", {}))


def _probe_table(own: pd.DataFrame, probe: str) -> Table:
    """Return the parameters that took more than one value in a probe's trials."""
    found = {name: [values[name] for values, _ in groups(own, [name])] for name in parameter_names(own)}
    distinct = {name: [value for value in values if not pd.isna(value)] for name, values in found.items()}
    varied = sorted((name for name in distinct if len(distinct[name]) > 1), key=lambda name: name == "seed")
    held = {name: values[0] for name, values in distinct.items() if name not in varied}
    return _asked(wording.heading(probe), [_axis_row(name, distinct[name]) for name in varied], held)


def _asked(caption: str, body: Sequence[Sequence[str]], fixed: Mapping[str, Any]) -> Table:
    columns = [Column(name, numeric=False) for name in ("varied", "meaning", "values")]
    body = body or [["nothing", "one trial", wording.MISSING]]
    return Table(caption, columns, body, _held(fixed))


def _held(fixed: Mapping[str, Any]) -> str:
    parts = [f"{wording.words(name)} {wording.value_text(value)}" for name, value in fixed.items()]
    return f"Held fixed: {', '.join(parts)}." if parts else ""


def _axis_row(name: str, values: Sequence[Any]) -> list[str]:
    return [wording.words(name), wording.PARAMETER_MEANINGS.get(name, ""), _values_text(values)]


def unfinished_table(trials: pd.DataFrame) -> Table | None:
    """Return the trials whose status is not "ok", with parameters and reasons; None where all finished."""
    unfinished = trials[trials["status"] != "ok"]
    if unfinished.empty:
        return None
    body = []
    for probe, part in unfinished.groupby("probe", sort=False):
        same_probe = trials[trials["probe"] == probe]
        names = [n for n in parameter_names(same_probe) if same_probe[n].nunique() > 1]
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
