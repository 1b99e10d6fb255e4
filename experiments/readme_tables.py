"""Write README's table of the comparison with other libraries, and what its figures show, from the rows of a run, or
check that it is up to date.

    python experiments/readme_tables.py [--check] [--run results/reference/throughput] [--readme README.md]

They stand in README between two comments, BEGIN and END below; nothing else in the file is touched. `--check`
writes nothing and ends with 1 where the file says something else than the rows do.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from rnnbench.errors import InputError
from rnnbench.report import wording
from rnnbench.report.document import compose
from rnnbench.report.figures import _comparison, _comparison_tables
from rnnbench.report.figures.base import Drawing
from rnnbench.report.rows import Rows
from rnnbench.report.tables import markdown
from rnnbench.sweeps.store import Results

ROOT = Path(__file__).parents[1]
RUN, README = ROOT / "results" / "reference" / "throughput", ROOT / "README.md"
FOUND = ("comparison_floor", "step_profile", "throughput_linearity", "throughput_threads")
"""Figures whose findings follow the table, in this order."""
BEGIN, END = "<!-- comparison:begin, written by experiments/readme_tables.py -->", "<!-- comparison:end -->"


def block(run: Results, link: str = "") -> str:
    """Return the table, what its numbers came from, and findings; `link` leads to the run.

    InputError for a run without shapes of our own.
    """
    rows = Rows.of(run, "comparison")
    own = [sheet for sheet in _comparison.sheets(rows) if not sheet.published]
    if not own:
        raise InputError(f"{run.path}: the run compares no library at shapes of our own")
    table = _comparison_tables.means(own)
    peers = _comparison.in_order({peer for sheet in own for peer in sheet.peers})
    found = [f"* {drawing.finding}" for drawing in _drawings(run)]
    parts = [table.caption, markdown(table), " ".join([table.note, *_origin(run, peers, link)]), "\n".join(found)]
    return "\n\n".join(filter(None, parts))


def _drawings(run: Results) -> list[Drawing]:
    """Return the drawings of FOUND that the run allows, of shapes of our own."""
    every = [drawing for drawing in compose(run).drawings if "published" not in drawing.name]
    return [drawing for name in FOUND for drawing in every if drawing.name.startswith(name)]


def _origin(run: Results, peers: list[str], link: str) -> list[str]:
    """Return sentences: machine and date, versions, command."""
    known: dict[str, Any] = run.provenance
    machine, versions = known.get("machine", {}), known.get("versions", {})
    cores = machine.get("available_cores")
    where = ", ".join(filter(None, [machine.get("cpu", ""), wording.count(cores, "core") if cores else ""]))
    named = {"Python": "python", "rnnbench": "rnnbench", "Numba": "numba", "NumPy": "numpy"}
    named |= {wording.implementation_label(peer): peer for peer in peers}
    found = {label: _version(run, versions, name) for label, name in named.items()}
    made = f"Made by `{known.get('command', '')}`"
    return [
        f"Machine: {where or 'not known'}{_date(known)}.",
        f"Versions: {', '.join(f'{label} {version}' for label, version in found.items())}.",
        f"{made}; rows, provenance and all shapes: [{link}]({link})." if link else f"{made}.",
    ]


def _version(run: Results, versions: dict[str, Any], name: str) -> str:
    """Return the version that the trials were run with or, where they do not tell, that of the provenance."""
    column = f"{name}_version"
    told = run.trials[column].dropna().astype(str).unique() if column in run.trials else []
    return ", ".join(sorted(told)) or str(versions.get(name) or "not known")


def _date(provenance: dict[str, Any]) -> str:
    started = str(provenance.get("started_at") or "")
    return f", {started[:10]}" if started else ""


def replaced(text: str, content: str) -> str:
    """Return README's text with the content between the two comments; InputError where they are not there once each."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise InputError(f"README needs the line {BEGIN} and, after it, the line {END}, once each")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{content}\n{END}{rest.partition(END)[2]}"


def _read(readme: Path) -> str:
    try:
        return readme.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"{readme}: {reason}; expected a file with the lines {BEGIN} and {END}") from None


def main(arguments: list[str] | None = None) -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where README is out of date")
    parser.add_argument("--run", type=Path, default=RUN, help="folder of the run")
    parser.add_argument("--readme", type=Path, default=README, help="file with the two comments")
    options = parser.parse_args(arguments)
    try:
        link = Path(os.path.relpath(options.run.resolve(), options.readme.resolve().parent)).as_posix()
        text = _read(options.readme)
        wanted = replaced(text, block(Results.load(options.run), link))
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
