"""The answer of a gate as lines and a table: in the terminal, and as Markdown for a pull request."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnbench.regressions.gate.result import BROKEN, EXIT_CANNOT_TELL, EXIT_REGRESSED, VERDICTS, Result, Row
from rnnbench.regressions.statistics import CANNOT_TELL, FASTER, SLOWER
from rnnbench.regressions.terminal import interval_text, time_text
from rnnbench.report import wording

HEADINGS = ("benchmark", "base", "head", "head / base", "95 % interval", "rounds", "detectable", "verdict")
_WORDS = frozenset({"benchmark", "verdict"})
MARK = "<!-- rnnbench gate -->"
"""First line of the Markdown, by which a comment of an earlier gate is found again."""
_STYLES = {BROKEN: "bold red", SLOWER: "bold red", FASTER: "bold green", CANNOT_TELL: "yellow"}
_ANSWER_STYLES = {EXIT_REGRESSED: "bold red", EXIT_CANNOT_TELL: "bold yellow"}


def show(result: Result, console: Console) -> None:
    """Print the table and what it promises."""
    console.print(Text(title(result), style=_ANSWER_STYLES.get(result.exit_code, "bold green")))
    headings = _headings(result)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in _WORDS else "right", overflow="fold")
    for row in result.rows:
        *cells, verdict = _cells(row, headings)
        told = Text(verdict, style=_STYLES.get(row.verdict, ""))
        table.add_row(*map(Text, cells), told.append(_reason(row), style="dim"))
    console.print(table)
    for line in promises(result):
        console.print(Text(line, style="dim"))


def markdown(result: Result) -> str:
    """Return the same as Markdown, everything that is not the same before everything that is."""
    headings = _headings(result)
    lines = [MARK, f"### {title(result)}", ""]
    lines += [f"| {' | '.join(headings)} |"]
    lines += [f"|{'|'.join(' --- ' if each in _WORDS else ' ---: ' for each in headings)}|"]
    for row in result.rows:
        name, *cells, verdict = _cells(row, headings)
        told = f"**{verdict}**" if row.verdict in _STYLES else verdict
        lines.append(f"| `{name}` | {' | '.join(cells)} | {told}{_escaped(_reason(row))} |")
    return "\n".join([*lines, "", *(f"* {line}" for line in promises(result))]) + "\n"


def title(result: Result) -> str:
    """Return the answer in a line: how many benchmarks got each verdict."""
    counts = {verdict: sum(row.verdict == verdict for row in result.rows) for verdict in VERDICTS}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    head, base = _commit(result.head, result.head_reference), _commit(result.base, result.base_reference)
    return f"Gate: {result.answer}: {head} against {base}: {told}"


def promises(result: Result) -> list[str]:
    """Return what the verdicts mean and how often they are wrong, a sentence or two each."""
    rate, miss = wording.significant(100 * result.false_alarm_rate, 2), wording.significant(100 * result.miss_rate, 2)
    threshold, tolerance = f"{100 * result.threshold:g} %", f"{100 * result.tolerance:.1f} %"
    lines = [
        f"At most {rate} % of gates call any benchmark slower that is not more than {tolerance} slower; "
        f"at most {miss} % pass although a benchmark is {threshold} slower, or more.",
        f"{wording.count(result.rounds, 'round')} of fresh processes in {result.measured_s / 60:.1f} min. Detectable: "
        "the slowdown that is called slower nine times in ten, in the time and with the noise of this gate.",
    ]
    controls = [row for row in result.rows if math.isfinite(row.control_low * row.control_high)]
    if controls:
        worst = max(controls, key=lambda row: max(abs(math.log(row.control_low)), abs(math.log(row.control_high))))
        span = f"{worst.control_low:.3f} to {worst.control_high:.3f}"
        lines.append(f"The base, built twice, against itself: 95 % intervals within {span} (widest: {worst.name}).")
    if not any(math.isfinite(row.instruction_ratio) for row in result.rows):
        lines.append("This machine does not let a process count its instructions; times alone decide.")
    else:
        lines.append("Instructions: those that a call retires, head / base. They tell causes; times alone decide.")
    return [*lines, *result.notes]


def _headings(result: Result) -> list[str]:
    counted = any(math.isfinite(row.instruction_ratio) for row in result.rows)
    return [*HEADINGS[:-1], *(["instructions"] if counted else []), HEADINGS[-1]]


def _cells(row: Row, headings: Iterable[str]) -> list[str]:
    cells = {
        "benchmark": row.name,
        "base": time_text(row.base_s),
        "head": time_text(row.head_s),
        "head / base": f"{row.ratio:.3f}" if math.isfinite(row.ratio) else wording.MISSING,
        "95 % interval": interval_text(row.ratio_low, row.ratio_high) if row.ratio_high < math.inf else wording.MISSING,
        "rounds": str(row.rounds),
        "detectable": f"{100 * row.detectable:.1f} %" if math.isfinite(row.detectable) else wording.MISSING,
        "instructions": f"{row.instruction_ratio:.4f}" if math.isfinite(row.instruction_ratio) else wording.MISSING,
        "verdict": row.verdict,
    }
    return [cells[heading] for heading in headings]


def _reason(row: Row) -> str:
    return f": {row.reason}" if row.reason else ""


def _escaped(text: str) -> str:
    """Return text that stays in its cell and is no markup."""
    return "".join(f"\\{sign}" if sign in "|*_`<>[]" else sign for sign in " ".join(text.split()))


def _commit(commit: str, reference: str) -> str:
    return commit[:10] if commit.startswith(reference) else f"{reference} ({commit[:10]})"
