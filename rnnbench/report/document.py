"""What a report says, before it is a page or a terminal: headline, findings, sections, provenance."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from rnnbench.errors import InputError
from rnnbench.report import figures, findings, provenance, tables, wording
from rnnbench.report.figures.base import Drawing
from rnnbench.report.rows import Rows, seed_count
from rnnbench.report.tables import Table

if TYPE_CHECKING:
    from rnnbench.sweeps.store import Results

_TRIAL_COLUMNS = ("key", "probe", "status", "reason", "runtime_s")
_MEASUREMENT_COLUMNS = ("key", "quantity", "index", "value", "unit")


@dataclass(frozen=True)
class Section:
    """Everything about one probe."""

    anchor: str
    title: str
    lead: str
    drawings: list[Drawing]
    tables: list[Table]
    trials: Table | None
    """Every trial; None where there are too many for a page."""


@dataclass(frozen=True)
class Document:
    """A whole report."""

    name: str
    title: str
    description: list[str]
    facts: list[tuple[str, str]]
    asked: list[Table]
    cards: list[findings.Card]
    """The claims, judged by these rows; none where the run has rows for none of them."""
    sections: list[Section]
    unfinished: Table | None
    provenance: list[Table]
    command: str
    """What made this run; "" where it is not known."""
    again: list[str]
    """Commands that make and compare it again."""
    warnings: list[str] = field(default_factory=list)
    identity: str = ""
    """Which run and which rows: what figures carry in their metadata."""

    @property
    def drawings(self) -> list[Drawing]:
        """Every drawing of what was measured, in reading order."""
        return [drawing for section in self.sections for drawing in section.drawings]

    @property
    def judged_drawings(self) -> list[Drawing]:
        """The drawings of the claims that were judged."""
        return [card.drawing for card in self.cards if card.drawing]

    @property
    def source(self) -> str:
        """The line under each figure: which run it came from."""
        facts = dict(self.facts)
        parts = [
            f"run {self.name}",
            facts.get("started", ""),
            f"commit {facts['commit']}" if "commit" in facts else "",
        ]
        return " · ".join(part for part in parts if part)


def compose(run: Results) -> Document:
    """Read a run's rows into a document; raises InputError where the tables lack a column."""
    _check(run)
    git = _package_git(run.provenance)
    name = str(run.sweep.get("name") or Path(run.path).name)
    description = str(run.sweep.get("description") or "")
    return Document(
        name=name,
        title=str(run.sweep.get("title") or wording.heading(name.replace("-", " "))),
        description=[" ".join(block.split()) for block in description.split("\n\n") if block.strip()],
        facts=list(_facts(run.trials, git)),
        asked=tables.asked_tables(run.sweep, run.trials),
        cards=findings.cards(findings.judge(run)),
        sections=_unique_names([_section(Rows.of(run, probe)) for probe in _probes(run)]),
        unfinished=tables.unfinished_table(run.trials),
        provenance=provenance.tables(run.trials, run.provenance),
        command=str(run.provenance.get("command") or ""),
        again=_commands(Path(run.path), run.sweep),
        warnings=list(_warnings(run, git)),
        identity=f"run {run.provenance.get('run_id') or 'unknown'}, data {run.data_hash or 'unknown'}",
    )


def _check(run: Results) -> None:
    for table, columns in (("trials", _TRIAL_COLUMNS), ("measurements", _MEASUREMENT_COLUMNS)):
        frame = getattr(run, table)
        missing = [name for name in columns if name not in frame.columns]
        if missing:
            found = ", ".join(map(str, frame.columns)) or "none"
            raise InputError(f"{run.path}: table '{table}' lacks the columns {', '.join(missing)}; found: {found}")


def _probes(run: Results) -> list[str]:
    return [str(name) for name in run.trials["probe"].unique()]


def _section(rows: Rows) -> Section:
    plots = [plot for plot in figures.entries().values() if plot.probe == rows.probe]
    drawings = [drawing for plot in plots for drawing in plot.draw(rows)]
    own_tables = [table for plot in plots for table in plot.tables(rows)]
    if not own_tables:
        scalars = tables.scalar_table(rows)
        own_tables = [scalars] if scalars else []
    return Section(
        wording.slug(rows.probe),
        wording.heading(rows.probe),
        _lead(rows),
        drawings,
        own_tables,
        tables.trials_table(rows),
    )


def _lead(rows: Rows) -> str:
    finished = int((rows.trials["status"] == "ok").sum())
    text = f"{finished} of {wording.count(len(rows.trials), 'trial')} finished"
    if "seed" in rows.parameters:
        text += f", over {wording.count(seed_count(rows.trials), 'seed')}"
    if rows.measurements.empty:
        return text + ". Nothing was measured."
    return text + f"; {wording.count(len(rows.measurements), 'row')} measured."


def _unique_names(sections: list[Section]) -> list[Section]:
    """Number the drawings whose names would be the same file."""
    seen: dict[str, int] = {}

    def unique(drawing: Drawing) -> Drawing:
        name = wording.slug(drawing.name)
        seen[name.lower()] = seen.get(name.lower(), 0) + 1
        number = seen[name.lower()]
        return replace(drawing, name=name if number == 1 else f"{name}-{number}")

    return [replace(section, drawings=[unique(drawing) for drawing in section.drawings]) for section in sections]


def _facts(trials: pd.DataFrame, git: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    finished = int((trials["status"] == "ok").sum())
    yield "trials", f"{finished:,} of {len(trials):,} finished"
    if "seed" in trials and trials["seed"].notna().any():
        yield "seeds", f"{trials['seed'].nunique()}"
    if len(trials):
        yield "time in trials", wording.duration(float(trials["runtime_s"].sum()))
    if started := provenance.start_times(trials):
        yield "started", started[0][:10]
    if git.get("commit"):
        yield "commit", str(git["commit"])[:10] + (" + changes" if git.get("dirty") else "")


def _warnings(run: Results, git: Mapping[str, Any]) -> Iterator[str]:
    if run.trials.empty:
        yield "Nothing was measured: this run holds no trials."
    elif run.measurements.empty:
        yield "Nothing was measured: no trial of this run left a row."
    if run.missing:
        yield f"{wording.count(len(run.missing), 'trial')} of the sweep did not run yet; the next run does."
    if git.get("dirty"):
        yield "The working tree had uncommitted changes: the commit alone does not give these numbers."


def _package_git(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return commit and dirty flag of the package's own git tree; empty where there was none."""
    return provenance.get("package_git") or {}


def _commands(path: Path, sweep: Mapping[str, Any]) -> list[str]:
    """Return what to type beside the run's folder; a run goes to a folder of its name under --out.

    Files of a user's own lie in one folder there, and run if the command line names it.
    """
    name = shlex.quote(path.name)
    code = "".join(f" --code {name}/{folder}" for folder in {Path(file).parent.name for file in sweep.get("files", ())})
    return [f"rnnbench run {name}/sweep.toml --out again{code}"]
