"""The same summary in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

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


def _rich(table: Table) -> RichTable:
    rich = RichTable(title=Text(table.caption), title_justify="left", title_style="italic", box=box.SIMPLE_HEAD)
    for column in table.columns:
        rich.add_column(Text(column.heading), justify="right" if column.numeric else "left", overflow="fold")
    for row in table.rows:
        rich.add_row(*(Text(cell) for cell in row))  # Text: a name in [brackets] is no markup
    if table.note:
        rich.caption, rich.caption_justify = Text(table.note), "left"
    return rich
