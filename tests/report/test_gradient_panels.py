"""What figures of gradients keep apart, hold and count, on a few rows whose answer is known."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pandas as pd
import pytest

from rnnbench.report.figures import _panels, lyapunov
from rnnbench.report.figures._panels import Panel
from rnnbench.report.figures.half_life import HalfLife, _lines
from rnnbench.report.rows import Rows


def rows_of(trials: list[dict[str, Any]], values: list[dict[str, list[float]]]) -> Rows:
    """Return rows of trials with these parameters and, by quantity, these values: one a trial, or more by index."""
    parameters = pd.DataFrame([{"key": str(n), "data": "adding", **each} for n, each in enumerate(trials)])
    measured = [
        {"key": str(n), "quantity": name, "index": index if len(found) > 1 else math.nan, "value": value, "unit": "1"}
        for n, each in enumerate(values)
        for name, found in each.items()
        for index, value in enumerate(found)
    ]
    joined = pd.DataFrame(measured).merge(parameters, on="key")
    return Rows("gradient_decay", parameters.assign(status="ok"), joined)


def test_before_and_after_training_are_kept_when_panels_are_too_many() -> None:
    trials = [
        {"cell": "lstm", "seed": 0, "hidden": hidden, "length": length, "training_steps": steps}
        for hidden, length, steps in product((16, 64), (50, 100), (0, 600))
    ]
    rows = rows_of(trials, [{"slope": [0.0]} for _ in trials])
    panels, held = _panels.split(rows, rows.quantity("slope"), most=4)
    assert held == {"length": 100}
    assert len(panels) == 4
    assert sum("training steps 0" in panel.label for panel in panels) == 2
    assert _panels.split(rows, rows.quantity("slope"), most=2)[1] == {"length": 100, "hidden": 64}


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"gain": 0.9, "training_steps": 600, "clip_norm": 0.0, "clip_value": 0.0}, "no clipping"),
        ({"gain": 0.9, "training_steps": 600, "clip_norm": 1.0, "clip_value": 0.1}, "norm ≤ 1, entries ≤ 0.1"),
        ({"gain": 0.9, "training_steps": 0, "clip_norm": 1.0, "clip_value": 0.0}, ""),
    ],
)
def test_clipping_is_named_where_there_was_training(setting: dict[str, float], text: str) -> None:
    steps = f"gain 0.9, training steps {setting['training_steps']:g}"
    assert _panels.label(setting) == (f"{steps}, {text}" if text else steps)


def test_a_task_that_was_not_learned_is_named_with_its_score() -> None:
    trials = [{"cell": cell, "seed": seed, "training_steps": 600} for cell in ("rnn", "lstm") for seed in range(3)]
    scores = [(0, 0.2), (0, 0.3), (0, 0.25), (1, 1.0), (1, 1.0), (1, 1.0)]
    values = [
        {"training_solved": [solved], "training_score": [score], "training_baseline_score": [0.25], "slope": [0.0]}
        for solved, score in scores
    ]
    rows = rows_of(trials, values)
    text = " The task was not learned in every trained trial: RNN in 0 of 3 trained trials "
    assert _panels.learned(rows, rows.quantity("slope")) == f"{text}(median score 0.250, baseline 0.250)."
    some = rows.quantity("slope").query("cell == 'lstm'")
    assert _panels.learned(rows, some) == " The task was learned in every trained trial."
    assert _panels.learned(rows_of(trials, [{"slope": [0.0]}] * 6), some) == ""


def test_seeds_that_do_not_decay_count_in_the_median_and_theory_is_fitted_over_the_same_lags() -> None:
    """Half-lives of 300 and 514 beside two seeds that grow; a theory's line that bends at lag 200."""
    theory = [-0.01 * min(lag, 200) - 0.001 * max(lag - 200, 0) for lag in range(300)]
    trials = [{"cell": "lstm", "seed": seed} for seed in range(4)]
    found = [300.0, 514.0, math.nan, math.nan]
    rows = rows_of(trials, [{"half_life": [value], "log_theory": theory} for value in found])
    [line] = _lines(rows, rows.quantity("half_life"))
    assert line.lasting == 2
    assert line.median == math.inf
    assert sorted(line.finite) == [300, 514]
    assert line.theory == pytest.approx(math.log(2) / 0.01)
    [table] = HalfLife().tables(rows)
    assert "∞" in table.rows[0]


@pytest.mark.parametrize(
    ("exponents", "text"),
    [
        ([2e-16, 2e-17], "At 0, where a direction neither grows nor vanishes: RNN."),
        ([-2e-16, 0.0], "At 0, where a direction neither grows nor vanishes: RNN."),
        ([0.05, 0.04], "Above 0, where gradients explode: RNN."),
        ([-0.05, -0.04], "All are below 0: every gradient vanishes in the end."),
    ],
)
def test_an_exponent_of_0_is_no_explosion_whatever_its_rounding(exponents: list[float], text: str) -> None:
    measured = pd.DataFrame({"quantity": "largest_exponent", "value": exponents, "index": math.nan})
    spectrum = pd.DataFrame({"quantity": "lyapunov_exponent", "value": exponents, "index": 1})
    assert lyapunov._finding([Panel("rnn", "", pd.concat([measured, spectrum]))]).endswith(f" {text}")
