"""The files of a report, each written whole or not at all."""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.backends.backend_pdf import Op, PdfFile, RendererPdf
from matplotlib.figure import Figure

from rnnbench.report import values
from rnnbench.report.document import Document, compose
from rnnbench.report.figures.base import Drawing
from rnnbench.report.style import WIDTH_INCHES, context
from rnnbench.report.values import Values

if TYPE_CHECKING:
    from rnnbench.sweeps.store import Results

PNG_DOTS_PER_INCH = 200
COLUMNS = {1: (3.4, WIDTH_INCHES), 2: (7.0, 7.0)}
"""Columns of a paper: how wide a figure over so many is, and for which width it is laid out, both in inches.

For one column it is laid out as ever and made smaller: 9 pt become 6 pt. A layout for so little room would cut names.
"""


def write(run: Results, path: Path, formats: Sequence[str], columns: int | None = None) -> list[Path]:
    """Write the report of a run under `path` in each format and return the files written."""
    document = compose(run)
    found = column_figures(document, columns) if columns else contents(document, formats)
    return [_replace(path / name, content) for name, content in found]


def column_figures(document: Document, columns: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name below the run's folder, and the content, of each figure as a PDF for so many columns."""
    for drawing in (*document.judged_drawings, *document.drawings):
        yield f"figures/columns-{columns}/{drawing.name}.pdf", column_pdf(drawing, document, columns)


def column_pdf(drawing: Drawing, document: Document, columns: int) -> bytes:
    """Return a drawing as a PDF for one or two columns of a paper; the same rows give the same bytes."""
    width, laid_out = COLUMNS[columns]
    figure, buffer = drawing.figure(document.source, laid_out), io.BytesIO()
    with context(laid_out):
        figure.set_dpi(72)  # the unit of PDF
        inches = figure.get_size_inches()
        pdf = _ScaledPdf(buffer, _metadata(drawing, document, "pdf"), width / laid_out)
        pdf.newPage(*inches)
        figure.draw(RendererPdf(pdf, PNG_DOTS_PER_INCH, inches[1], inches[0]))
        pdf.finalize()
        pdf.close()
    return buffer.getvalue()


class _ScaledPdf(PdfFile):
    """A PDF file in which all that is drawn becomes `scale` times as large."""

    def __init__(self, file: io.BytesIO, metadata: dict[str, str | None], scale: float) -> None:
        super().__init__(file, metadata)
        self.scale = scale

    def newPage(self, width: float, height: float) -> None:
        """Start a page, and draw on it in the units of the larger one."""
        super().newPage(self.scale * width, self.scale * height)
        self.output(self.scale, 0, 0, self.scale, 0, 0, Op.concat_matrix)
        self.width, self.height = width, height


def contents(document: Document, formats: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the name below the run's folder, and the content, of every file of a report."""
    from rnnbench.report import page

    for name in dict.fromkeys(formats):
        if name == "html":
            yield "report.html", page.render(document).encode()
            continue
        for drawing in (*document.judged_drawings, *document.drawings):
            if name != "csv":
                yield f"figures/{drawing.name}.{name}", draw(drawing, document, name)
            elif len((shown := values.read(_drawn(drawing, document, "svg")[1])).rows):
                yield f"figures/{drawing.name}.csv", shown.csv()


def draw(drawing: Drawing, document: Document, file_format: str) -> bytes:
    """Return a drawing as the bytes of an SVG, PDF or PNG file; the same rows give the same bytes."""
    return _drawn(drawing, document, file_format)[0]


def _drawn(drawing: Drawing, document: Document, file_format: str) -> tuple[bytes, Figure]:
    """Return the bytes of a drawing's file, and the figure as it was drawn."""
    buffer = io.BytesIO()
    figure = drawing.figure(document.source)
    with context():
        metadata = _metadata(drawing, document, file_format)
        figure.savefig(buffer, format=file_format, metadata=metadata, dpi=PNG_DOTS_PER_INCH)
    return buffer.getvalue(), figure


def _metadata(drawing: Drawing, document: Document, file_format: str) -> dict[str, str | None]:
    """Return what a file says of itself: what it shows, of which run and of which rows."""
    metadata: dict[str, str | None] = {"Title": f"{drawing.title} ({document.name})"}
    if file_format == "svg":
        metadata |= {"Creator": "rnnbench", "Description": drawing.alternative, "Date": None}
        metadata["Identifier"] = document.identity
    elif file_format == "pdf":
        metadata |= {"Creator": "rnnbench", "Subject": document.source, "CreationDate": None}
        metadata["Keywords"] = document.identity
    else:
        metadata |= {"Software": "rnnbench", "Source": document.source, "Comment": document.identity}
    return metadata


def inline_svg(drawing: Drawing, document: Document) -> tuple[str, Values]:
    """Return a drawing as an <svg> element that can share a page with others, and the values that it shows.

    The prolog and the metadata go, every id gets the drawing's name in front, the size is left to the page,
    and the element is announced as one image with its description.
    """
    from markupsafe import escape

    content, figure = _drawn(drawing, document, "svg")
    text = content.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    prefix = f"{drawing.name}."
    text = re.sub(r'(\bid="|url\(#|href="#)', lambda found: found[1] + prefix, text)
    view_box = re.search(r'viewBox="[^"]*"', text)
    assert view_box, "matplotlib gives every SVG a viewBox"
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {view_box[0]} '
        f'role="img" aria-label="{escape(drawing.title)}" aria-describedby="{prefix}description">'
        f'<desc id="{prefix}description">{escape(drawing.alternative)}</desc>'
    )
    return opening + text[text.index(">") + 1 :].strip(), values.read(figure)


def _replace(path: Path, content: bytes) -> Path:
    """Write a file through a temporary neighbour, so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
