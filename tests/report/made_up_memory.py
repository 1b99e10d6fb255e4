"""Made-up rows of training by length, hidden size and arm: LSTM and GRU remember, with more units longer."""

from __future__ import annotations

from typing import Any

import numpy as np

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
REACH = {"rnn": 0, "lstm": 100, "gru": 200}
"""The longest length that each cell solves with 64 units; with h units h / 64 of it."""


def add_memory(run: Any, seeds: int = 5, task: str = "adding", arms: bool = True, sizes: bool = True) -> None:
    """Add trials of one task at 50, 100 and 200 steps with 64 units, and what is asked for besides."""
    for cell in GATES:
        for length in (50, 100, 200):
            for seed in range(seeds):
                _add(run, cell, task, length, seed, hidden=64)
                if arms:
                    _add(run, cell, task, length, seed, hidden=140 // GATES[cell], parameters=20_000)
                if arms and cell != "rnn":
                    _add(run, cell, task, length, seed, hidden=64, chrono=length)
            for hidden in (16, 32) if sizes and length < 200 else ():
                for seed in range(2):
                    _add(run, cell, task, length, seed, hidden=hidden)


def _add(run: Any, cell: str, task: str, length: int, seed: int, hidden: int, **more: Any) -> None:
    gate_bias = None if cell == "rnn" or "chrono" in more else 1.0
    key = run.trial(
        "training", task=task, cell=cell, length=length, hidden=hidden, seed=seed, steps=3000, batch=32,
        gate_bias=gate_bias, **more,
    )  # fmt: skip
    reach = REACH[cell] * (2 if "chrono" in more else 1) * min(1.0, hidden / 64)
    solved = length <= reach or (cell == "lstm" and length == 200 and seed < 2)
    steps = 5.0 * length * (1 + 0.1 * seed)
    score = 1.5e-3 if solved else 0.16
    run.add(key, "evaluation_score", "mse", (100, 0.17), (int(steps), score))
    run.add(key, "training_loss", "mse", (100, 0.17), (int(steps), score))
    run.add(key, "baseline_score", "mse", (None, 1 / 6))
    run.add(key, "baseline_loss", "mse", (None, 1 / 6))
    run.add(key, "solved_threshold", "mse", (None, 1 / 600))
    run.add(key, "score_higher_is_better", "1", (None, 0.0))
    run.add(key, "final_score", "mse", (None, score * (1 + 0.01 * seed)))
    run.add(key, "solved", "1", (None, float(solved)))
    run.add(key, "steps_to_solve", "step", (None, steps if solved else np.nan))
    run.add(key, "parameter_count", "1", (None, GATES[cell] * hidden * (hidden + 3) + hidden + 1))
