"""The values read from a figure are those of the rows it was drawn from, at the places where they are drawn."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rnnbench import report
from rnnbench.report import files, page, style, values
from rnnbench.report.document import compose
from rnnbench.sweeps.store import Results


def shown(document, name):
    drawing = next(each for each in (*document.drawings, *document.judged_drawings) if each.name == name)
    return files.inline_svg(drawing, document)[1]


def read(paint) -> values.Values:
    """The values of a small figure that `paint` draws on its axes."""
    with style.context():
        figure, grid = style.panels(1)
        paint(figure, grid[0, 0])
        figure.savefig(io.BytesIO(), format="svg")
    return values.read(figure)


def test_scores_during_training_are_those_of_the_rows(document, results):
    rows = shown(document, "training_score-adding").rows
    trials = results.trials.query("task == 'adding' and cell == 'gru' and length == 200").set_index("key")
    scores = results.measurements.query("quantity == 'evaluation_score'").set_index("key").loc[trials.index]
    own = rows[(rows["panel"] == "length 200") & rows["series"].str.match(r"GRU, each seed")]
    assert own["series"].nunique() == len(trials) == 5
    assert sorted(own["training (steps)"]) == sorted(scores["index"])
    assert sorted(own["score (mse)"]) == pytest.approx(sorted(scores["value"]), rel=1e-12)
    solved = rows[rows["series"] == "GRU, solved"]
    assert len(solved) == results.trials.query("task == 'adding' and cell == 'gru'")["key"].nunique()


def test_medians_of_gradients_have_their_quartiles(document, results):
    rows = shown(document, "gradient_decay-sequential-digits").rows
    name = "orthogonal, gate bias 1, median over seeds"
    own = rows[(rows["panel"] == "LSTM") & (rows["series"] == name)].set_index("lag (steps back from the loss)")
    keys = results.trials.query("probe == 'gradient_decay' and cell == 'lstm' and gate_bias == 1")["key"]
    norms = results.measurements[results.measurements["key"].isin(keys)]
    at = norms[norms["index"] == 104].groupby("quantity")["value"].median() / np.log(10)
    assert own.loc[104, "log10 of gradient norm (ratio)"] == pytest.approx(at["log_gradient_norm"], rel=1e-9)
    assert own.loc[104, "low"] == pytest.approx(at["log_gradient_norm_lower_quartile"], rel=1e-9)
    assert own.loc[104, "high"] == pytest.approx(at["log_gradient_norm_upper_quartile"], rel=1e-9)
    settings = ["cell", "initialization", "gain", "gate_bias"]
    curves = results.trials.query("probe == 'gradient_decay'").groupby(settings, dropna=False)
    with_ends = rows[rows["low"].notna()]
    assert len(with_ends) == len(curves) * len(own)
    assert with_ends["series"].str.endswith("median over seeds").all()


def test_points_moved_apart_keep_their_length(document):
    rows = shown(document, "success_by_length-adding").rows
    assert set(rows["sequence length (steps)"]) == {50.0, 200.0}
    assert (rows["low"] <= rows["seeds that solved it (%)"]).all()
    assert (rows["seeds that solved it (%)"] <= rows["high"]).all()


def test_effects_of_a_claim_are_those_of_its_seeds(document):
    card = next(card for card in document.cards if card.claim.name == "gru_is_as_good")
    rows = shown(document, card.drawing.name).rows
    seeds = rows[rows["series"].str.endswith("seed")]
    effects = np.concatenate([finding.effects.to_numpy(float) for finding in card.findings])
    assert seeds["skill, GRU − LSTM"].to_numpy() == pytest.approx(effects)
    means = rows[rows["series"].str.endswith("mean")]
    assert means["low"].to_numpy() == pytest.approx([finding.interval[0] for finding in card.findings])
    assert list(means["setting"]) == [finding.where for finding in card.findings]


def test_bars_squares_and_ratios_are_read(build):
    bars = shown(compose(build("step_profile")), "step_profile").rows
    totals = bars.groupby(["panel", "setting"])["share of the time of a step (%)"].sum()
    assert totals.to_numpy() == pytest.approx(np.full(len(totals), 100.0))
    compared = compose(build("comparison"))
    squares = shown(compared, "comparison_ratio-forward-float32").rows
    assert set(squares["threads"]) == {"1", "2"}
    dots = shown(compared, "comparison_peers-forward-float32").rows
    best = dots[(dots["panel"] == "RNN, 1 thread") & (dots["T × B × H"] == squares["T × B × H"].iloc[0])]
    first = squares.query("panel == 'RNN' and threads == '1'")["value"].iloc[0]
    assert first == pytest.approx(best[best["series"] != "equally fast"]["ratio of times (×)"].min())
    squares = shown(compose(build("memory")), "memory_map-adding").rows
    assert set(squares["value"]) <= {0.0, 1.0}
    assert set(squares["length (steps)"]) == {"50", "100"}


def test_places_are_where_the_ink_is(document):
    name = "throughput_hidden-float32"
    drawing = next(each for each in document.drawings if each.name == name)
    text, found = files.inline_svg(drawing, document)
    markers = re.findall(r'<use xlink:href="[^"]+" x="([\d.]+)" y="([\d.]+)"', text)
    drawn = np.array(markers, dtype=float)
    own = found.places[found.rows["series"].isin(["RNN", "LSTM", "GRU"]).to_numpy()]
    assert len(own) == 36
    nearest = np.abs(drawn[:, None] - own).max(axis=2).min(axis=0)
    assert nearest.max() < 0.01


def test_what_lies_outside_of_a_panel_has_no_place():
    def paint(figure, axes):
        axes.plot([0, 1, 5], [1, 2, 3], label="a line")
        axes.set_xlim(0, 2)

    found = read(paint)
    assert found.rows.to_dict("list") == {"series": ["a line"] * 3, "x": [0, 1, 5], "y": [1, 2, 3]}
    assert np.isfinite(found.places).all(axis=1).tolist() == [True, True, False]
    assert page.places_text(found.places).split(" ")[2] == ""


def test_a_line_of_reference_is_one_value_and_lines_alike_are_numbered():
    def paint(figure, axes):
        for shift in (0, 1):
            axes.plot([0, 1], [shift, 1 + shift], color="#d55e00")
        axes.axhline(0.5, **style.REFERENCE, label="baseline")
        axes.axhline(0, color=style.MUTED)
        axes.set_ylabel("loss")
        style.cell_legend(figure, style.MARKS, ["rnn"])

    rows = read(paint).rows
    assert list(rows["series"]) == ["RNN", "RNN", "RNN (2)", "RNN (2)", "baseline"]
    assert rows["loss"].tolist() == [0, 1, 1, 2, 0.5]
    assert np.isnan(rows["x"].iloc[-1])


def test_a_drawing_without_values_has_no_file():
    found = read(lambda figure, axes: axes.text(0.5, 0.5, "words"))
    assert found.rows.empty
    assert len(found.places) == 0
    assert len(values.read(Figure()).rows) == 0


def test_points_that_would_be_the_same_have_one_place():
    places = np.array([[10.2, 5.0], [10.4, 4.9], [np.nan, np.nan], [30.0, 5.0]])
    assert page.places_text(places) == "10,5   30,5"


def test_values_are_written_as_files(build, tmp_path, monkeypatch):
    results = build("training", seeds=2, lengths=(50,))
    monkeypatch.setattr(Results, "load", classmethod(lambda cls, path: results))
    written = report.write(tmp_path, ("csv",))
    document = compose(results)
    assert {path.stem for path in written} == {d.name for d in (*document.drawings, *document.judged_drawings)}
    one = next(path for path in written if path.stem == "training_score-adding")
    rows = pd.read_csv(one)
    assert list(rows.columns) == ["series", "training (steps)", "score (mse)"]
    assert one.read_bytes() == shown(document, one.stem).csv()
