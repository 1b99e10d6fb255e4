"""Figures of gradients: what they say is what the rows say, and what they draw is what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from rnnbench.report import wording
from rnnbench.report.document import compose
from rnnbench.report.figures.base import Drawing
from rnnbench.sweeps.store import Results

NAMES = {
    "measured_gradient_decay": [
        "gradient_decay-adding",
        "half_life-adding",
        "gradient_paths-lstm-adding",
        "gradient_paths-gru-adding",
    ],
    "jacobian_products": ["jacobian_products-adding"],
    "lyapunov": ["lyapunov-adding"],
    "parameter_gradient": ["parameter_gradient-adding"],
    "gate_activity": ["gate_activity-adding"],
    "exploding": ["exploding-temporal-order"],
}
PANELS = {"gradient_paths-lstm-adding": 2, "gradient_paths-gru-adding": 1, "jacobian_products-adding": 3}
PANELS |= {"lyapunov-adding": 2, "parameter_gradient-adding": 3, "gate_activity-adding": 3}
PANELS |= {"exploding-temporal-order": 4}


@pytest.fixture(scope="module")
def runs(build: Callable[..., Results]) -> dict[str, Results]:
    return {probe: build(probe) for probe in NAMES}


def drawing(runs: dict[str, Results], probe: str, name: str) -> Drawing:
    return next(each for each in compose(runs[probe]).drawings if each.name == name)


def median(run: Results, quantity: str, index: int | None = None, **setting: object) -> float:
    trials = run.trials
    for name, value in setting.items():
        trials = trials[trials[name] == value]
    rows = run.measurements[run.measurements["key"].isin(trials["key"])]
    rows = rows[rows["quantity"] == quantity]
    return float((rows if index is None else rows[rows["index"] == index])["value"].median())


@pytest.mark.parametrize("probe", NAMES)
def test_figures_are_drawn_with_words_and_whole(runs: dict[str, Results], probe: str) -> None:
    drawings = compose(runs[probe]).drawings
    assert sorted(each.name for each in drawings) == sorted(NAMES[probe])
    for each in drawings:
        assert each.finding.endswith(".")
        assert "nan" not in each.finding.lower()
        assert wording.MISSING not in each.finding
        assert each.finding in each.alternative
        figure = each.figure("run test")
        assert len(figure.axes) == PANELS.get(each.name, len(figure.axes))
        width, height = figure.get_size_inches() * figure.dpi
        figure.draw_without_rendering()
        for axes in figure.axes:
            assert axes.has_data()
            box = axes.get_tightbbox()
            assert box is not None
            assert -1 <= box.x0 < box.x1 <= width + 1
            assert -1 <= box.y0 < box.y1 <= height + 1


def test_paths_compare_the_gradient_with_the_gates_alone(runs: dict[str, Results]) -> None:
    run = runs["measured_gradient_decay"]
    finding = drawing(runs, "measured_gradient_decay", "gradient_paths-lstm-adding").finding
    setting = {"cell": "lstm", "gate_bias": 0.0}
    left = median(run, "log_gradient_norm", 39, **setting) / math.log(10)
    gates = median(run, "log_gates_only", 39, **setting) / math.log(10)
    assert left > gates, "the weights add to what the gates let through"
    text = f"In LSTM (gate bias 0) {wording.power_of_ten(left)} of the gradient is left after 39 steps, "
    assert finding.startswith(f"{text}{wording.power_of_ten(left - gates)} times what passes through the gates alone.")


def test_products_say_what_becomes_of_the_best_kept_direction(runs: dict[str, Results]) -> None:
    run, finding = runs["jacobian_products"], drawing(runs, "jacobian_products", "jacobian_products-adding").finding
    most = median(run, "log_largest_singular_value", 20, cell="rnn", gain=2.5) / math.log(10)
    assert f"is multiplied by {wording.power_of_ten(most)} in RNN (gain 2.5)" in finding
    settings = {"RNN (gain 0.8)": ("rnn", 0.8), "RNN (gain 2.5)": ("rnn", 2.5), "LSTM": ("lstm", 1.0)}
    spread = {name: median(run, "log_condition", 20, cell=c, gain=g) for name, (c, g) in settings.items()}
    worst = max(spread, key=spread.__getitem__)
    text = wording.power_of_ten(spread[worst] / math.log(10))
    assert finding.endswith(f"Largest over smallest reaches {text}, in {worst}.")


def test_the_spectrum_is_drawn_in_order_and_names_what_is_chaotic(runs: dict[str, Results]) -> None:
    run, each = runs["lyapunov"], drawing(runs, "lyapunov", "lyapunov-adding")
    assert median(run, "largest_exponent", cell="rnn_linear", gain=1.2) == pytest.approx(math.log(1.2))
    assert each.finding.endswith("Above 0, where gradients explode: rnn_linear (gain 1.2).")
    spectrum = [median(run, "lyapunov_exponent", place, cell="rnn_linear", gain=0.8) for place in range(1, 6)]
    lines = [np.asarray(line.get_ydata(), float) for axes in each.figure().axes for line in axes.lines]
    assert any(len(line) == 5 and np.allclose(line, spectrum) for line in lines)


def test_parameter_shares_say_over_how_many_steps_the_gradient_is_made(runs: dict[str, Results]) -> None:
    run, finding = runs["parameter_gradient"], drawing(runs, "parameter_gradient", "parameter_gradient-adding").finding
    steps = median(run, "steps_that_count_W_hh", cell="gru", gate_bias=3.0)
    assert finding.startswith("All but 1 % of the gradient by W_hh comes from the last ")
    assert finding.endswith(f"from the last {round(steps)} steps in GRU (gate bias 3).")


def test_gates_say_which_is_open(runs: dict[str, Results]) -> None:
    run, finding = runs["gate_activity"], drawing(runs, "gate_activity", "gate_activity-adding").finding
    widest = median(run, "forget_gate_mean", cell="lstm", gate_bias=4.0)
    least = median(run, "forget_gate_mean", cell="lstm", gate_bias=-2.0)
    assert f"Widest open is the forget gate of LSTM (gate bias 4), {widest:.2f} on average" in finding
    assert f"least the forget gate of LSTM (gate bias −2), {least:.2f}." in finding
    assert finding.endswith("is below 0.1 or above 0.9 for 100 % of the time.")


def test_exploding_says_what_became_of_the_gradient_through_time_in_every_arm(runs: dict[str, Results]) -> None:
    run = runs["exploding"]
    document = compose(run)
    finding = document.drawings[0].finding
    arms = {
        "Gain 2.5, no clipping": {"gain": 2.5, "clip_norm": 0.0},
        "Gain 2.5, norm ≤ 1, Ω × 2": {"gain": 2.5, "regularization": 2.0},
        "Gain 0.9, no clipping": {"gain": 0.9},
    }
    peaks = [median(run, "recurrent_gradient_norm_quantile", 100, **setting) for setting in arms.values()]
    assert peaks[0] > 100 * peaks[2]
    for (name, setting), peak in zip(arms.items(), peaks, strict=True):
        readout = median(run, "largest_readout_gradient_norm", **setting)
        assert readout < math.sqrt(2 * 30)
        norms = f"‖dL/dW_hh‖ reaches {wording.significant(peak, 2)}, ‖dL/dW_hy‖ {wording.significant(readout, 2)}"
        assert f"{name}: {norms}, the largest update " in finding
        assert f"the final loss is {wording.significant(median(run, 'final_loss', **setting))} " in finding
    [table] = document.sections[0].tables
    assert table.rows[0][[column.title for column in table.columns].index("arm")] == "gain 0.9, no clipping"


def test_a_divergence_is_counted(build: Callable[..., Results]) -> None:
    finding = compose(build("diverging")).drawings[0].finding
    assert finding.endswith("; 2 of 2 trials diverge.")


def test_half_lives_stand_beside_those_of_the_gates_alone(runs: dict[str, Results]) -> None:
    run = runs["measured_gradient_decay"]
    tables = [table for section in compose(run).sections for table in section.tables]
    [table] = [table for table in tables if table.caption.startswith("Half-life")]
    headings = [column.heading for column in table.columns]
    at = next(place for place, heading in enumerate(headings) if heading.startswith("through the gates alone"))
    found = {(row[0], row[1]): row[at] for row in table.rows}
    expected = wording.significant(median(run, "gates_only_half_life", cell="lstm", gate_bias=2.0))
    assert expected in [value for (cell, bias), value in found.items() if "LSTM" in cell or "lstm" in cell]
    assert [value for (cell, _), value in found.items() if cell in ("RNN", "rnn")] == [wording.MISSING]
