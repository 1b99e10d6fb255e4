"""Success and steps by length, the map of length and size, and the table of published numbers, on made-up rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rnnbench import tasks
from rnnbench.report import style
from rnnbench.report.document import compose
from rnnbench.report.figures import _memory, published
from rnnbench.report.figures.published import Published, comparisons
from rnnbench.report.rows import Rows


@pytest.fixture(scope="module")
def document(build):
    return compose(build("memory"))


@pytest.fixture(scope="module")
def drawings(document):
    return {drawing.name: drawing for drawing in document.drawings}


@pytest.fixture(scope="module")
def success(drawings):
    return drawings["success_by_length-adding"].figure()


def lines_of(axes, cell):
    return [line for line in axes.lines if line.get_color() == style.MARKS[cell].color]


def test_each_arm_is_a_panel_that_says_what_it_holds(success):
    titles = [axes.get_title(loc="left") for axes in success.axes]
    assert titles == ["hidden 64", "parameters 20000", "hidden 64, chrono biases"]


def test_points_are_shares_of_seeds_and_bars_wilsons_interval(success):
    lstm = success.axes[0].containers[1]
    shares = [(5, 5), (5, 5), (2, 5)]
    assert lstm.lines[0].get_ydata() == pytest.approx([100 * k / n for k, n in shares])
    (bars,) = lstm.lines[2]
    ends = [segment[:, 1] for segment in bars.get_segments()]
    for (low, high), (k, n) in zip(ends, shares, strict=True):
        interval = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((100 * interval.low, 100 * interval.high))


def test_the_finding_says_how_far_every_seed_came(drawings):
    finding = drawings["success_by_length-adding"].finding
    assert finding.startswith(
        "Adding (hidden 64): solved by every seed of RNN at no length (0 of 5 at 50), LSTM up to 100 steps (2 of 5 at "
        "200), GRU up to 200 steps; all of 5 means a rate of 57 % or more."
    )
    assert finding in drawings["success_by_length-adding"].alternative


def test_cells_that_came_equally_far_are_named_together(build):
    found = compose(build("memory", arms=False, task="copy_memory")).drawings
    texts = [drawing.finding for drawing in found if drawing.name.startswith("success")]
    assert len(texts) == 1
    assert _memory.grouped([("A", "x"), ("B", "y"), ("C", "x")]) == "A and C x, B y"


def test_unsolved_trials_are_open_triangles_at_their_budget(drawings):
    axes = drawings["steps_to_solve-adding"].figure().axes[0]
    triangles = [line for line in lines_of(axes, "lstm") if line.get_markerfacecolor() == "white"]
    assert [line.get_ydata().tolist() for line in triangles] == [[3000.0] * 3]
    median = next(line for line in lines_of(axes, "lstm") if line.get_linestyle() == "-")
    assert median.get_ydata() == pytest.approx([300, 600])  # 3 of 5 do not solve 200 steps: no median there
    text = drawings["steps_to_solve-adding"]
    assert "RNN more than 3,000, LSTM more than 3,000, GRU 1,200" in text.finding
    assert "18 of 45 trials did not solve it within their steps (right-censored)" in text.finding
    assert "right-censored" in text.reading


@pytest.mark.parametrize(
    ("steps", "median"),
    [([3, 1, 2], 2), ([1, 2, np.nan], 2), ([1, np.nan, np.nan], math.inf), ([1, 3], 2), ([1, np.nan], math.inf)],
)
def test_the_median_counts_unsolved_trials_as_longer_than_any(steps, median):
    import pandas as pd

    assert _memory.median_steps(pd.DataFrame({"steps_to_solve": steps})) == median


def test_the_map_has_every_length_and_size_that_was_tried(drawings):
    figure = drawings["memory_map-adding"].figure()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["RNN", "LSTM", "GRU"]
    rates = np.asarray(figure.axes[2].images[0].get_array())
    assert rates.tolist() == [[1, 0], [1, 1], [1, 1]]  # GRU with 16 units reaches 50 steps, with 32 and 64 100
    assert {text.get_text() for text in figure.axes[2].texts} == {"2/2\n262", "2/2\n525", "0/2", "5/5\n300", "5/5\n600"}
    finding = drawings["memory_map-adding"].finding
    assert finding == (
        "Adding, all of 50 to 100 steps: solved by every seed of RNN at no size (0 of 18 trials), "
        "LSTM from 64 units on, GRU from 32 units on."
    )


def test_one_size_makes_no_map_and_one_length_nothing(build):
    names = [drawing.name for drawing in compose(build("memory", sizes=False)).drawings]
    assert "success_by_length-adding" in names
    assert not any(name.startswith("memory_map") for name in names)
    single = compose(build("training", task="sequential_digits", lengths=(64,)))
    assert not any(drawing.name.startswith(("success", "steps_to")) for drawing in single.drawings)


@pytest.mark.parametrize("name", ["success_by_length-adding", "steps_to_solve-adding", "memory_map-adding"])
def test_nothing_is_cut_off(drawings, name):
    figure = drawings[name].figure("run x")
    figure.draw_without_rendering()
    width, height = figure.get_size_inches() * figure.dpi
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert -1 <= box.x0 < box.x1 <= width + 1
        assert -1 <= box.y0 < box.y1 <= height + 1


def table_of(results):
    return next(iter(Published().tables(Rows.of(results, "training"))), None)


def test_published_numbers_stand_beside_ours(build):
    table = table_of(build("memory"))
    assert [column.title for column in table.columns][:2] == ["task", "source"]
    (row,) = table.rows
    assert row[0] == "adding"
    assert row[2] == "600 steps, 70,000 parameters"
    assert row[3] == "RNN 0.177, LSTM 0.164, GRU 5.30×10⁻⁵ mse (0.167)"
    assert row[4].startswith("200 steps, ")
    assert row[5].startswith("RNN 0.163, LSTM 0.163, GRU 0.00153 mse (0.167)")


def test_orders_are_compared_pair_by_pair_with_what_differs(build):
    (row,) = table_of(build("memory", arms=False)).rows
    assert row[6] == "as published: RNN like LSTM, RNN after GRU, LSTM after GRU"


def test_an_order_that_differs_says_what_is_different_here(build):
    comparison = next(each for each in comparisons() if each.task == "adding")
    ours = {"rnn": np.array([0.16]), "lstm": np.array([0.001, 0.003]), "gru": np.array([0.002, 0.004])}
    text = published._order(comparison, ours, 1 / 6)
    assert "told apart only here: RNN like LSTM" in text
    assert "not told apart here: LSTM after GRU" in text
    assert text.endswith(comparison.differs)
    swapped = {"lstm": np.array([0.001]), "gru": np.array([0.002])}
    assert published._order(comparison, swapped, 1 / 6).startswith("the other way round: LSTM after GRU.")


def test_published_baselines_are_those_of_our_tasks():
    """At the source's length, where our task can have it."""
    for each in comparisons():
        kind = tasks.get(each.task)
        if not np.isfinite(each.baseline) or each.length == 784:
            continue
        baseline = kind(each.length).baseline
        assert each.baseline == pytest.approx(
            baseline.loss if each.quantity == "training_loss" else baseline.value, rel=1e-3
        )


def test_every_published_number_says_where_it_is_from_and_what_is_different():
    for each in comparisons():
        assert each.task in tasks.entries()
        assert each.source
        assert each.differs
        assert each.better in {"lower", "higher"}
        assert each.quantity in {"final_score", "training_loss", "training_sequences"}
        if each.quantity == "final_score":
            assert (each.better == "higher") == tasks.get(each.task).higher_is_better
            assert each.unit == tasks.get(each.task).metric_unit


def test_tasks_that_nobody_published_have_no_table(build):
    assert table_of(build("memory", task="no_such_task")) is None
