"""Every figure drawn from made-up rows: its axes, its words, its bytes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import matplotlib
import matplotlib.colors
import numpy as np
import pandas as pd
import pytest

from rnnbench.report import figures, files, ranking, style, wording
from rnnbench.report.document import compose
from rnnbench.report.rows import Rows, hold, settings

FIGURES = {
    "gradient_decay-sequential-digits": 3,
    "half_life-sequential-digits": 1,
    "success_by_length-adding": 1,
    "steps_to_solve-adding": 1,
    "training_score-adding": 2,
    "training_score-sequential-digits": 1,
    "training_gradient-adding": 2,
    "training_gradient-sequential-digits": 1,
    "throughput_hidden-float32": 4,
    "throughput_length-float32": 4,
}
"""The figures of the full run and how many axes each has."""


@pytest.fixture(scope="module")
def scores(build):
    """The rows of a small run of training."""
    return build("training", seeds=3, lengths=(50,))


def drawing_named(document, name):
    return next(drawing for drawing in document.drawings if drawing.name == name)


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_the_full_run_gives_these_figures(document):
    assert [drawing.name for drawing in document.drawings] == list(FIGURES)


@pytest.mark.parametrize(("name", "axes_count"), FIGURES.items())
def test_axes_are_named_with_their_units(drawn, name, axes_count):
    figure = drawn[name]
    assert len(figure.axes) == axes_count
    bottom = [axes for axes in figure.axes if axes.get_subplotspec().is_last_row()]
    left = [axes for axes in figure.axes if axes.get_subplotspec().is_first_col()]
    assert all(axes.has_data() for axes in figure.axes)
    assert all(axes.get_xlabel().endswith(")") for axes in bottom)
    if name.startswith("half_life"):
        assert {"RNN", "LSTM", "GRU"} < {tick.get_text() for tick in figure.axes[0].get_yticklabels()}
    else:  # a norm is a pure number, whose unit is left out
        assert all(axes.get_ylabel().endswith((")", "gradient norm")) for axes in left)


def test_redrawing_gives_the_same_svg_bytes(document, results, html):
    again = drawing_named(compose(results), "gradient_decay-sequential-digits")
    assert files.inline_svg(again, document)[0] in html


def test_every_figure_names_its_run_and_keeps_text_as_text(document, html):
    assert html.count("run what-vanishes · 2026-03-02 · commit 3f1c2a9be0 + changes</text>") == len(FIGURES) + len(
        document.judged_drawings
    )
    assert "lag (steps back from the loss)</text>" in html


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off(drawn, name):
    figure = drawn[name]
    width, height = figure.get_size_inches() * figure.dpi
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert -1 <= box.x0 < box.x1 <= width + 1
        assert -1 <= box.y0 < box.y1 <= height + 1


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


def test_end_labels_do_not_overlap(drawn):
    for axes in drawn["gradient_decay-sequential-digits"].figure.axes:
        labels = [text for text in axes.texts if text.get_text() != "smallest normal float32"]
        boxes = sorted((text.get_window_extent() for text in labels), key=lambda box: box.y0)
        assert len(boxes) >= 4
        assert all(above.y0 >= below.y1 - 0.5 for below, above in itertools.pairwise(boxes))


def test_gradient_curves_are_the_medians_over_seeds_in_decades(drawn, results):
    rnn = drawn["gradient_decay-sequential-digits"].axes[0]
    thick = [line for line in rnn.lines if line.get_linewidth() > 1.5 and line.get_linestyle() == "-"]
    trials = results.trials.query("cell == 'rnn' and gain == 0.9 and probe == 'gradient_decay'")
    rows = results.measurements[results.measurements["key"].isin(trials["key"])]
    rows = rows[(rows["quantity"] == "log_gradient_norm") & (rows["index"] == 200)]
    expected = np.median(rows["value"]) / np.log(10)
    assert len(rows) == 3
    assert any(line.get_ydata()[-1] == pytest.approx(expected) for line in thick)


def test_float32_line_only_where_it_is_in_range(drawn, build):
    results = build("gradient_decay", seeds=1)
    slow = results.trials["key"][(results.trials["cell"] == "gru") & (results.trials["gate_bias"] == 3)]
    kept = results.trials["key"].isin(slow)
    object.__setattr__(results, "trials", results.trials[kept])
    object.__setattr__(results, "measurements", results.measurements[results.measurements["key"].isin(slow)])

    assert "smallest normal float32" in texts(drawn["gradient_decay-sequential-digits"])
    assert "smallest normal float32" not in texts(compose(results).drawings[0].figure())


@pytest.mark.parametrize(("name", "scale"), [("adding", "log"), ("sequential-digits", "linear")])
def test_scores_that_are_better_lower_over_decades_get_a_logarithmic_axis(drawn, name, scale):
    figure = drawn[f"training_score-{name}"]
    assert [axes.get_yscale() for axes in figure.axes] == [scale] * len(figure.axes)


def test_baseline_and_threshold_are_drawn_and_labelled(drawn):
    for axes in drawn["training_score-adding"].axes:
        levels = {line.get_linestyle(): line.get_ydata()[0] for line in axes.lines if len(line.get_ydata()) == 2}
        assert levels["--"] == 1 / 6
        assert levels[":"] == 1 / 6 / 100
        assert {"baseline 0.167", "solved 0.00167", "RNN", "LSTM", "GRU"} == {t.get_text() for t in axes.texts}


def test_a_curve_that_ends_early_has_its_ring_and_its_name_at_its_end(drawn, results):
    trials = results.trials.query("probe == 'training' and task == 'adding' and length == 50 and cell == 'gru'")
    ends = results.measurements.query("quantity == 'steps_to_solve'").set_index("key")["value"][trials["key"]]
    axes = drawn["training_score-adding"].axes[0]
    rings = [line for line in axes.lines if line.get_markersize() == 7 and line.get_color() == style.MARKS["gru"].color]
    assert sorted(step for ring in rings for step in ring.get_xdata()) == sorted(ends)
    names = {text.get_text(): text.get_window_extent().x0 for text in axes.texts}
    right = axes.get_window_extent().x1
    end = axes.transData.transform((ends.max(), 1.0))[0]
    assert end < names["GRU"] < end + 12 < right
    assert names["RNN"] >= right


def test_the_clipping_bound_is_drawn_and_labelled(drawn):
    for axes in drawn["training_gradient-adding"].axes:
        assert [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [1.0]
        assert [text.get_text() for text in axes.texts] == ["clipped\nabove 1"]
        assert axes.get_yscale() == "log"


def test_what_differs_between_cells_alone_makes_no_panel(drawn):
    assert [axes.get_title(loc="left") for axes in drawn["training_score-adding"].axes] == ["length 50", "length 200"]


def test_a_cell_without_a_parameter_is_in_every_panel_of_it():
    frame = pd.DataFrame(
        {"key": list("abcd"), "cell": ["rnn", "lstm", "lstm", "gru"], "gate_bias": [None, 0.0, 1.0, 1.0]}
    )
    found = {values["gate_bias"]: "".join(part["key"]) for values, part in settings(frame, ["gate_bias"])}
    assert found == {0.0: "ab", 1.0: "acd"}
    shown, held = hold(frame, ["gate_bias"])
    assert held == {"gate_bias": 1.0}
    assert list(shown["key"]) == ["a", "c", "d"]


def test_a_value_missing_in_some_trials_of_a_cell_is_a_setting_of_its_own():
    frame = pd.DataFrame({"key": list("abc"), "cell": ["lstm"] * 3, "limit": [None, 1.0, 1.0]})
    assert ["".join(part["key"]) for _, part in settings(frame, ["limit"])] == ["bc", "a"]


def test_machine_rate_is_the_median_of_what_was_measured(drawn, results):
    forward = drawn["throughput_hidden-float32"].axes[2]
    trials = results.trials.query("probe == 'throughput' and direction == 'forward' and length == 128")
    rates = results.measurements.query("quantity == 'sgemm_flop_rate'").set_index("key")["value"]
    expected = rates[trials["key"]].median()
    dashed = [line.get_ydata()[0] for line in forward.lines if line.get_linestyle() == "--"]
    assert dashed == [pytest.approx(expected)]


def test_growing_gradients_have_no_half_life_and_the_finding_says_so(document, drawn):
    finding = drawing_named(document, "half_life-sequential-digits").finding
    assert finding.endswith(
        "In RNN (orthogonal, gain 1.5) and LSTM (orthogonal, gate bias 3) it does not decay and has no half-life."
    )
    assert texts(drawn["half_life-sequential-digits"]).count("3 of 3 do not decay →") == 2


def test_gradient_finding_leads_with_what_vanishes_and_what_lasts(document, results):
    trials = results.trials.query("cell == 'rnn' and gain == 0.5")
    rows = results.measurements[results.measurements["key"].isin(trials["key"])]
    norms = rows.query("quantity == 'log_gradient_norm' and index == 200")["value"]
    finding = drawing_named(document, "gradient_decay-sequential-digits").finding
    left = wording.power_of_ten(norms.median() / np.log(10))
    start = "On sequential digits the gradient vanishes fastest in RNN (orthogonal, gain 0.5): after 200 steps"
    assert finding.startswith(f"{start} {left} of its norm is left. In RNN (orthogonal, gain 1.5) it does not vanish")
    assert finding.endswith("-fold (medians over 3 seeds).")


def test_training_finding_says_who_solved_the_task_and_how_the_others_compare(document):
    finding = drawing_named(document, "training_score-adding").finding
    assert finding.startswith(
        "Adding: LSTM solved 10 of 10 trials and GRU 10 of 10, at length 50 to 200; RNN solved 0 of 10"
    )
    assert finding.endswith("cannot be told from the baseline's 0.167 with these seeds.")
    unsolved = drawing_named(document, "training_score-sequential-digits").finding
    assert "is the best score, then" in unsolved
    assert "the baseline, which needs no memory, has 0.102" in unsolved
    assert "None solved" not in unsolved, "the task has no such threshold"


def test_findings_stay_short_whatever_the_number_of_panels(build):
    document = compose(build("training", seeds=1, lengths=(50, 100, 150, 200)))
    curves = [drawing for drawing in document.drawings if drawing.name.startswith("training")]
    assert len(curves) == 2
    assert all("length 50 to 200" in drawing.finding for drawing in curves)
    assert all(len(drawing.finding) < 260 for drawing in document.drawings)


def test_clipping_finding_gives_the_measured_fractions(document):
    finding = drawing_named(document, "training_gradient-adding").finding
    assert "clipped in 40.0 % of the steps of LSTM [40.0 over 10 trials], 30.0 % of RNN [30.0] and" in finding


def test_ranking_puts_together_what_the_seeds_do_not_tell_apart():
    values = {"a": np.array([3.0, 5.0]), "b": np.array([1.0, 2.0]), "c": np.array([1.9, 4.0]), "d": np.array([9.0])}
    assert list(ranking.lowest(values)) == ["b", "c"]
    assert list(ranking.highest(values)) == ["d"]
    assert ranking.highest(values)["d"] == [9.0]


def test_labels_break_at_commas():
    assert wording.wrapped("orthogonal, gain 0.9, gate bias 0") == "orthogonal, gain 0.9,\ngate bias 0"
    assert wording.wrapped("uniform") == "uniform"


@pytest.mark.parametrize("probe", ["gradient_decay", "training", "throughput"])
def test_one_seed_and_one_probe_draw_too(build, probe):
    options = {} if probe == "throughput" else {"seeds": 1}
    document = compose(build(probe, **options))
    assert document.drawings
    for drawing in document.drawings:
        assert drawing.figure().axes
        assert "nan" not in drawing.finding.lower()
    if probe == "training":
        assert "one seed" in document.drawings[0].finding.lower()


def test_one_figure_for_each_kind_of_data(build):
    document = compose(build("gradient_decay", seeds=1, data=("adding", "character_prose"), cells=("rnn",)))
    assert [drawing.name for drawing in document.drawings] == [
        "gradient_decay-adding",
        "gradient_decay-character-prose",
        "half_life-adding",
        "half_life-character-prose",
    ]


def test_a_task_never_seen_gets_a_figure_with_no_new_code(build):
    document = compose(build("training", seeds=2, task="tomorrow's <task>", lengths=(30,)))
    drawing, gradient = document.drawings
    assert gradient.name == "training_gradient-tomorrow-s-task"
    assert drawing.name == "training_score-tomorrow-s-task"
    assert "tomorrow's <task>" in drawing.title


def test_many_settings_are_held_and_the_caption_names_what_is_shown(build):
    document = compose(build("training", seeds=1, lengths=(10, 20, 30, 40, 50, 60, 70)))
    drawing = drawing_named(document, "training_score-adding")
    assert len(drawing.figure().axes) == 1
    assert "Shown at length 70; the table has the other settings." in drawing.reading
    assert len(document.sections[0].tables[0].rows) == 21


@pytest.mark.parametrize("plot", figures.entries().values(), ids=figures.entries())
def test_missing_quantities_draw_nothing_and_do_not_fail(build, plot):
    options = {
        "gradient_decay": {"seeds": 1, "cells": ("lstm",)},
        "training": {"seeds": 1, "lengths": (50,)},
        "throughput": {"hidden": (32, 64), "lengths": (128,)},
        "step_profile": {"batches": (1,)},
        "jacobian_products": {"seeds": 1},
        "lyapunov": {"seeds": 1},
        "parameter_gradient": {"seeds": 1},
        "gate_activity": {"seeds": 1},
        "exploding": {"seeds": 1},
        "comparison": {"shapes": ((20, 4, 32),), "published": False, "cells": ("lstm",), "threads": (1,)},
        "device_parity": {"wrong": False},
        "device_speed": {"hidden": (64,)},
    }
    results = build(plot.probe, **options[plot.probe])
    for quantity in results.measurements["quantity"].unique():
        rest = results.measurements[results.measurements["quantity"] != quantity]
        rows = Rows.of(type(results)(results.path, {}, {}, results.trials, rest), plot.probe)
        for drawing in plot.draw(rows):
            assert drawing.finding
        plot.tables(rows)


def test_curves_of_nan_alone_are_left_out(build):
    results = build("gradient_decay", seeds=1, cells=("rnn",))
    results.measurements.loc[:, "value"] = np.nan
    assert compose(results).drawings == []


def test_measured_values_that_are_infinite_do_not_break_a_figure(scores):
    measurements = scores.measurements.copy()
    late = measurements["index"].fillna(0) > 300
    measurements.loc[late & measurements["quantity"].isin(["evaluation_score", "gradient_norm"]), "value"] = np.inf
    drawings = compose(replace(scores, measurements=measurements)).drawings
    assert drawings
    for drawing in drawings:
        drawing.figure().draw_without_rendering()


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
