"""The same summary in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from rnnbench.report import findings, wording
from rnnbench.report.document import compose
from rnnbench.report.tables import Table

if TYPE_CHECKING:
    from rnnbench.sweeps.store import Results


def show(run: Results, console: Console | None = None) -> None:
    """Print headline, findings, one table a section and the trials that did not finish."""
    console = console or Console()
    document = compose(run)
    console.print(Text(document.title, style="bold"))
    console.print(Text(" · ".join(f"{name}: {value}" for name, value in document.facts), style="dim"))
    for warning in document.warnings:
        console.print(Text(warning, style="yellow"))
    if document.cards:
        console.print()
        _show_verdicts(document.cards, console)
    for drawing in document.drawings:
        console.print()
        console.print(Text(drawing.title, style="bold"))
        console.print(Text(drawing.finding))
    for table in (table for section in document.sections for table in section.tables):
        console.print()
        console.print(_rich(table))
    if document.unfinished:
        console.print()
        console.print(_rich(document.unfinished))


def _show_verdicts(cards: Sequence[findings.Card], console: Console) -> None:
    """Print every claim that has rows with its verdicts, and how many have none."""
    console.print(Text("Hypotheses and verdicts", style="bold"))
    judged = [card for card in cards if card.findings]
    for card in judged:
        console.print(Text(card.claim.hypothesis))
        for finding in card.findings:
            console.print(Text(f"  {findings.SIGNS[finding.verdict]} {finding.verdict}: {finding.sentence}"))
    if len(judged) < len(cards):
        console.print(Text(f"No rows here for {wording.count(len(cards) - len(judged), 'other')}.", style="dim"))


def _rich(table: Table) -> RichTable:
    rich = RichTable(title=Text(table.caption), title_justify="left", title_style="italic", box=box.SIMPLE_HEAD)
    for column in table.columns:
        rich.add_column(Text(column.heading), justify="right" if column.numeric else "left", overflow="fold")
    for row in table.rows:
        rich.add_row(*(Text(cell) for cell in row))  # Text: a name in [brackets] is no markup
    if table.note:
        rich.caption, rich.caption_justify = Text(table.note), "left"
    return rich
