"""The HTML page: one file, no script, nothing fetched from anywhere."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rnnbench.report import findings
from rnnbench.report.document import Document
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
    svg = {
        drawing.name: Markup(inline_svg(drawing, document))
        for drawing in (*document.judged_drawings, *document.drawings)
    }
    return environment.get_template("template.html.j2").render(
        document=document, svg=svg, rule=findings.RULE, signs=findings.SIGNS
    )
