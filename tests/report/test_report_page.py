"""The page, the files and the terminal: complete, escaped, self-contained, honest about what is missing."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from rich.console import Console
from scipy import stats

from rnnbench import report
from rnnbench.errors import InputError
from rnnbench.report import files, page, style, terminal, wording
from rnnbench.report.document import compose
from rnnbench.report.tables import Column, Table
from rnnbench.sweeps.store import Results

FIGURES, CLAIMS = 10, 3
"""Figures of the made-up run, and claims that its rows can speak of, each with a figure."""


class Elements(HTMLParser):
    """Collects every start tag with its attributes, and checks that tags close in order."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def small(build) -> Results:
    """The rows of one figure."""
    results = build("training", seeds=1, lengths=(50,))
    return replace(results, measurements=results.measurements.query("quantity != 'gradient_norm'"))


@pytest.fixture(scope="module")
def elements(html) -> Elements:
    return Elements(html)


def test_every_tag_is_closed(elements):
    assert elements.open == []


def test_nothing_is_fetched_and_nothing_runs_but_our_script(html, elements):
    (script,) = re.findall("<script>(.*?)</script>", html, re.DOTALL)
    assert script == Path(page.__file__).with_name("report.js").read_text("utf-8")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{allowed}'; style-src 'unsafe-inline'; img-src data:" in html
    assert not re.search(r"fetch\(|XMLHttpRequest|import\b|innerHTML|insertAdjacentHTML|eval\(|Function\(|http", script)
    for tag, attributes in elements.found:
        assert tag not in {"link", "img", "iframe", "object", "embed"}
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:text/csv;charset=utf-8;base64,"))
    assert re.findall(r"url\((?!#)[^)]*\)", html) == []
    assert "@import" not in html


def test_ids_are_unique_and_every_reference_has_its_id(html, elements):
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = set(re.findall(r'(?:href="|url\()#([^")]+)', html))
    described = {a["aria-describedby"] for _, a in elements.found if "aria-describedby" in a}
    assert references | described <= set(ids)
    assert len(described) == FIGURES + CLAIMS


def test_text_in_figures_can_be_read_in_light_and_in_dark():
    css = Path(page.__file__).with_name("style.css").read_text("utf-8")
    (amount,) = (float(found) for found in re.findall(r"invert\(([\d.]+)\) hue-rotate\(180deg\)", css))
    weights = np.array([0.213, 0.715, 0.072])  # of the rotation by 180 degrees, Filter Effects Module Level 1

    def luminance(rgb: np.ndarray) -> float:
        return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))

    def turned(rgb: np.ndarray) -> np.ndarray:
        inverted = amount + (1 - 2 * amount) * rgb
        return np.clip(2 * weights @ inverted - inverted, 0, 1)

    white, marks = np.ones(3), style.marks(["rnn", "lstm", "gru", *"abcdef"]).values()
    assert to_hex(tuple(turned(white))) in css.partition(".ink {")[2]
    for color in (style.INK, style.MUTED, *(style.darker(mark.color) for mark in marks)):
        rgb = np.array(to_rgb(color))
        assert (luminance(white) + 0.05) / (luminance(rgb) + 0.05) >= 4.5
        assert (luminance(turned(rgb)) + 0.05) / (luminance(turned(white)) + 0.05) >= 4.5


def test_headings_step_down_one_level_at_a_time(elements):
    levels = [int(tag[1]) for tag, _ in elements.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(deeper - level <= 1 for level, deeper in itertools.pairwise(levels))


def test_figures_are_images_with_a_name_and_a_description(elements):
    images = [attributes for tag, attributes in elements.found if tag == "svg"]
    assert len(images) == FIGURES + CLAIMS
    assert all(image["role"] == "img" and image["aria-label"] and "viewbox" in image for image in images)


def test_the_words_of_a_figure_say_its_finding(document, html):
    for drawing in (*document.drawings, *document.judged_drawings):
        assert drawing.finding in drawing.alternative
        assert drawing.alternative in unescape(html)


def test_every_figure_has_its_values_one_click_away(document, elements):
    names = {drawing.name for drawing in (*document.drawings, *document.judged_drawings)}
    links = [attributes for tag, attributes in elements.found if tag == "a" and "data-places" in attributes]
    assert {attributes["download"] for attributes in links} == {f"{name}.csv" for name in names}
    for attributes in links:
        content = base64.b64decode(attributes["href"].partition("base64,")[2]).decode()
        rows = pd.read_csv(io.StringIO(content))
        assert len(rows) == len(attributes["data-places"].split(" ")) > 1


def test_every_trial_has_a_row_with_its_scalars(document, results):
    section = next(s for s in document.sections if s.title == "Training")
    titles = [column.title for column in section.trials.columns]
    own = results.trials.query("probe == 'training'")
    assert len(section.trials.rows) == len(own)
    assert {"cell", "task", "length", "gate bias", "seed", "status"} == {
        c.title for c in section.trials.columns if c.axis
    }
    values = results.measurements.query("quantity == 'final_score'").set_index("key")["value"]
    row = dict(zip(titles, section.trials.rows[-1], strict=True))
    trial = next(key for key in own["key"] if key.startswith(row["key"]))
    assert row["final score"] == wording.significant(values[trial])
    unfinished = [row for row in section.trials.rows if "timeout" in row]
    assert [row[titles.index("final score")] for row in unfinished] == [wording.MISSING]


def test_too_many_trials_for_a_page_are_left_to_the_folder(results, monkeypatch):
    monkeypatch.setattr("rnnbench.report.tables.MOST_TRIALS", 30)
    document = compose(results)
    assert [section.title for section in document.sections if section.trials] == ["Throughput"]
    assert page.render(document).count("Its trials are too many to list here") == 2


def test_tables_have_captions_and_units_in_their_headings(html, elements):
    tags = [tag for tag, _ in elements.found]
    assert tags.count("table") == tags.count("caption") > 8
    headings = [attributes for tag, attributes in elements.found if tag == "th"]
    assert all(attributes["scope"] == "col" for attributes in headings)
    for heading in ("slope, mean ± sd", "final score ± sd", "arithmetic"):
        assert re.search(rf'{re.escape(heading)} <span class="unit">\([^<]+\)</span>', html)


def test_unfinished_trials_are_listed_with_status_and_reason(html):
    section = html.partition('<section id="unfinished">')[2].partition("</section>")[0]
    assert section.count("<tr>") == 3
    assert "timeout" in section
    assert "training loss is nan at step 412" in section


def test_provenance_says_on_what_and_with_what(html):
    for text in ("Example CPU @ 2.6 GHz", "openblas", "9f2c55d0a1b3e477", "0.68.1", "uncommitted changes"):
        assert text in html
    assert "rnnbench run synthetic/sweep.toml --out again" in html


def test_the_same_rows_give_the_same_page(small):
    assert page.render(compose(small)) == page.render(compose(small))


@pytest.mark.parametrize("status", ["ok", "error"])
def test_names_from_outside_are_escaped(empty_run, status):
    nasty = "<script>alert('$x^')</script>"
    empty_run.sweep = {"name": nasty, "title": nasty, "description": nasty}
    empty_run.provenance = {nasty: {nasty: nasty}, "command": nasty}
    for seed in range(2):
        key = empty_run.trial("training", status, nasty, cell=nasty, task=nasty, note=f"{nasty}{seed}", seed=seed)
        empty_run.add(key, "evaluation_score", nasty, (0, 0.5), (10, 0.6))
        empty_run.add(key, "final_score", nasty, (None, 0.6))
        empty_run.add(key, nasty, nasty, (None, 0.6))
    text = page.render(compose(empty_run.results()))
    found = Elements(text)
    assert found.open == []
    assert [tag for tag, _ in found.found].count("script") == 1  # ours
    assert text.count("&lt;script&gt;") > 10


def test_final_scores_in_the_table_are_those_of_the_rows(document, results):
    section = next(s for s in document.sections if s.title == "Training")
    table = section.tables[0]
    trials = results.trials.query("task == 'adding' and cell == 'gru' and length == 200")
    values = results.measurements.set_index(["quantity", "key"])["value"]
    scores = values["final_score"][trials["key"]].to_numpy()
    row = next(row for row in table.rows if row[:2] == ["GRU", "200"])
    cells = dict(zip([c.title for c in table.columns], row, strict=True))
    assert "seeds: 5; baseline (mse): 0.167" in table.note
    assert cells["final score ± sd"] == wording.mean_and_deviation(np.mean(scores), np.std(scores, ddof=1))
    low, high = stats.ttest_1samp(scores, 0).confidence_interval(0.95)
    assert cells["95 % interval"] == f"{low:.2g} to {high:.2g}"
    solved = int(values["solved"][trials["key"]].sum())
    assert cells["solved"] == f"{solved} of 5" == "5 of 5"
    z = stats.norm.ppf(0.975)  # Wilson 1927, at k = n: the lower end is n / (n + z²)
    assert cells["solved, 95 % interval"] == f"{100 * 5 / (5 + z * z):.0f} to 100"
    assert cells["time to solve, median"] == f"{values['steps_to_solve'][trials['key']].median():,.0f}"


def test_a_task_that_cannot_be_solved_has_no_such_columns(document):
    section = next(s for s in document.sections if s.title == "Training")
    solved = [[c.title for c in table.columns if "solve" in c.title] for table in section.tables[:2]]
    assert solved == [["solved", "solved, 95 % interval", "time to solve, median"], []]


def test_half_lives_in_the_table_are_those_of_the_rows(document, results):
    section = next(s for s in document.sections if s.title == "Gradient decay")
    (table,) = section.tables
    trials = results.trials.query("probe == 'gradient_decay' and cell == 'lstm' and gate_bias == 1")
    values = results.measurements.query("quantity == 'half_life'").set_index("key")["value"][trials["key"]]
    row = next(row for row in table.rows if row[:4] == ["LSTM", "orthogonal", "1", "1"])
    assert row[4] == f"{values.median():.1f}"
    assert row[5] == f"{values.min():.1f} to {values.max():.1f}"
    grown = [row for row in table.rows if row[6] != "0"]
    assert [row[4:7] for row in grown] == [["∞", "–", "3"]] * 2
    assert {row[3] for row in table.rows if row[0] == "RNN"} == {"–"}, "an RNN has no gate bias"


def test_each_section_of_the_sweep_says_what_was_asked(document):
    first, second = document.asked
    assert first.caption == "How fast gradients fade (gradient decay)"
    assert [row[0] for row in first.rows] == ["cell", "initialization, gain", "seed"]
    assert first.rows[1][2] == "orthogonal, gain 0.9; uniform, gain 1"
    assert first.note == "Held fixed: data sequential digits, length 200."
    assert (second.caption, len(second.rows)) == ("Training", 1)
    assert second.note == "Held fixed: task adding, bidirectional no."


def test_without_a_sweep_what_was_asked_is_read_from_the_trials(small):
    (table,) = compose(small).asked
    assert [(row[0], row[2]) for row in table.rows] == [("cell", "RNN, LSTM, GRU")]
    assert "gate bias 1" in table.note


def test_a_condensed_table_keeps_every_value():
    columns = [Column("cell", numeric=False), Column("speed", "m/s"), Column("seeds"), Column("nothing")]
    table = Table("", columns, [["RNN", "1", "3", "–"], ["GRU", "2", "3", "–"]], "Before.").condensed()
    assert [column.title for column in table.columns] == ["cell", "speed"]
    assert table.rows == [["RNN", "1"], ["GRU", "2"]]
    assert table.note == "Before. In every row: seeds: 3."


def test_speeds_in_the_table_are_those_of_the_rows(document, results):
    section = next(s for s in document.sections if s.title == "Throughput")
    (table,) = section.tables
    row = next(row for row in table.rows if row[:4] == ["LSTM", "512", "128", "forward"])
    trial = results.trials.query("cell == 'lstm' and hidden == 512 and direction == 'forward'")["key"].item()
    values = results.measurements.set_index(["key", "quantity"])["value"].loc[trial]
    assert float(row[4].replace(",", "")) == pytest.approx(1e3 * values["median_time"], rel=5e-3)
    assert float(row[6]) == pytest.approx(values["flop_rate"], rel=5e-3)
    assert float(row[8]) == pytest.approx(100 * values["fraction_of_gemm"], rel=5e-3)


def test_a_probe_without_figures_gets_a_table_of_its_scalars(empty_run):
    for size, seed in ((1, 0), (1, 1), (2, 0), (2, 1)):
        key = empty_run.trial("null", size=size, seed=seed)
        empty_run.add(key, "uniform_number", "1", (None, size + 0.5 * seed))
        empty_run.add(key, "waiting_time", "s", (None, 2.0))
    (section,) = compose(empty_run.results()).sections
    (table,) = section.tables
    assert [c.heading for c in table.columns] == ["size", "trials", "uniform number", "waiting time (s)"]
    assert table.rows == [["1", "2", "1.25 ± 0.35", "2.00"], ["2", "2", "2.25 ± 0.35", "2.00"]]


def test_a_parameter_may_be_called_like_a_column_or_a_quantity(empty_run):
    for index in (0, 1):
        key = empty_run.trial("null", index=index, number=index + 5, seed=0)
        empty_run.add(key, "number", "1", (None, index + 0.25))
    (section,) = compose(empty_run.results()).sections
    (table,) = section.tables
    assert [c.heading for c in table.columns] == ["index parameter", "number parameter", "trials", "number"]
    assert table.rows == [["0", "5", "1", "0.250"], ["1", "6", "1", "1.25"]]


def test_failed_trials_alone_make_an_honest_page(empty_run):
    empty_run.trial("training", "error", "ValueError: no", cell="rnn", task="adding", seed=0)
    document = compose(empty_run.results())
    assert document.warnings == ["Nothing was measured: no trial of this run left a row."]
    assert "ValueError: no" in page.render(document)


def test_an_empty_run_makes_an_honest_page(empty_run):
    text = page.render(compose(empty_run.results()))
    assert "Nothing was measured: this run holds no trials." in text
    assert Elements(text).open == []


def test_trials_still_to_run_are_counted(empty_run):
    empty_run.missing = ("a", "b")
    empty_run.trial("null", seed=0)
    assert "2 trials of the sweep did not run yet; the next run does." in compose(empty_run.results()).warnings


def test_a_table_without_its_columns_is_refused_by_name(results):
    broken = Results(results.path, {}, {}, results.trials.drop(columns="status"), results.measurements)
    with pytest.raises(InputError, match=r"table 'trials' lacks the columns status; found: key, probe"):
        compose(broken)


def test_files_are_written_whole_in_every_format(small, tmp_path):
    judged = [drawing.name for drawing in compose(small).judged_drawings]
    assert "claim-gru_is_as_good" in judged
    written = files.write(small, tmp_path, ("html", "svg", "pdf", "png"))
    names = {str(path.relative_to(tmp_path)) for path in written}
    assert names == {
        "report.html",
        *(f"figures/{name}.{e}" for e in ("svg", "pdf", "png") for name in ("training_score-adding", *judged)),
    }
    starts = {"html": b"<!DOCTYPE html>", "svg": b"<?xml", "pdf": b"%PDF-", "png": b"\x89PNG"}
    for path in written:
        assert path.read_bytes().startswith(starts[path.suffix[1:]])
    on_disk = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert on_disk == set(written)
    before = {path: path.read_bytes() for path in written}
    files.write(small, tmp_path, ("pdf",))
    assert {path: path.read_bytes() for path in written} == before


def test_a_failed_write_leaves_the_old_file(small, tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        files.write(small, tmp_path, ("html",))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "old"


def test_an_unknown_format_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(InputError, match=r"unknown report format 'htm': did you mean 'html'\?"):
        report.write(tmp_path, ("htm",))


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        report.write(tmp_path / "nowhere")


def test_write_and_show_go_through_the_store(small, tmp_path, monkeypatch):
    monkeypatch.setattr(Results, "load", classmethod(lambda cls, path: small))
    console = Console(record=True, width=150, file=open("/dev/null", "w"))  # noqa: SIM115
    report.show(tmp_path, console)
    assert "Final scores, adding" in console.export_text()
    assert report.write(tmp_path) == [tmp_path / "report.html"]


def test_terminal_shows_findings_tables_and_failures(results, document):
    console = Console(record=True, width=200, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    terminal.show(results, console)
    text = console.export_text()
    assert document.title in text
    for table in (table for section in document.sections for table in section.tables):
        assert pd.Series(" ".join(table.rows[0]).split()).isin(text.split()).mean() > 0.3
    assert "training loss is nan at step 412" in text
