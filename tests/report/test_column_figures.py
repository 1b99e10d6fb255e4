"""PDF figures as wide as the columns of a paper."""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rnnbench import report
from rnnbench.cli import app
from rnnbench.errors import InputError
from rnnbench.report import files, style
from rnnbench.report.document import compose
from rnnbench.sweeps.store import Results

POINTS_PER_INCH = 72
SMALLEST_POINTS = 4.5
"""Of the line that names the run; what is read is a quarter larger."""


def page_size(pdf: bytes) -> tuple[float, float]:
    """Width and height in inches, as the file says."""
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)
    return float(box[1]) / POINTS_PER_INCH, float(box[2]) / POINTS_PER_INCH


def drawn(pdf: bytes) -> str:
    """What is drawn on the page."""
    stream = re.search(rb"/Filter /FlateDecode >>\nstream\n(.*?)\nendstream", pdf, re.DOTALL)
    return zlib.decompress(stream[1]).decode("latin-1")


@pytest.fixture(scope="module")
def small(build) -> Results:
    return build("training", seeds=2, lengths=(50,))


@pytest.mark.parametrize(("columns", "narrowest", "widest"), [(1, 3.3, 3.5), (2, 6.9, 7.2)])
def test_a_figure_is_as_wide_as_its_columns(document, columns, narrowest, widest):
    for drawing in document.drawings:
        if drawing.name.startswith(("half_life", "throughput_hidden")):
            pdf = files.column_pdf(drawing, document, columns)
            width, height = page_size(pdf)
            assert narrowest <= width <= widest
            assert 0.2 < height / width < 2
            _, laid_out = files.COLUMNS[columns]
            drawn_height = drawing.figure("", laid_out).get_size_inches()[1]
            assert height == pytest.approx(drawn_height * width / laid_out, rel=1e-4)
            scales = [float(found) for found in re.findall(r"^([\d.]+) 0 0 \1 0 0 cm$", drawn(pdf), re.MULTILINE)]
            assert scales[0] == pytest.approx(width / laid_out)
            assert (style.FONT_POINTS - 2) * scales[0] > SMALLEST_POINTS


def test_nothing_is_cut_off_over_two_columns(document):
    for drawing in document.drawings:
        figure = drawing.figure("run", 7.0)
        with style.context(7.0):
            figure.savefig(io.BytesIO(), format="svg")
        assert figure.get_size_inches()[0] == 7.0
        width, height = figure.get_size_inches() * figure.dpi
        for axes in figure.axes:
            box = axes.get_tightbbox()
            assert -1 <= box.x0 < box.x1 <= width + 1
            assert -1 <= box.y0 < box.y1 <= height + 1


def test_the_same_rows_give_the_same_bytes_and_a_figure_keeps_its_width(small):
    document = compose(small)
    drawing = document.drawings[0]
    first = files.column_pdf(drawing, document, 1)
    assert first == files.column_pdf(drawing, document, 1) != files.column_pdf(drawing, document, 2)
    assert drawing.figure().get_size_inches()[0] == style.WIDTH_INCHES


def test_they_lie_in_a_folder_of_their_own(small, tmp_path, monkeypatch):
    monkeypatch.setattr(Results, "load", classmethod(lambda cls, path: small))
    written = report.write(tmp_path, ("pdf",), columns=2)
    document = compose(small)
    names = [drawing.name for drawing in (*document.judged_drawings, *document.drawings)]
    assert written == [tmp_path / "figures" / "columns-2" / f"{name}.pdf" for name in names]
    assert all(path.read_bytes().startswith(b"%PDF-") for path in written)


def test_the_command_line_asks_for_them(small, tmp_path, monkeypatch):
    monkeypatch.setattr(Results, "load", classmethod(lambda cls, path: small))
    monkeypatch.setattr("rnnbench.cli._check_run", lambda run: None)
    done = CliRunner().invoke(app, ["report", str(tmp_path), "--columns", "1"])
    assert done.exit_code == 0
    assert all(Path(line).parent == tmp_path / "figures" / "columns-1" for line in done.stdout.split())
    assert CliRunner().invoke(app, ["report", str(tmp_path), "--columns", "3"]).exit_code == 2


@pytest.mark.parametrize(("formats", "columns"), [(("pdf",), 3), (("pdf",), 0), (("svg",), 1), (("pdf", "html"), 2)])
def test_other_columns_and_formats_are_refused(tmp_path, formats, columns):
    with pytest.raises(InputError, match=rf"columns are 1 or 2, .* found {columns} of {formats[0]}"):
        report.write(tmp_path, formats, columns)
