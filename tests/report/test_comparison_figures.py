"""The figures of rnnbench beside other libraries, from made-up rows."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up_speeds import PEERS, PUBLISHED, SETTING, SHAPES, add_comparison, lowest, of, wide_rows
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle
from scipy.stats import gmean

from rnnbench.report import style
from rnnbench.report.document import compose
from rnnbench.report.figures import _comparison
from rnnbench.report.rows import Rows

OWN = [f"{direction}-float32" for direction in ("forward", "forward-backward", "training-step")]
PLOTS = ("comparison_ratio", "comparison_peers", "comparison_floor")


@pytest.fixture(scope="module")
def drawings(compared_document):
    return {drawing.name: drawing for drawing in compared_document.drawings}


@pytest.fixture(scope="module")
def figures(drawings):
    """Every figure, laid out as in its file."""
    found = {name: drawing.figure("run made-up") for name, drawing in drawings.items()}
    for figure in found.values():
        with style.context():
            figure.draw_without_rendering()
    return found


@pytest.fixture(scope="module")
def wide(compared):
    """The trials with another library."""
    return wide_rows(compared).query("implementation != 'rnnbench'")


def squares(axes):
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def with_values(results, quantity, change):
    """Return the rows with one quantity changed."""
    measurements = results.measurements.copy()
    chosen = measurements["quantity"] == quantity
    measurements.loc[chosen, "value"] = change(measurements.loc[chosen, "value"])
    return replace(results, measurements=measurements)


def test_a_drawing_for_each_plot_and_direction_and_one_for_published_shapes(drawings):
    assert list(drawings) == [f"{plot}-{part}" for plot in PLOTS for part in (*OWN, "published-shapes-float32")]


def test_each_square_has_the_lowest_ratio_over_peers_and_the_name_of_that_peer(figures, wide):
    short = {"torch": "PyTorch", "onnxruntime": "ORT", "jax": "JAX"}
    for axes, cell in zip(figures["comparison_ratio-forward-float32"].axes[:3], ("rnn", "lstm", "gru"), strict=True):
        expected = lowest(of(wide).query("cell == @cell"))
        assert axes.get_title(loc="left") == cell.upper()
        assert len(squares(axes)) == len(expected) == 2 * len(SHAPES)
        numbers = [f"{row.ratio:.2f}×" for row in expected.itertuples()]
        assert sorted(text.removeprefix("≈ ") for text in texts(axes)[::2]) == sorted(numbers)
        assert sorted(texts(axes)[1::2]) == sorted(short[row.implementation] for row in expected.itertuples())


def test_a_number_stands_in_the_row_of_its_shape_and_the_column_of_its_threads(figures, wide):
    first, axes = figures["comparison_ratio-forward-float32"].axes[:2]
    shapes = [tick.get_text() for tick in first.get_yticklabels()]
    for row in lowest(of(wide).query("cell == 'lstm'")).itertuples():
        y = shapes.index(f"{row.length}×{row.batch}×{row.hidden}")
        (text,) = [t for t in axes.texts if t.get_position() == (row.threads - 1, pytest.approx(y - 0.17))]
        assert text.get_text().endswith(f"{row.ratio:.2f}×")


def test_rnnbench_is_no_peer_of_its_own_but_a_control(compared, drawings, figures):
    control = wide_rows(compared).query("implementation == 'rnnbench' and direction == 'forward'")
    assert len(control) == 6
    included = ((control["ratio_low"] <= 1) & (control["ratio_high"] >= 1)).sum()
    sentence = f"rnnbench beside itself gives {control['ratio'].min():.2f}× to {control['ratio'].max():.2f}× in 6 pairs"
    reading = drawings["comparison_ratio-forward-float32"].reading
    assert reading.endswith(f"{sentence}, with 1 in the interval of {included}.")
    assert "Control" not in drawings["comparison_ratio-published-shapes-float32"].reading
    assert "rnnbench" not in drawings["comparison_peers-forward-float32"].finding.partition("rnnbench is")[2]
    assert not any(
        "rnnbench" in text for axes in figures["comparison_ratio-forward-float32"].axes for text in texts(axes)
    )


def test_few_columns_have_names_beside_their_numbers(build):
    results = build("comparison", cells=("lstm",), threads=(2,), directions=("forward",), shapes=SHAPES[:1])
    for drawing in compose(results).drawings[:2]:
        figure = drawing.figure()
        with style.context():
            figure.draw_without_rendering()
        axes = figure.axes[0]
        for square, number, name in zip(squares(axes), axes.texts[::2], axes.texts[1::2], strict=True):
            box, left, right = (part.get_window_extent() for part in (square, number, name))
            assert box.x0 < left.x0 < left.x1 < right.x0 < right.x1 < box.x1
            assert box.y0 - 1 <= left.y0 < left.y1 <= box.y1 + 1


def test_shapes_stand_by_hidden_size_then_batch_then_length(figures):
    labels = [tick.get_text() for tick in figures["comparison_ratio-forward-float32"].axes[0].get_yticklabels()]
    by_size = sorted(SHAPES, key=lambda shape: (shape[2], shape[1], shape[0]))
    assert labels == [f"{length}×{batch}×{hidden}" for length, batch, hidden in by_size]
    low, high = figures["comparison_ratio-forward-float32"].axes[0].get_ylim()
    assert low > high, "the smallest stands at the top"


@pytest.mark.parametrize("name", [f"comparison_ratio-{part}" for part in (*OWN, "published-shapes-float32")])
def test_frames_and_signs_follow_the_intervals(figures, wide, name):
    published = name.endswith("published-shapes-float32")
    direction = {"forward": "forward", "training-step": "training_step"}.get(name[17:-8], "forward_backward")
    expected = lowest(wide[wide["grid"] != ""] if published else of(wide, direction))
    found = [axes for axes in figures[name].axes if axes.get_title(loc="left")]
    framed = sum(patch.get_edgecolor() == (*to_rgb(style.INK), 1.0) for axes in found for patch in squares(axes))
    unclear = sum(text.startswith("≈") for axes in found for text in texts(axes))
    assert framed == (expected["ratio_high"] < 1).sum()
    assert unclear == ((expected["ratio_low"] <= 1) & (expected["ratio_high"] >= 1)).sum()
    legend = [text.get_text() for text in figures[name].legends[0].get_texts()]
    assert ("rnnbench slower" in legend) == (framed > 0)
    assert ("interval includes 1" in legend) == (unclear > 0)


def test_some_of_the_made_up_ratios_are_slower_and_some_unclear(wide):
    best = lowest(wide)
    assert (best["ratio_high"] < 1).any()
    assert ((best["ratio_low"] <= 1) & (best["ratio_high"] >= 1)).any()


def test_every_word_lies_inside_its_square(figures):
    for name in ("comparison_ratio-forward-float32", "comparison_ratio-published-shapes-float32"):
        for axes in [axes for axes in figures[name].axes if axes.get_title(loc="left")]:
            boxes = [patch.get_window_extent() for patch in squares(axes)]
            for number, text in enumerate(axes.texts):
                box, square = text.get_window_extent(), boxes[number // 2]
                assert square.x0 <= box.x0 < box.x1 <= square.x1, (name, text.get_text())
                assert square.y0 - 1 <= box.y0 < box.y1 <= square.y1 + 1, (name, text.get_text())


def test_equal_speed_is_white_and_ink_can_be_read_on_every_colour():
    colors = style.ratio_colors()
    assert to_hex(colors(0.5)) == "#ffffff"
    assert (to_hex(colors(0.0)), to_hex(colors(1.0))) == (style.SLOWER, style.FASTER)
    ink = style._luminance(np.array(to_rgb(style.INK))) + 0.05
    for place in np.linspace(0, 1, 65):
        assert (style._luminance(np.array(colors(place)[:3])) + 0.05) / ink >= 4.5


def test_the_same_ratio_has_the_same_colour_in_every_drawing_and_reciprocals_opposite_ones(build):
    few = build("comparison", published=False, cells=("rnn",), threads=(1,), directions=("forward",))
    results = with_values(few, "ratio", lambda values: 0.5 + 0 * values)
    axes = compose(results).drawings[0].figure().axes[0]
    assert {to_hex(patch.get_facecolor()) for patch in squares(axes)} == {style.SLOWER}
    results = with_values(results, "ratio", lambda values: 2 + 0 * values)
    assert {to_hex(patch.get_facecolor()) for patch in squares(compose(results).drawings[0].figure().axes[0])} == {
        style.FASTER
    }


def test_ratio_finding_has_geometric_means_counts_and_the_lowest_square(drawings, wide):
    best = lowest(of(wide))
    finding = drawings["comparison_ratio-forward-float32"].finding
    for _, part in best.groupby("threads"):
        means = part.groupby("cell")["ratio"].apply(gmean)
        assert (
            f"{means['rnn']:.2f}× (RNN), {means['lstm']:.2f}× (LSTM) and {means['gru']:.2f}× (GRU) as fast" in finding
        )
    assert "(geometric means over 9 shapes)" in finding
    assert f"faster in {(best['ratio_low'] > 1).sum()} of 54 squares" in finding
    assert f"slower in {(best['ratio_high'] < 1).sum()}" in finding
    worst = best.loc[best["ratio"].idxmin()]
    where = f"{worst.cell.upper()} {worst.length}×{worst.batch}×{worst.hidden} on {worst.threads} thread"
    assert (
        f"The lowest ratio is {worst.ratio:.2f}× [{worst.ratio_low:.2f} to {worst.ratio_high:.2f}], {where}" in finding
    )


def test_published_shapes_stand_under_their_benchmarks_with_their_cells(figures, drawings):
    axes = figures["comparison_ratio-published-shapes-float32"].axes[0]
    ticks = axes.get_yticklabels()
    bold = [tick.get_text() for tick in ticks if tick.get_fontweight() == "bold"]
    assert bold == sorted(PUBLISHED, key=str) == ["DeepBench", "DeepCPU", "fastrnns"]
    labels = [tick.get_text() for tick in ticks]
    assert labels[:5] == ["DeepBench", "RNN 50×16×1760", "LSTM 25×16×512", "LSTM 25×32×1024", "GRU 187×32×1536"]
    assert [axes.get_title(loc="left") for axes in figures["comparison_ratio-published-shapes-float32"].axes[:2]] == [
        "forward",
        "forward + backward",
    ]
    assert "DeepBench" not in drawings["comparison_ratio-forward-float32"].reading


def test_dots_and_their_lines_are_ratios_and_intervals(figures, wide):
    axes = figures["comparison_peers-forward-float32"].axes[4]  # on 2 threads, LSTM
    expected = of(wide).query("cell == 'lstm' and threads == 2")
    for peer in PEERS:
        own = expected[expected["implementation"] == peer]
        color = style.IMPLEMENTATION_MARKS[peer].color
        (dots,) = [line for line in axes.lines if line.get_color() == color]
        assert sorted(dots.get_xdata()) == pytest.approx(sorted(own["ratio"]))
        (lines,) = [c for c in axes.collections if to_hex(c.get_edgecolor()[0]) == color]
        ends = np.array([segment[:, 0] for segment in lines.get_segments()])
        assert sorted(ends[:, 0]) == pytest.approx(sorted(own["ratio_low"]))
        assert sorted(ends[:, 1]) == pytest.approx(sorted(own["ratio_high"]))
    assert axes.get_xscale() == "log"
    assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"] == [1.0]


def test_the_dots_of_one_shape_stay_in_its_row(figures):
    for name in ("comparison_peers-forward-float32", "comparison_floor-forward-float32"):
        for axes in figures[name].axes:
            heights = np.concatenate([line.get_ydata() for line in axes.lines if line.get_linestyle() == "None"])
            assert np.all(np.abs(heights - np.round(heights)) < 0.4)


def test_peers_finding_has_the_range_of_means_and_what_is_slower(drawings, wide):
    own = of(wide).query("implementation == 'onnxruntime'")
    means = own.groupby(["cell", "threads"])["ratio"].apply(gmean)
    finding = drawings["comparison_peers-forward-float32"].finding
    assert f"{means.min():.2f}× to {means.max():.2f}× as fast as ONNX Runtime" in finding
    assert "none of 54 beside JAX" in finding
    slower = (of(wide).query("implementation == 'torch'")["ratio_high"] < 1).sum()
    assert f"{slower} of 54 beside PyTorch" in finding
    assert "ONNX" not in drawings["comparison_peers-training-step-float32"].finding, "it has no training step"


def test_floors_show_ours_and_theirs_with_the_letter_of_what_binds(figures, wide):
    axes = figures["comparison_floor-forward-float32"].axes[1]  # on 1 thread, LSTM
    expected = of(wide).query("cell == 'lstm' and threads == 1")
    ours = expected.groupby(SETTING)["fraction_of_floor"].median()
    (dots,) = [line for line in axes.lines if line.get_color() == style.INK]
    assert sorted(dots.get_xdata()) == pytest.approx(sorted(ours))
    (jax,) = [line for line in axes.lines if line.get_color() == style.IMPLEMENTATION_MARKS["jax"].color]
    theirs = expected.query("implementation == 'jax'")["peer_fraction_of_floor"]
    assert sorted(jax.get_xdata()) == pytest.approx(sorted(theirs))
    letters = [text for text in axes.texts if text.get_text() in "AWM"]
    bounds = expected.groupby(SETTING)["floor_bound"].first().map(lambda code: "AWM"[int(code)])
    assert sorted(text.get_text() for text in letters) == sorted(bounds)
    assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"] == [1.0]
    assert axes.get_xlim()[0] == 0.0
    assert axes.get_xlim()[1] > 1.0


def test_floor_finding_has_extremes_and_what_binds(drawings, wide):
    ours = of(wide).groupby(SETTING)["fraction_of_floor"].median()
    bounds = of(wide).groupby(SETTING)["floor_bound"].first().value_counts()
    finding = drawings["comparison_floor-forward-float32"].finding
    ends = f"{100 * ours.min():.2g} to {100 * ours.max():.2g} % (median {100 * ours.median():.2g} %)"
    assert f"rnnbench runs at {ends} of the floor's speed" in finding
    worst = dict(zip(SETTING, ours.idxmin(), strict=True))
    assert f"at {worst['cell'].upper()} {worst['length']}×{worst['batch']}×{worst['hidden']} on" in finding
    assert f"by arithmetic in {bounds[0]} and by weights in {bounds[1]}" in finding


def test_a_floor_that_trials_disagree_about_has_both_letters(build):
    results = build("comparison", published=False, directions=("forward",), cells=("rnn",), threads=(1,))
    keys = results.trials["key"][results.trials["implementation"] == "jax"]
    measurements = results.measurements.copy()
    measurements.loc[measurements["key"].isin(keys) & (measurements["quantity"] == "floor_bound"), "value"] = 2
    drawing = compose(replace(results, measurements=measurements)).drawings[2]
    assert {"A/M", "W/M"} == {text for text in texts(drawing.figure().axes[0]) if text in ("A/M", "W/M", "A", "W", "M")}


def test_a_floor_that_seeds_disagree_about_has_the_letters_of_both_and_of_no_other(empty_run):
    for seed, code in enumerate((0, 2)):  # whose median is a third one
        key = empty_run.trial("comparison", implementation="torch", cell="rnn", length=5, batch=2, hidden=8, seed=seed)
        for quantity, value in {"ratio": 1.1, "ratio_low": 1.0, "ratio_high": 1.2, "floor_bound": code}.items():
            empty_run.add(key, quantity, "1", (None, value))
        empty_run.add(key, "fraction_of_floor", "1", (None, 0.5))
    (drawing,) = [d for d in compose(empty_run.results()).drawings if d.name.startswith("comparison_floor")]
    assert [text for text in texts(drawing.figure().axes[0]) if set(text) <= set("AWM/")] == ["A/M"]
    assert "bound by arithmetic or memory" in drawing.finding


def test_a_peer_that_failed_is_left_out_and_counted(build):
    results = build("comparison", published=False, cells=("rnn",), directions=("forward",))
    trials = results.trials.copy()
    chosen = (trials["implementation"] == "torch") & (trials["hidden"] == 64)
    trials.loc[chosen, ["status", "reason"]] = "error", "difference 0.1"
    drawing = compose(replace(results, trials=trials)).drawings[0]
    assert "6 squares without all of them" in drawing.reading
    assert "ORT" in texts(drawing.figure().axes[0])[1]


def test_seeds_are_put_together_by_their_median(empty_run):
    for seed, ratio in enumerate((1.1, 1.2, 9.0)):
        key = empty_run.trial("comparison", implementation="torch", cell="rnn", length=5, batch=2, hidden=8, seed=seed)
        for quantity in ("ratio", "ratio_low", "ratio_high"):
            empty_run.add(key, quantity, "1", (None, ratio))
    rows = Rows.of(empty_run.results(), "comparison")
    (sheet,) = _comparison.sheets(rows)
    assert list(sheet.pairs["ratio"]) == [1.2]
    assert np.isnan(sheet.threads).all()
    for drawing in compose(empty_run.results()).drawings:
        assert "rnnbench is 1.20×" in drawing.finding
        assert "nan" not in drawing.finding + " ".join(texts(drawing.figure().axes[0]))
        drawing.figure().draw_without_rendering()


def test_inputs_stand_in_the_shape_where_shapes_differ_in_them(empty_run):
    shapes = ((20, 4, 64), (20, 4, 128))
    add_comparison(empty_run, published=False, directions=("forward",), shapes=shapes)
    add_comparison(empty_run, published=False, directions=("forward",), shapes=shapes[1:], features=64)
    drawing = compose(empty_run.results()).drawings[0]
    labels = [tick.get_text() for tick in drawing.figure().axes[0].get_yticklabels()]
    assert labels == ["20×4×64", "20×4×128, I 64", "20×4×128"]
    assert "as many inputs as hidden units, or I" in drawing.reading


def test_inputs_that_are_the_same_everywhere_are_told_once(drawings):
    assert "with 2 inputs." in drawings["comparison_ratio-training-step-float32"].reading
    assert "with as many inputs as hidden units." in drawings["comparison_ratio-forward-float32"].reading


def test_many_cells_take_more_rows_and_an_unknown_library_keeps_its_name(build):
    results = build("comparison", published=False, directions=("forward",), shapes=((20, 4, 32), (20, 4, 64)))
    more = results.trials.assign(key="x" + results.trials["key"], cell=results.trials["cell"] + "_new")
    values = results.measurements.assign(key="x" + results.measurements["key"])
    tables = {
        "trials": pd.concat([results.trials, more], ignore_index=True),
        "measurements": pd.concat([results.measurements, values], ignore_index=True),
    }
    tables["trials"] = tables["trials"].replace({"implementation": {"jax": "tomorrow"}})
    document = compose(replace(results, **tables))
    axes = [axes for axes in document.drawings[0].figure().axes if axes.get_title(loc="left")]
    assert [a.get_title(loc="left") for a in axes] == ["RNN", "LSTM", "GRU", "gru_new", "lstm_new", "rnn_new"]
    assert "tomorrow" in document.drawings[1].finding


def test_nothing_is_cut_off(figures):
    for name, figure in figures.items():
        width, height = figure.get_size_inches() * figure.dpi
        for box in [axes.get_tightbbox() for axes in figure.axes] + [figure.legends[0].get_window_extent()]:
            assert -1 <= box.x0 < box.x1 <= width + 1, name
            assert -1 <= box.y0 < box.y1 <= height + 1, name


def test_text_is_never_smaller_than_on_other_figures(figures):
    for figure in figures.values():
        sizes = [text.get_fontsize() for axes in figure.axes for text in axes.texts if text.get_text()]
        assert min(sizes, default=style.FONT_POINTS) >= style.FONT_POINTS - 2


def test_the_words_of_every_drawing_are_short_and_its_own(drawings):
    for first, second in itertools.pairwise(drawings.values()):
        assert first.finding != second.finding
    for drawing in drawings.values():
        assert "nan" not in f"{drawing.finding}{drawing.reading}".lower()
        assert len(drawing.finding) < 450
