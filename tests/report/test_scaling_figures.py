"""Speed by threads and time by length, from made-up rows."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from rnnbench.report import style
from rnnbench.report.document import compose
from rnnbench.report.figures import _scaling
from rnnbench.report.rows import Rows


@pytest.fixture(scope="module")
def scaling(build):
    document = compose(build("scaling", slow_start=3.0))
    return {drawing.name: drawing for drawing in document.drawings}


def test_speed_up_is_that_of_the_rows_beside_the_ideal_and_the_product(scaling):
    figure = scaling["throughput_threads-float32"].figure()
    axes = figure.axes[0]
    assert [a.get_title(loc="left") for a in figure.axes] == ["forward", "forward + backward"]
    (ideal,) = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert list(ideal.get_ydata()) == list(ideal.get_xdata()) == [1, 2, 4]
    (product,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert product.get_ydata() == pytest.approx([1, 2**0.95, 4**0.95])
    (lstm,) = [line for line in axes.lines if line.get_color() == style.MARKS["lstm"].color]
    assert lstm.get_ydata() == pytest.approx([1, 2**0.72, 4**0.72])
    assert "Shown at length 1024" in scaling["throughput_threads-float32"].reading


def test_threads_finding_has_the_extremes_and_the_product(scaling):
    finding = scaling["throughput_threads-float32"].finding
    assert f"forward {4**0.72:.2f}× (LSTM) to {4**0.78:.2f}× (RNN), sgemm {4**0.95:.2f}×" in finding


def test_linearity_is_the_time_per_step_against_the_shortest(scaling):
    drawing = scaling["throughput_linearity-float32"]
    axes = drawing.figure().axes[0]
    (rnn,) = [line for line in axes.lines if line.get_color() == style.MARKS["rnn"].color]
    expected = [100 * ((length + 3) / length / (19 / 16) - 1) for length in (16, 64, 256, 1024)]
    assert rnn.get_ydata() == pytest.approx(expected)
    # three steps more over four gates stay within 5 %, over three and over one do not
    assert "within 5 % in 2 of 6 curves" in drawing.finding
    assert f"is −{-expected[-1]:.2g} % (RNN, forward" in drawing.finding


def test_each_number_of_threads_is_a_row_of_curves_of_its_own(build):
    document = compose(build("scaling", threads=(1, 2), slow_start=3.0, every=True))
    drawing = {drawing.name: drawing for drawing in document.drawings}["throughput_linearity-float32"]
    titles = [axes.get_title(loc="left") for axes in drawing.figure().axes]
    assert titles == 2 * ["forward", "forward + backward"]
    labels = [axes.get_ylabel().partition("\n")[0] for axes in drawing.figure().axes]
    assert labels == ["1 thread", "", "2 threads", ""]
    expected = [100 * ((length + 3) / length / (19 / 16) - 1) for length in (16, 64, 256, 1024)]
    for axes in drawing.figure().axes:
        (rnn,) = [line for line in axes.lines if line.get_color() == style.MARKS["rnn"].color]
        assert rnn.get_ydata() == pytest.approx(expected)
    assert "in 2 of 6 curves on 1 thread and 2 of 6 curves on 2 threads" in drawing.finding
    assert "Shown at" not in drawing.reading


def test_a_line_through_two_lengths_is_no_figure(build):
    names = [drawing.name for drawing in compose(build("scaling", lengths=(16, 64))).drawings]
    assert names == ["throughput_length-float32", "throughput_threads-float32"]


def test_one_number_of_threads_is_no_figure(build):
    names = [drawing.name for drawing in compose(build("scaling", threads=(2,))).drawings]
    assert names == ["throughput_length-float32", "throughput_linearity-float32"]


def test_each_type_has_its_own_matrix_product_in_the_table(build):
    results = build("scaling", threads=(1, 2), lengths=(16, 64))
    double = results.trials["key"][results.trials["threads"] == 2]
    measurements = results.measurements.copy()
    chosen = measurements["key"].isin(double) & (measurements["quantity"] == "sgemm_flop_rate")
    measurements.loc[chosen, ["quantity", "value"]] = "dgemm_flop_rate", 125.0
    (table,) = compose(replace(results, measurements=measurements)).sections[0].tables
    assert table.columns[-2].heading == "matrix product (GFLOP/s)"
    assert {row[-2] for row in table.rows} == {"250", "125"}
    assert all(float(row[-1]) > 0 for row in table.rows)


def test_a_figure_over_one_axis_is_drawn_where_that_axis_varies(build):
    frame = Rows.of(build("scaling", threads=(1, 2), lengths=(16, 64, 256)), "throughput").wide()
    shown, held = _scaling.widest(frame, ["threads"], "length")
    assert held == {"threads": 2}
    assert sorted(shown["length"].unique()) == [16, 64, 256]
    shown, held = _scaling.widest(frame, ["length"], "threads")
    assert held == {"length": 256}
    assert _scaling.widest(frame, [], "threads")[1] == {}


def test_of_equal_settings_that_with_the_largest_layer_is_drawn():
    frame = pd.DataFrame({"length": [9000, 9000, 100, 100], "hidden": [64, 64, 512, 512], "threads": [1, 2, 1, 2]})
    assert _scaling.widest(frame, ["length", "hidden"], "threads")[1] == {"hidden": 512, "length": 100}
