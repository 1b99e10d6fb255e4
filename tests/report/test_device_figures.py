"""What a GPU computes and costs, from made-up rows: figures, verdicts and tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up_devices import FASTER, TYPES, WAYS
from made_up_speeds import cell_of

from rnnbench.report import values
from rnnbench.report.document import compose


def only_table(results):
    (section,) = compose(results).sections
    (table,) = section.tables
    return table


@pytest.fixture(scope="module")
def wrong(build):
    return build("device_parity")


def line(table, *group):
    return next(row for row in table.rows if tuple(row[: len(group)]) == group)


def test_every_way_and_type_has_a_line_with_its_verdict(build):
    table = only_table(build("device_parity", wrong=False))
    assert len(table.rows) == len(WAYS) * len(TYPES) + 1 <= 12
    assert {row[-1] for row in table.rows} == {"pass"}
    assert {cell_of(table, row, "passed") for row in table.rows} == {"3 of 3"}
    row = line(table, "persistent", "float32", "cuda")
    # The LSTM is furthest off: 0.4 of what it may be.
    assert row[4:8] == ["4.0×10⁻⁶", "1×10⁻⁵", "2.0×10⁻⁶", "0.0001"]
    assert row[8:11] == ["0", "40", "200"]
    assert line(table, "training")[9:11] == ["–", "–"]


@pytest.mark.parametrize(
    ("group", "passed", "verdict"),
    [
        (("independent", "float64", "cuda"), "2 of 3", "fail"),
        (("persistent", "float32", "cuda fast"), "2 of 3", "fail"),
        (("persistent", "float32", "cuda"), "2 of 3", "incomplete"),
        (("stepwise", "float32", "cuda"), "3 of 3", "pass"),
    ],
)
def test_what_fails_or_hangs_is_no_pass(wrong, group, passed, verdict):
    table = only_table(wrong)
    row = line(table, *group)
    assert (cell_of(table, row, "passed"), row[-1]) == (passed, verdict)


def test_the_worst_error_is_the_one_nearest_to_its_tolerance(wrong):
    table = only_table(wrong)
    assert line(table, "independent", "float64", "cuda")[6:8] == ["3.0×10⁻¹¹", "1×10⁻¹¹"]
    assert cell_of(table, line(table, "persistent", "float32", "cuda fast"), "runs that differ") == "2"


def test_nan_is_the_worst_error_of_all(wrong):
    gru = wrong.trials.query("cell == 'gru' and way == 'independent' and dtype == 'float64'")["key"].item()
    rows = wrong.measurements.copy()
    rows.loc[(rows["key"] == gru) & (rows["quantity"] == "forward_error"), "value"] = np.nan
    results = replace(wrong, measurements=rows)
    assert line(only_table(results), "independent", "float64", "cuda")[4] == "NaN"
    (drawing,) = compose(results).drawings
    forward, backward = drawing.figure().axes
    assert max(float(dot.get_xdata()[0]) for dot in forward.lines if len(dot.get_xdata()) == 1) == forward.get_xlim()[1]
    assert forward.get_xlim() == backward.get_xlim()
    figure = drawing.figure()
    figure.canvas.draw()
    shown = values.read(figure)
    told = shown.rows["series"].str.contains("NaN")
    assert told.sum() == 1, "a NaN is drawn at the end of the axis, and said to be one"
    assert np.isfinite(shown.places[told.to_numpy()]).all()


def test_a_race_is_said_where_it_is_pointed_at(build):
    (drawing,) = compose(build("device_parity")).drawings
    figure = drawing.figure()
    figure.canvas.draw()
    series = values.read(figure).rows["series"]
    assert set(series[series.str.contains("runs differ")]) == {"RNN, runs differ"}


def test_ticks_are_numbers_and_not_their_source(build):
    (drawing,) = compose(build("device_parity")).drawings
    figure = drawing.figure()
    figure.canvas.draw()
    labels = [tick.get_text() for axes in figure.axes for tick in axes.get_xticklabels()]
    assert any(labels)
    assert not any("$" in label for label in labels)


def test_the_finding_names_what_fails(build):
    (drawing,) = compose(build("device_parity")).drawings
    assert drawing.finding == (
        "27 of 30 comparisons pass; 2 fail: RNN persistent float32 cuda fast B 9 H 48 and GRU independent float64 cuda "
        "B 9 H 48; 1 did not finish. In those that pass all runs gave the same bits, and errors come to 40 % of what "
        "they may at most (LSTM independent float32 cuda B 9 H 48)."
    )


def test_of_many_failures_the_finding_names_a_few(build):
    results = build("device_parity", wrong=False)
    rows = results.measurements.copy()
    rows.loc[rows["quantity"] == "passed", "value"] = 0.0
    (drawing,) = compose(replace(results, measurements=rows)).drawings
    assert drawing.finding.startswith("0 of 30 comparisons pass; 30 fail: RNN independent float32 cuda B 9 H 48, ")
    assert drawing.finding.endswith(" and 26 others.")


def test_a_dot_is_a_trial_and_a_cross_a_race(build):
    (drawing,) = compose(build("device_parity")).drawings
    for axes in drawing.figure().axes:
        dots = [line for line in axes.lines if len(line.get_xdata()) == 1]
        crosses = [line for line in dots if line.get_marker() == "x"]
        assert (len(dots) - len(crosses), len(crosses)) == (29, 1)
        assert axes.get_xlim()[1] >= 3.0


def test_a_simulated_gpu_is_told(build):
    document = compose(build("device_parity", wrong=False, simulated=True))
    assert "27 trials ran on a simulated GPU" in document.drawings[0].finding
    assert "no GPU but its simulator" in document.sections[0].tables[0].note


def test_nothing_is_drawn_of_trials_that_all_failed(empty_run):
    empty_run.trial("device_parity", "error", "no GPU", cell="gru", way="planned", backend="cuda", work="layer", seed=0)
    empty_run.trial("device_speed", "error", "no GPU", cell="gru", backend="cuda", direction="forward", seed=0)
    document = compose(empty_run.results())
    assert document.drawings == []
    assert [section.tables for section in document.sections] == [[], []]
    assert len(document.unfinished.rows) == 2


def test_ratios_have_their_mean_and_the_lowest_with_its_shape(build):
    (section,) = compose(build("device_speed")).sections
    table = section.tables[0]
    assert len(table.rows) == 6
    row = line(table, "cuda", "forward", "LSTM")
    mean = (0.81 * 1.21) ** 0.5
    for place, (_, faster) in enumerate(FASTER.items()):
        assert row[4 + 2 * place] == f"{faster * mean:.2f}"
        assert row[5 + 2 * place] == f"{0.81 * faster:.2f} at 1×768"
    assert row[3] == "4"
    assert row[-1] == "25"


def test_one_shape_has_its_microseconds_a_step(build):
    (section,) = compose(build("device_speed")).sections
    table = section.tables[1]
    assert table.caption == "Time of a step at LSTM, T×B×H 1024×16×768."
    # 4 gates, 768 / 64, 16 ** (1/2) / 4: 48 us; PyTorch's 0.81 * 1.21 of its factor.
    assert table.rows[0] == ["cuda", "forward", "48.0", "94.1", "56.5", "28.2", "12.0"]
    assert table.rows[1][2] == "144"


def test_without_that_shape_there_is_no_such_table(build):
    (section,) = compose(build("device_speed", hidden=(64, 128))).sections
    assert len(section.tables) == 1


def test_lines_are_microseconds_a_step(build):
    forward, both = compose(build("device_speed")).drawings
    assert [drawing.name for drawing in (forward, both)] == [
        "device_speed-forward",
        "device_speed-forward-backward",
    ]
    axes = forward.figure().axes
    assert [each.get_title(loc="left") for each in axes[:3]] == ["RNN", "LSTM", "GRU"]
    assert len(axes) == 6
    ours, fp32, _, _, floor = axes[1].lines
    assert list(ours.get_ydata()) == pytest.approx([1.0, 12.0])
    assert list(fp32.get_ydata()) == pytest.approx([2.0, 12.0 * 2 * 0.81])
    assert list(floor.get_xdata()) == [64.0], "at H = 768, B = 1 there is none"
    assert "1.98× as fast as PyTorch in fp32 (lowest 1.62×, RNN, T×B×H 1024×1×768)" in forward.finding


def test_without_pytorch_that_is_said(build):
    document = compose(build("device_speed", peers=False))
    assert document.sections[0].tables[0].note == "PyTorch was not timed."
    assert "PyTorch" not in document.drawings[0].finding
    names = [text.get_text() for text in document.drawings[0].figure().legends[0].get_texts()]
    assert names == ["rnnbench", "floor"]
