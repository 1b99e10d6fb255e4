"""The tables of rnnbench beside other libraries, from made-up rows."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from made_up_speeds import PEERS, SHAPES, add_comparison, cell_of, lowest, of, wide_rows
from scipy.stats import gmean

from rnnbench.report import wording
from rnnbench.report.document import compose


@pytest.fixture(scope="module")
def wide(compared):
    return wide_rows(compared).query("implementation != 'rnnbench'")


@pytest.fixture(scope="module")
def tables(compared_document):
    (section,) = compared_document.sections
    return section.tables


def test_the_table_of_means_is_that_of_the_rows(tables, wide):
    table = tables[0]
    row = next(row for row in table.rows if row[:3] == ["forward", "LSTM", "2"])
    own = of(wide).query("cell == 'lstm' and threads == 2")
    best = lowest(own)
    for peer in PEERS:
        mean = gmean(own[own["implementation"] == peer]["ratio"])
        assert cell_of(table, row, wording.implementation_label(peer)) == f"{mean:.2f}"
    worst = best.loc[best["ratio"].idxmin()]
    assert cell_of(table, row, "the fastest of them") == f"{gmean(best['ratio']):.2f}"
    assert cell_of(table, row, "rnnbench faster") == str((best["ratio_low"] > 1).sum())
    assert cell_of(table, row, "slower") == str((best["ratio_high"] < 1).sum())
    assert row[-3:-1] == [f"{worst.ratio:.2f}", f"{worst.ratio_low:.2f} to {worst.ratio_high:.2f}"]
    assert row[-1] == f"{worst.length}×{worst.batch}×{worst.hidden}"


def test_the_table_of_pairs_has_every_number(tables, wide):
    table = next(table for table in tables if table.caption.startswith("Forward + backward"))
    assert len(table.rows) == 3 * 2 * len(SHAPES)
    row = next(row for row in table.rows if row[:5] == ["GRU", "2", "50", "64", "256"])
    own = of(wide, "forward_backward").query("cell == 'gru' and threads == 2 and batch == 64 and hidden == 256")
    ours, times = own["median_time"].median(), own.set_index("implementation")["peer_median_time"]
    operations = 3 * 2 * 3 * 256 * (256 + 256) * 50 * 64
    best = own.loc[own["ratio"].idxmin()]
    expected = {
        "rnnbench": wording.significant(1e3 * ours),
        "PyTorch": wording.significant(1e3 * times["torch"]),
        "JAX": wording.significant(1e3 * times["jax"]),
        "ratio to the fastest": f"{best.ratio:.2f}",
        "95 % interval": f"{best.ratio_low:.2f} to {best.ratio_high:.2f}",
        "of the floor": f"{100 * own['fraction_of_floor'].median():.0f}",
        "bound by": "arithmetic",
        "arithmetic": wording.significant(operations / ours / 1e9),
    }
    assert {title: cell_of(table, row, title) for title in expected} == expected
    largest = of(wide, "forward_backward")["difference"].max()
    assert f"Outputs differ by at most {wording.significant(largest, 2)} of the largest of them" in table.note


def test_there_is_a_table_for_each_direction_and_two_for_published_shapes(tables):
    starts = [table.caption.partition(":")[0] for table in tables]
    own = ["Forward, float32", "Forward + backward, float32", "Training step, float32"]
    means = ["Geometric means over the shapes", "Geometric means over the published shapes"]
    assert starts == [means[0], *own, "Control", means[1], "Published shapes, float32"]


def test_the_control_stands_in_a_table_of_its_own(tables, compared):
    control = wide_rows(compared).query("implementation == 'rnnbench'")
    assert len(tables[4].rows) == len(control) == 18
    assert sorted(row[-2] for row in tables[4].rows) == sorted(f"{ratio:.2f}" for ratio in control["ratio"])
    assert "rnnbench beside itself" in tables[0].note
    assert "rnnbench" not in [column.title for column in tables[0].columns]


def test_published_shapes_have_means_of_their_own_by_benchmark(tables):
    rows = [row[:4] for row in tables[5].rows]
    assert ["forward", "DeepBench", "LSTM", "1"] in rows
    assert ["forward + backward", "fastrnns", "LSTM", "2"] in rows


def test_a_mean_over_fewer_shapes_says_so(build):
    compared = build("comparison", directions=("forward",), cells=("rnn",), published=False)
    trials = compared.trials.copy()
    chosen = (trials["implementation"] == "torch") & (trials["hidden"] == 64)
    trials.loc[chosen, ["status", "reason"]] = "error", "difference 0.1"
    (section,) = compose(replace(compared, trials=trials)).sections
    for row in section.tables[0].rows:
        assert cell_of(section.tables[0], row, "PyTorch").endswith("(6 of 9)")
        assert "of" not in cell_of(section.tables[0], row, "JAX")


def test_types_are_rows_and_drawings_apart(empty_run):
    for dtype in ("float32", "float64"):
        shapes = SHAPES if dtype == "float32" else SHAPES[:2]
        few = {"cells": ("rnn",), "directions": ("forward",), "threads": (2,)}
        add_comparison(empty_run, published=False, shapes=shapes, dtype=dtype, **few)
    document = compose(empty_run.results())
    table = document.sections[0].tables[0]
    assert {cell_of(table, row, "type"): cell_of(table, row, "shapes") for row in table.rows} == {
        "float32": "9",
        "float64": "2",
    }
    names = [drawing.name for drawing in document.drawings]
    assert [name for name in names if name.startswith("comparison_ratio")] == [
        "comparison_ratio-forward-float32",
        "comparison_ratio-forward-float64",
    ]


def test_samples_whose_threads_did_not_rest_are_told(build, tables):
    results = build("comparison", published=False, cells=("lstm",), directions=("forward",))
    restless = results.measurements[results.measurements["quantity"] == "discarded_samples"]
    restless = restless.assign(quantity="unsettled_samples", value=1.0)
    measurements = pd.concat([results.measurements, restless])
    (section,) = compose(replace(results, measurements=measurements)).sections
    told = f"Samples whose threads did not come to rest after them: {len(restless)}."
    assert told in section.tables[1].note
    assert not any("come to rest" in table.note for table in tables)


def test_arithmetic_of_a_cell_that_is_not_known_is_left_out(build):
    results = build("comparison", published=False, cells=("lstm",), directions=("forward",))
    (section,) = compose(replace(results, trials=results.trials.assign(cell="tomorrow"))).sections
    assert "arithmetic" not in [column.title for column in section.tables[1].columns]


def test_inputs_have_a_column_where_shapes_differ_in_them(empty_run, tables):
    add_comparison(empty_run, published=False, directions=("forward",), shapes=((20, 4, 128),))
    add_comparison(empty_run, published=False, directions=("forward",), shapes=((20, 4, 128),), features=64)
    (section,) = compose(empty_run.results()).sections
    table = section.tables[1]
    assert {cell_of(table, row, "I") for row in table.rows} == {"64", "128"}
    assert "I: 2" in next(table for table in tables if table.caption.startswith("Training step")).note
