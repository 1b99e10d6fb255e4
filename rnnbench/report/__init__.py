"""Reports: a run's rows as figures, an HTML page, and tables in the terminal.

A report reads stored rows and nothing else: it can be written again, or elsewhere, and measures nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench.errors import InputError, unknown_name

if TYPE_CHECKING:
    from rich.console import Console

FORMATS = ("html", "svg", "pdf", "png", "csv")


def write(path: Path, formats: Sequence[str] = ("html",), columns: int | None = None) -> list[Path]:
    """Write the report of the run in folder `path` and return the files written.

    "html" writes PATH/report.html, one page that needs no other file and no network; "svg", "pdf" and "png"
    write PATH/figures/NAME.ext, and "csv" the values that each figure shows. Raises InputError for an unknown format or
    a folder that holds no run.

    `columns`, 1 or 2, asks for "pdf" alone, as wide as one or both columns of a paper: PATH/figures/columns-1/NAME.pdf.
    """
    if columns is not None and (columns not in (1, 2) or tuple(formats) != ("pdf",)):
        raise InputError(f"columns are 1 or 2, and of the format 'pdf' alone; found {columns} of {', '.join(formats)}")
    for name in formats:
        if name not in FORMATS:
            raise unknown_name("report format", name, FORMATS)

    from rnnbench.report import files
    from rnnbench.sweeps.store import Results

    return files.write(Results.load(Path(path)), Path(path), formats, columns)


def show(path: Path, console: Console | None = None) -> None:
    """Print the summary of the run in folder `path`: findings, tables and the trials that did not finish."""
    from rnnbench.report import terminal
    from rnnbench.sweeps.store import Results

    terminal.show(Results.load(Path(path)), console)
