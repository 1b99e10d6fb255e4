"""Every figure drawn from made-up rows: its axes, its words, its bytes."""

from __future__ import annotations

import itertools

import matplotlib
import matplotlib.colors
import numpy as np
import pandas as pd
import pytest

from rnnbench.report import figures, files, style, wording
from rnnbench.report.document import compose
from rnnbench.report.rows import Rows

FIGURES = {
    "gradient_decay-sequential-digits": 3,
    "half_life-sequential-digits": 1,
    "training_score-adding": 2,
    "training_score-sequential-digits": 1,
    "throughput_hidden-float32": 4,
    "throughput_length-float32": 4,
}
"""The figures of the full run and how many axes each has."""


@pytest.fixture(scope="module")
def again(results):
    """The same document, composed a second time."""
    return compose(results)


def drawing_named(document, name):
    return next(drawing for drawing in document.drawings if drawing.name == name)


def test_the_full_run_gives_these_figures(document):
    assert [drawing.name for drawing in document.drawings] == list(FIGURES)


@pytest.mark.parametrize(("name", "axes_count"), FIGURES.items())
def test_every_axis_has_a_label_with_its_unit(document, name, axes_count):
    figure = drawing_named(document, name).figure()
    assert len(figure.axes) == axes_count
    for axes in figure.axes:
        assert axes.has_data()
        assert axes.get_xlabel().endswith(")")
        categories = name.startswith("half_life")
        assert axes.get_ylabel() == "cell and setting" if categories else axes.get_ylabel().endswith(")")


@pytest.mark.parametrize(
    "name", ["gradient_decay-sequential-digits", "half_life-sequential-digits", "throughput_hidden-float32"]
)
def test_redrawing_gives_the_same_svg_bytes(document, again, name):
    first = files.draw(drawing_named(document, name), document, "svg")
    assert files.draw(drawing_named(again, name), again, "svg") == first


def test_every_figure_names_its_run_and_keeps_text_as_text(document):
    svg = files.draw(document.drawings[0], document, "svg").decode()
    assert "run what-vanishes · 2026-03-02 · commit 3f1c2a9be0 + changes" in svg
    assert "lag (steps back from the loss)" in svg


def test_drawing_leaves_matplotlib_as_it_was(document):
    before = dict(matplotlib.rcParams)
    document.drawings[1].figure()
    assert dict(matplotlib.rcParams) == before


def test_known_cells_keep_their_colour_beside_new_ones():
    alone, together = style.marks(["zeta"]), style.marks(["zeta", "alpha", "lstm"])
    assert together["lstm"] == style.MARKS["lstm"] == alone["lstm"]
    assert together == style.marks(["lstm", "alpha", "zeta"])
    looks = [(together[cell].color, together[cell].marker) for cell in ("rnn", "lstm", "gru", "alpha", "zeta")]
    assert len(set(looks)) == 5


@pytest.mark.parametrize("color", ["#ffffff", "#f0e442", "#56b4e9", "#d55e00", "#000000"])
def test_label_colours_can_be_read_on_white(color):
    rgb = matplotlib.colors.to_rgb(style.darker(color))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) >= 4.5


def test_end_labels_do_not_overlap(document):
    figure = drawing_named(document, "gradient_decay-sequential-digits").figure()
    figure.canvas.draw()
    for axes in figure.axes:
        labels = [text for text in axes.texts if text.get_text() != "smallest normal float32"]
        boxes = sorted((text.get_window_extent() for text in labels), key=lambda box: box.y0)
        assert len(boxes) >= 4
        assert all(above.y0 >= below.y1 - 0.5 for below, above in itertools.pairwise(boxes))


def test_gradient_curves_are_the_medians_over_seeds_in_decades(document, results):
    figure = drawing_named(document, "gradient_decay-sequential-digits").figure()
    rnn = figure.axes[0]
    thick = [line for line in rnn.lines if line.get_linewidth() > 1.5 and line.get_linestyle() == "-"]
    trials = results.trials.query("cell == 'rnn' and gain == 0.9 and probe == 'gradient_decay'")
    rows = results.measurements[results.measurements["key"].isin(trials["key"])]
    rows = rows[(rows["quantity"] == "log_gradient_norm") & (rows["index"] == 200)]
    expected = np.median(rows["value"]) / np.log(10)
    assert len(rows) == 3
    assert any(line.get_ydata()[-1] == pytest.approx(expected) for line in thick)


def test_float32_line_only_where_it_is_in_range(document, build):
    results = build("gradient_decay", seeds=1)
    slow = results.trials["key"][(results.trials["cell"] == "gru") & (results.trials["gate_bias"] == 3)]
    kept = results.trials["key"].isin(slow)
    object.__setattr__(results, "trials", results.trials[kept])
    object.__setattr__(results, "measurements", results.measurements[results.measurements["key"].isin(slow)])

    def texts(drawing):
        return [text.get_text() for axes in drawing.figure().axes for text in axes.texts]

    assert "smallest normal float32" in texts(document.drawings[0])
    assert "smallest normal float32" not in texts(compose(results).drawings[0])


@pytest.mark.parametrize(("name", "scale"), [("adding", "log"), ("sequential-digits", "linear")])
def test_scores_that_are_better_lower_over_decades_get_a_logarithmic_axis(document, name, scale):
    figure = drawing_named(document, f"training_score-{name}").figure()
    assert [axes.get_yscale() for axes in figure.axes] == [scale] * len(figure.axes)


def test_baseline_and_threshold_are_drawn_and_labelled(document):
    figure = drawing_named(document, "training_score-adding").figure()
    for axes in figure.axes:
        level = {float(line.get_ydata()[0]) for line in axes.lines if len(set(line.get_ydata())) == 1}
        assert {1 / 6, 1 / 6 / 100} <= level
        assert {"baseline 0.167", "solved 0.00167", "RNN", "LSTM", "GRU"} == {t.get_text() for t in axes.texts}


def test_machine_rate_is_the_median_of_what_was_measured(document, results):
    forward = drawing_named(document, "throughput_hidden-float32").figure().axes[2]
    trials = results.trials.query("probe == 'throughput' and direction == 'forward' and length == 128")
    rates = results.measurements.query("quantity == 'sgemm_flop_rate'").set_index("key")["value"]
    expected = rates[trials["key"]].median()
    dashed = [line.get_ydata()[0] for line in forward.lines if line.get_linestyle() == "--"]
    assert dashed == [pytest.approx(expected)]


def test_growing_gradients_have_no_half_life_and_the_finding_says_so(document):
    drawing = drawing_named(document, "half_life-sequential-digits")
    assert "The gradient grows" in drawing.finding
    assert "RNN, orthogonal, gain 1.5; LSTM, orthogonal, gate bias 3" in drawing.finding
    texts = [text.get_text() for text in drawing.figure().axes[0].texts]
    assert texts.count("3 of 3 grow →") == 2


def test_finding_does_not_tell_apart_what_the_seeds_do_not(document):
    finding = drawing_named(document, "training_score-adding").finding
    assert "These seeds do not tell RNN from the baseline." in finding
    assert "tell LSTM" not in finding


@pytest.mark.parametrize("probe", ["gradient_decay", "training", "throughput"])
def test_one_seed_and_one_probe_draw_too(build, probe):
    options = {} if probe == "throughput" else {"seeds": 1}
    document = compose(build(probe, **options))
    assert document.drawings
    for drawing in document.drawings:
        assert drawing.figure().axes
        assert "nan" not in drawing.finding.lower()
    if probe == "training":
        assert "one seed" in document.drawings[0].finding


def test_one_figure_for_each_kind_of_data(build):
    document = compose(build("gradient_decay", seeds=1, data=("adding", "character_prose")))
    assert [drawing.name for drawing in document.drawings] == [
        "gradient_decay-adding",
        "gradient_decay-character-prose",
        "half_life-adding",
        "half_life-character-prose",
    ]


def test_a_task_never_seen_gets_a_figure_with_no_new_code(build):
    document = compose(build("training", seeds=2, task="tomorrow's <task>", lengths=(30,)))
    (drawing,) = document.drawings
    assert drawing.name == "training_score-tomorrow-s-task"
    assert "tomorrow's <task>" in drawing.title


def test_many_settings_are_held_and_the_caption_names_what_is_shown(build):
    document = compose(build("training", seeds=1, lengths=(10, 20, 30, 40, 50, 60, 70)))
    (drawing,) = document.drawings
    assert len(drawing.figure().axes) == 1
    assert "Shown at length 70; the table has the other settings." in drawing.reading
    assert len(document.sections[0].tables[0].rows) == 21


@pytest.mark.parametrize("plot", figures.entries().values(), ids=figures.entries())
def test_missing_quantities_draw_nothing_and_do_not_fail(build, plot):
    options = {} if plot.probe == "throughput" else {"seeds": 1}
    results = build(plot.probe, **options)
    for quantity in results.measurements["quantity"].unique():
        rest = results.measurements[results.measurements["quantity"] != quantity]
        rows = Rows.of(type(results)(results.path, {}, {}, results.trials, rest), plot.probe)
        for drawing in plot.draw(rows):
            assert drawing.finding
        plot.tables(rows)


def test_curves_of_nan_alone_are_left_out(build):
    results = build("gradient_decay", seeds=1)
    results.measurements.loc[:, "value"] = np.nan
    assert compose(results).drawings == []


def test_measured_values_that_are_infinite_do_not_break_a_figure(build):
    results = build("training", seeds=2, lengths=(50,))
    late = results.measurements["index"].fillna(0) > 3000
    results.measurements.loc[late & (results.measurements["quantity"] == "evaluation_score"), "value"] = np.inf
    document = compose(results)
    (drawing,) = document.drawings
    assert files.draw(drawing, document, "svg")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0999999, "0.100"),
        (999.9, "1,000"),
        (1e7, "1.00×10⁷"),
        (0.0, "0"),
        (float("inf"), "∞"),
        (-0.5, "−0.500"),
    ],
)
def test_numbers_keep_three_significant_digits(value, text):
    assert wording.significant(value) == text


@pytest.mark.parametrize(("exponent", "text"), [(-61.5, "3.2×10⁻⁶²"), (-400.0, "1.0×10⁻⁴⁰⁰"), (3.9999, "1.0×10⁴")])
def test_powers_of_ten_reach_beyond_float64(exponent, text):
    assert wording.power_of_ten(exponent) == text


def test_settings_leave_out_what_is_missing():
    assert (
        wording.setting({"gain": pd.NA, "gate_bias": 3.0, "data": "character_prose"}) == "gate bias 3, character prose"
    )
