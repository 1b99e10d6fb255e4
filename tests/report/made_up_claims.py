"""Made-up rows for each claim: an effect that its author chooses, with the seeds as far apart as wanted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

RATES = {"initialization": "orthogonal", "hidden": 32, "length": 1000, "data": "adding"}
DECAY = {"initialization": "orthogonal", "gain": 1.0, "hidden": 64, "length": 45, "data": "adding", "training_steps": 0}
TRAINED = {"task": "adding", "length": 50, "hidden": 32, "steps": 800, "gain": 1.0, "clip_norm": 1.0, "clip_value": 0.0}
TRAINED |= {"regularization": 0.0, "bidirectional": False}


def add_counts(run: Any, seed: int, counts: dict[tuple[str, int], float], error: float = 1e-15) -> None:
    """Rows of parameter_gradient for each (cell, length)."""
    for (cell, length), count in counts.items():
        key = run.trial("parameter_gradient", cell=cell, length=length, hidden=32, data="adding", seed=seed)
        run.add(key, "parameter_count", "1", (None, count))
        for name in ("W_xh", "W_hh", "b_h"):
            run.add(key, f"sum_of_shares_error_{name}", "1", (None, error))


def add_rate(run: Any, seed: int, cell: str, gain: float, exponent: float) -> None:
    key = run.trial("lyapunov", cell=cell, gain=gain, seed=seed, **RATES)
    run.add(key, "largest_exponent", "nat/step", (None, exponent))
    run.add(key, "log_spectral_radius", "nat/step", (None, math.log(gain)))


def add_slope(
    run: Any, seed: int, cell: str, bias: float | None, slope: float, gates_only: float | None = None
) -> None:
    key = run.trial("gradient_decay", cell=cell, gate_bias=bias, seed=seed, **DECAY)
    run.add(key, "decay_slope", "nat/step", (None, slope))
    if gates_only is not None:
        run.add(key, "gates_only_decay_slope", "nat/step", (None, gates_only))


def add_skill(run: Any, seed: int, skill: float, status: str = "ok", **parameters: Any) -> str:
    """Rows of training whose score is that of a share `skill` of the baseline's error gone; 0.5 is the baseline."""
    key = run.trial("training", status, **TRAINED | parameters, seed=seed)
    run.add(key, "baseline_score", "fraction correct", (None, 0.5))
    run.add(key, "score_higher_is_better", "1", (None, 1.0))
    if status == "ok":
        run.add(key, "final_score", "fraction correct", (None, 0.5 + 0.5 * skill))
    return key


def add_longest_step(run: Any, seed: int, clip_norm: float, length: float) -> None:
    parameters = TRAINED | {"cell": "rnn", "gain": 1.5, "clip_norm": clip_norm}
    key = run.trial("exploding", **parameters, seed=seed)
    run.add(key, "largest_update_norm", "1", (None, length))


def add_time(run: Any, seed: int, cell: str, seconds: float) -> None:
    key = run.trial("throughput", cell=cell, direction="forward", hidden=64, length=64, batch=32, seed=seed)
    run.add(key, "median_time", "s", (None, seconds))


def _counts(run: Any, seed: int, effect: float) -> None:
    add_counts(run, seed, {("lstm", 8): 1000, ("lstm", 32): 1000 * 4**effect})


def _digits(run: Any, seed: int, effect: float) -> None:
    add_counts(run, seed, {("lstm", 8): 1000}, 10.0**-effect)


def _three_quarters(run: Any, seed: int, effect: float) -> None:
    add_counts(run, seed, {("lstm", 8): 1000, ("gru", 8): 1000 * effect})


def _carried_further(run: Any, seed: int, effect: float, bias: float = 1.0) -> None:
    add_slope(run, seed, "rnn", None, -0.1)
    add_slope(run, seed, "lstm", bias, -0.1 + effect)


def _bias_does_most(run: Any, seed: int, effect: float) -> None:
    """The cell's part is −0.2."""
    add_slope(run, seed, "rnn", None, -0.1)
    add_slope(run, seed, "lstm", 0.0, -0.3)
    add_slope(run, seed, "lstm", 1.0, -0.5 + effect)


def _time(run: Any, seed: int, effect: float) -> None:
    add_time(run, seed, "lstm", 0.01)
    add_time(run, seed, "gru", 0.01 * effect)


def _exploding(run: Any, seed: int, effect: float) -> None:
    add_longest_step(run, seed, 1.0, 2.0)
    add_longest_step(run, seed, 0.0, 2.0 * 10**effect)


def _skills(first: dict[str, Any], second: dict[str, Any] | None = None) -> Callable[[Any, int, float], None]:
    """Rows of two arms whose skills differ by the effect around 0.5, or of one that has it."""

    def add(run: Any, seed: int, effect: float) -> None:
        if second is None:
            add_skill(run, seed, effect, **first)
            return
        add_skill(run, seed, 0.5 + effect / 2, **first)
        add_skill(run, seed, 0.5 - effect / 2, **second)

    return add


ADDERS: dict[str, Callable[[Any, int, float], None]] = {
    "parameters_do_not_grow": _counts,
    "gradient_is_a_sum": _digits,
    "linear_rate_is_the_radius": lambda run, seed, e: add_rate(run, seed, "rnn_linear", 0.9, math.log(0.9) + e),
    "vanishes_below_radius_one": lambda run, seed, e: add_rate(run, seed, "rnn", 0.9, e),
    "explodes_above_radius_one": lambda run, seed, e: add_rate(run, seed, "rnn", 1.1, e),
    "clipping_stops_explosions": _exploding,
    "clipping_does_not_help_memory": _skills({"cell": "rnn", "clip_norm": 1.0}, {"cell": "rnn", "clip_norm": 0.0}),
    "lstm_carries_further": _carried_further,
    "cell_alone_carries_further": lambda run, seed, e: _carried_further(run, seed, e, 0.0),
    "forget_bias_does_most": _bias_does_most,
    "cell_state_is_the_path": lambda run, seed, e: add_slope(run, seed, "lstm", 1.0, -0.3 + e, -0.3),
    "carousel_keeps_all": lambda run, seed, e: add_slope(run, seed, "lstm_no_forget", None, e),
    "input_gate_matters": _skills({"cell": "lstm"}, {"cell": "lstm_no_input"}),
    "forget_gate_matters": _skills({"cell": "lstm"}, {"cell": "lstm_no_forget"}),
    "output_gate_matters": _skills({"cell": "lstm"}, {"cell": "lstm_no_output"}),
    "gru_has_three_quarters": _three_quarters,
    "gru_is_cheaper": _time,
    "gru_is_as_good": _skills({"cell": "gru"}, {"cell": "lstm"}),
    "wiring_learns_its_use": _skills({"cell": "gru", "task": "digit_images", "length": 1}),
    "sequence_beats_one_step": _skills({"cell": "gru", "length": 50}, {"cell": "gru", "length": 1}),
    "image_at_once": _skills(
        {"cell": "gru", "task": "digit_images", "length": 1}, {"cell": "gru", "task": "sequential_digits", "length": 64}
    ),
    "both_directions_tag": _skills(
        {"cell": "gru", "task": "named_entities", "length": 9, "bidirectional": True},
        {"cell": "gru", "task": "named_entities", "length": 9},
    ),
    "translation_needs_sequence_to_sequence": _skills(
        {"cell": "gru", "task": "number_translation", "length": 6},
        {"cell": "gru", "task": "number_translation_aligned", "length": 9},
    ),
}
"""(run, seed, effect) -> rows of one seed whose effect is that one, for the claim of the name."""


def add_claim(run: Any, name: str, effect: float, spread: float = 0.0, seeds: int = 4) -> None:
    """Add rows in which the claim's effect is `effect` in the mean over seeds, ± `spread` from one to the next."""
    offsets = spread * (np.arange(seeds) % 2 * 2 - 1.0) if seeds % 2 == 0 else np.zeros(seeds)
    for seed, offset in enumerate(offsets):
        ADDERS[name](run, seed, effect + float(offset))
