"""The HTML page: one file that is complete without its script, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rnnbench.report import findings, values
from rnnbench.report.document import Document
from rnnbench.report.figures.base import Drawing
from rnnbench.report.files import inline_svg


def render(document: Document) -> str:
    """Return the page; every text is escaped, only the figures' own markup goes in as it is."""
    environment = Environment(
        loader=PackageLoader("rnnbench", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawings = (*document.judged_drawings, *document.drawings)
    script = files("rnnbench.report").joinpath("report.js").read_text("utf-8")
    return environment.get_template("template.html.j2").render(
        document=document,
        ink={drawing.name: _ink(drawing, document) for drawing in drawings},
        rule=findings.RULE,
        signs=findings.SIGNS,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


@dataclass(frozen=True)
class Ink:
    """A figure as the page has it."""

    svg: Markup
    points: int
    csv: str
    """The values as the address of a link."""
    places: str
    """Where each row of the values is, "x,y" in the units of the SVG, or nothing; in the order of the rows."""


def _ink(drawing: Drawing, document: Document) -> Ink:
    svg, shown = inline_svg(drawing, document)
    return Ink(Markup(svg), len(shown.rows), values.download(shown.csv()), places_text(shown.places))


def places_text(places: np.ndarray) -> str:
    """Return places as text; of those that would be the same, the first."""
    seen: set[tuple[int, int]] = set()
    texts = []
    for x, y in np.where(np.isfinite(places), places, -1.0).round().astype(int).tolist():
        taken = x < 0 or (x, y) in seen
        texts.append("" if taken else f"{x},{y}")
        seen.add((x, y))
    return " ".join(texts)
