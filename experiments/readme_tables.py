"""Write the parts of README that come from runs, or check that they are up to date: the verdicts on what is said of
recurrent networks, what is remembered and what is learned, and the comparison with other libraries.

    python experiments/readme_tables.py [--check] [--table comparison] [--run FOLDER] [--readme README.md]

Each stands in README between two comments, as `marks` gives them; nothing else in the file is touched. `--check` writes
nothing and ends with 1 where the file says something else than the rows do. `--run` names another run for one table.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rnnbench.errors import InputError
from rnnbench.report import findings, wording
from rnnbench.report.document import compose
from rnnbench.report.figures import _comparison, _comparison_tables
from rnnbench.report.figures.base import Drawing
from rnnbench.report.figures.published import Published
from rnnbench.report.figures.success_by_length import SuccessByLength
from rnnbench.report.figures.training_skill import TrainingSkill
from rnnbench.report.rows import Rows
from rnnbench.report.tables import Table, markdown
from rnnbench.sweeps.store import Results

ROOT = Path(__file__).parents[1]
REFERENCE, README = ROOT / "results" / "reference", ROOT / "README.md"
FOUND = ("comparison_floor", "step_profile", "throughput_linearity", "throughput_threads")
"""Figures whose findings follow the table of the comparison, in this order."""


def comparison(run: Results, link: str = "") -> str:
    """Return the table of the comparison, what its numbers came from, and findings; `link` leads to the run.

    InputError for a run without shapes of our own.
    """
    rows = Rows.of(run, "comparison")
    own = [sheet for sheet in _comparison.sheets(rows) if not sheet.published]
    if not own:
        raise InputError(f"{run.path}: the run compares no library at shapes of our own")
    table = _comparison_tables.means(own)
    peers = _comparison.in_order({peer for sheet in own for peer in sheet.peers})
    found = [f"* {drawing.finding}" for drawing in _drawings(run)]
    origin = _origin(
        run, {wording.implementation_label(peer): peer for peer in peers}, "rows, provenance and all shapes", link
    )
    parts = [table.caption, markdown(table), " ".join([table.note, *origin]), "\n".join(found)]
    return "\n\n".join(filter(None, parts))


def verdicts(run: Results, link: str = "") -> str:
    """Return how many hypotheses came to which verdict, the table of all of them, the rule, and the run.

    InputError for a run that has rows for none of them.
    """
    cards = findings.cards(findings.judge(run))
    if not cards:
        raise InputError(f"{run.path}: the run has no rows for any hypothesis")
    table = findings.table(cards)
    given = [row[-1] for row in table.rows]
    counted = [f"{given.count(verdict)} {verdict}" for verdict in findings.SIGNS if verdict in given]
    note = " ".join([findings.RULE, *_origin(run, {}, "rows and provenance", link)])
    said = f"{len(cards)} hypotheses in {len(given)} settings: {wording.listing(counted)}."
    return "\n\n".join([said, markdown(_said_once(table)), note])


def applications(run: Results, link: str = "") -> str:
    """Return what each application is learned to, beside its naive baseline; InputError for a run without any."""
    rows, plot = Rows.of(run, "training"), TrainingSkill()
    tables = plot.tables(rows)
    if not tables:
        raise InputError(f"{run.path}: the run trains on no task that is an application")
    [drawing] = plot.draw(rows)
    origin = _origin(run, {}, "rows and provenance", link)
    return "\n\n".join([drawing.finding, markdown(tables[0]), " ".join(origin)])


def memory(run: Results, link: str = "") -> str:
    """Return how far back each task was learned, and published numbers beside ours; InputError for a run without."""
    rows = Rows.of(run, "training")
    drawings, tables = SuccessByLength().draw(rows), Published().tables(rows)
    if not drawings or not tables:
        raise InputError(f"{run.path}: the run trains on no task of the literature at several lengths")
    found = "\n".join(f"* {drawing.finding}" for drawing in drawings)
    [table] = tables
    note = " ".join([table.note, *_origin(run, {}, "rows and provenance", link)])
    return "\n\n".join([found, table.caption, markdown(table), note])


def _said_once(table: Table) -> Table:
    """Return a table whose rows of one hypothesis name it in the first of them alone."""
    rows: list[list[str]] = []
    last = ""
    for row in table.rows:
        rows.append(["" if row[0] == last else row[0], *row[1:]])
        last = row[0]
    return Table(table.caption, table.columns, rows)


def _drawings(run: Results) -> list[Drawing]:
    """Return the drawings of FOUND that the run allows, of shapes of our own."""
    every = [drawing for drawing in compose(run).drawings if "published" not in drawing.name]
    return [drawing for name in FOUND for drawing in every if drawing.name.startswith(name)]


def _origin(run: Results, peers: dict[str, str], contents: str, link: str) -> list[str]:
    """Return sentences: machine and date, versions, command; `contents` is what the link leads to."""
    known: dict[str, Any] = run.provenance
    machine, versions = known.get("machine", {}), known.get("versions", {})
    cores = machine.get("available_cores")
    where = ", ".join(filter(None, [machine.get("cpu", ""), wording.count(cores, "core") if cores else ""]))
    named = {"Python": "python", "rnnbench": "rnnbench", "Numba": "numba", "NumPy": "numpy"} | peers
    found = {label: _version(run, versions, name) for label, name in named.items()}
    made = f"Made by `{known.get('command', '')}`"
    return [
        f"Machine: {where or 'not known'}{_date(known)}.",
        f"Versions: {', '.join(f'{label} {version}' for label, version in found.items())}.",
        f"{made}; {contents}: [{link}]({link})." if link else f"{made}.",
    ]


def _version(run: Results, versions: dict[str, Any], name: str) -> str:
    """Return the version that the trials were run with or, where they do not tell, that of the provenance."""
    column = f"{name}_version"
    told = run.trials[column].dropna().astype(str).unique() if column in run.trials else []
    return ", ".join(sorted(told)) or str(versions.get(name) or "not known")


def _date(provenance: dict[str, Any]) -> str:
    started = str(provenance.get("started_at") or "")
    return f", {started[:10]}" if started else ""


class Block(NamedTuple):
    """A part of README: what writes it, and the run that it is written from."""

    content: Callable[[Results, str], str]
    run: Path


BLOCKS = {
    "applications": Block(applications, REFERENCE / "applications"),
    "comparison": Block(comparison, REFERENCE / "throughput"),
    "memory": Block(memory, REFERENCE / "memory"),
    "verdicts": Block(verdicts, REFERENCE / "concepts"),
}


def marks(name: str) -> tuple[str, str]:
    """Return the comments before and after a table."""
    return f"<!-- {name}:begin, written by experiments/readme_tables.py -->", f"<!-- {name}:end -->"


def replaced(text: str, name: str, content: str) -> str:
    """Return README's text with the content between a table's comments; InputError unless they are there once each."""
    begin, end = marks(name)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise InputError(f"README needs the line {begin} and, after it, the line {end}, once each")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.partition(end)[2]}"


def _read(readme: Path) -> str:
    try:
        return readme.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        begin, end = marks("NAME")
        raise InputError(f"{readme}: {reason}; expected a file with the lines {begin} and {end}") from None


def main(arguments: list[str] | None = None) -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where README is out of date")
    parser.add_argument("--table", choices=BLOCKS, help="this table alone")
    parser.add_argument("--run", type=Path, help="folder of the run, for one table")
    parser.add_argument("--readme", type=Path, default=README, help="file with the comments")
    options = parser.parse_args(arguments)
    if options.run and not options.table:
        parser.error("--run names the run of one table; expected --table too")
    try:
        text = wanted = _read(options.readme)
        for name in [options.table] if options.table else BLOCKS:
            run = options.run or BLOCKS[name].run
            link = Path(os.path.relpath(run.resolve(), options.readme.resolve().parent)).as_posix()
            wanted = replaced(wanted, name, BLOCKS[name].content(Results.load(run), link))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.check and text != wanted:
        print(f"{options.readme} is out of date: run python experiments/readme_tables.py", file=sys.stderr)
        return 1
    if text != wanted:
        options.readme.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
