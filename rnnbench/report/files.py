"""The files of a report, each written whole or not at all."""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench.report import values
from rnnbench.report.document import Document, compose
from rnnbench.report.figures.base import Drawing
from rnnbench.report.style import context
from rnnbench.report.values import Values

if TYPE_CHECKING:
    from rnnbench.sweeps.store import Results

PNG_DOTS_PER_INCH = 200


def write(run: Results, path: Path, formats: Sequence[str]) -> list[Path]:
    """Write the report of a run under `path` in each format and return the files written."""
    return [_replace(path / name, content) for name, content in contents(compose(run), formats)]


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
            elif len((shown := _drawn(drawing, document, "svg")[1]).rows):
                yield f"figures/{drawing.name}.csv", shown.csv()


def draw(drawing: Drawing, document: Document, file_format: str) -> bytes:
    """Return a drawing as the bytes of an SVG, PDF or PNG file; the same rows give the same bytes."""
    return _drawn(drawing, document, file_format)[0]


def _drawn(drawing: Drawing, document: Document, file_format: str) -> tuple[bytes, Values]:
    """Return the bytes of a drawing's file, and the values that it shows with their places in it."""
    metadata: dict[str, str | None] = {"Title": f"{drawing.title} ({document.name})"}
    if file_format == "svg":
        metadata |= {"Creator": "rnnbench", "Description": drawing.alternative, "Date": None}
        metadata["Identifier"] = document.identity
    elif file_format == "pdf":
        metadata |= {"Creator": "rnnbench", "Subject": document.source, "CreationDate": None}
        metadata["Keywords"] = document.identity
    else:
        metadata |= {"Software": "rnnbench", "Source": document.source, "Comment": document.identity}
    buffer = io.BytesIO()
    figure = drawing.figure(document.source)
    with context():
        figure.savefig(buffer, format=file_format, metadata=metadata, dpi=PNG_DOTS_PER_INCH)
    return buffer.getvalue(), values.read(figure)


def inline_svg(drawing: Drawing, document: Document) -> tuple[str, Values]:
    """Return a drawing as an <svg> element that can share a page with others, and the values that it shows.

    The prolog and the metadata go, every id gets the drawing's name in front, the size is left to the page,
    and the element is announced as one image with its description.
    """
    from markupsafe import escape

    content, shown = _drawn(drawing, document, "svg")
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
    return opening + text[text.index(">") + 1 :].strip(), shown


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
