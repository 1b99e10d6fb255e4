"""The worked example of cells and a task of a user's own: its sweep, and its cells in every probe."""

from __future__ import annotations

import math
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles import equations
from oracles.equations import Arrays, gate_matrices, logistic
from oracles.problems import flat_gradients, flat_trace, largest_error, layer_for, problem, run
from pydantic import ValidationError

import rnnbench
from rnnbench import cells, implementations, probes, tasks
from rnnbench.probes.base import Seeds
from rnnbench.sweeps import spec

pytest.importorskip("sympy", reason="SymPy, which derives the example's second cell, is not installed")

SWEEP = Path(__file__).parents[1] / "experiments" / "own_cell.toml"
CODE = [SWEEP.with_suffix("")]
OWN = ("minimal_gated_unit", "coupled_lstm")
SMALL = {
    "hidden": 5, "length": 24, "batch": 3, "steps": 4, "repeats": 3, "data": "adding", "task": "flip_flop",
    "evaluate_every": 2, "evaluation_size": 5, "burn_in": 5,
}  # fmt: skip
"""Sizes for parameters of these names, whichever a probe has."""
FIELDS = {name: probe.Parameters.model_fields for name, probe in probes.entries().items()}
PROBES = [name for name, fields in FIELDS.items() if "cell" in fields and "implementation" not in fields]
PROBES.remove("device_speed")  # which times a GPU and no other backend
"""All but `comparison`, whose other libraries have no such cell, and `null`, which has no cell."""
BACKENDS = ["reference", pytest.param("cpu", marks=pytest.mark.compiled)]


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register what the sweep's files have, and forget it after the test."""
    monkeypatch.setattr(cells, "_registered", {})
    monkeypatch.setattr(tasks, "_registered", {})
    spec.load(SWEEP, code=CODE)


def minimal_gated_unit_step(params: Arrays, x: np.ndarray, state: Arrays) -> Arrays:
    (w_xf, w_hf, b_f), (w_xn, w_hn, b_n) = gate_matrices(params, 2)
    h = state["h"]
    f = logistic(x @ w_xf + h @ w_hf + b_f)
    return {"h": (1 - f) * h + f * np.tanh(x @ w_xn + b_n + f * (h @ w_hn + params["b_hn"]))}


def coupled_lstm_step(params: Arrays, x: np.ndarray, state: Arrays) -> Arrays:
    (w_xf, w_hf, b_f), (w_xg, w_hg, b_g), (w_xo, w_ho, b_o) = gate_matrices(params, 3)
    h = state["h"]
    f, o = logistic(x @ w_xf + h @ w_hf + b_f), logistic(x @ w_xo + h @ w_ho + b_o)
    c = f * state["c"] + (1 - f) * np.tanh(x @ w_xg + h @ w_hg + b_g)
    return {"h": o * np.tanh(c), "c": c}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", OWN)
def test_the_cells_equal_their_oracles(cell: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(equations.STEPS, cell, globals()[f"{cell}_step"])
    given = problem(cell, steps=4, batch=2, inputs=2, hidden=3, lengths=True)
    trace, gradients = run(layer_for(given, backend), given)
    h, final = equations.forward(given)
    expected = {"h": h.real, **{f"state.{name}": value.real for name, value in final.items()}}
    assert largest_error(flat_trace(trace), expected) <= 1e-12
    assert largest_error(flat_gradients(gradients), equations.gradients(given)) <= 1e-12


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", OWN)
def test_the_cells_run_in_every_probe(cell: str, backend: str, name: str) -> None:
    probe = probes.get(name)
    given: dict[str, Any] = {field: value for field, value in SMALL.items() if field in FIELDS[name]}
    parameters = probe.Parameters(cell=cell, backend=backend, **given)
    found = list(probe.measure(parameters, Seeds(0, "a trial")))
    assert found
    assert any(math.isfinite(row.value) for row in found)


@pytest.mark.parametrize("implementation", implementations.entries())
def test_a_comparison_says_that_a_library_lacks_the_cell(implementation: str) -> None:
    with pytest.raises(ValidationError, match=f"{implementation} has no cell 'minimal_gated_unit' here; expected one"):
        probes.get("comparison").Parameters(cell="minimal_gated_unit", implementation=implementation)


@pytest.mark.compiled
def test_the_sweep_runs(tmp_path: Path) -> None:
    small = ["hidden=6", "batch=3", "steps=4", "evaluate_every=2", "seed=0", "repeats=3", "sweep.0.fixed.length=30"]
    small.append("sweep.2.fixed.length=10")
    results = rnnbench.run(SWEEP, tmp_path, 1, small, progress=False, code=CODE)
    assert list(results.trials["status"]) == ["ok"] * 9, results.trials["reason"].to_list()
    assert set(results.trials["cell"]) == {*OWN, "gru"}
    assert (results.path / "files" / "coupled_lstm.py").exists()


def test_the_tasks_baseline_is_what_it_says() -> None:
    task = tasks.get("flip_flop")(20)
    batch = task.sample(np.random.default_rng(0), 20_000)
    score = task.score(task.baseline_outputs(batch), batch)
    assert abs(score - task.baseline.value) <= 1e-3
    assert task.baseline.value == pytest.approx(0.9 * 19 / 20)


def test_the_tasks_target_is_the_last_pulse() -> None:
    task = tasks.get("flip_flop")(30)
    batch = task.sample(np.random.default_rng(1), 4)
    for b in range(4):
        for channel in range(task.output_size):
            last = 0.0
            for step in range(30):
                last = batch.inputs[step, b, channel] or last
                assert batch.targets[step, b, channel] == last
    assert set(np.unique(batch.targets)) == {-1.0, 1.0}


def test_the_files_come_by_entry_points_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the README of the example says: a package with the same files."""
    for path in SWEEP.with_suffix("").glob("*.py"):
        (tmp_path / f"installed_{path.name}").write_text(
            path.read_text().replace('name="', 'name="installed_').replace('name = "', 'name = "installed_')
        )
    information = tmp_path / "installed-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[rnnbench.cells]\nunit = installed_minimal_gated_unit:MINIMAL_GATED_UNIT\n"
        "[rnnbench.tasks]\nswitches = installed_flip_flop:FlipFlop\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for package in (cells, tasks):
        package._installed.cache_clear()
    try:
        assert cells.get("installed_minimal_gated_unit").gates == ("forget", "candidate")
        assert tasks.get("installed_flip_flop")(20).steps == 20
    finally:
        monkeypatch.undo()
        for package in (cells, tasks):
            package._installed.cache_clear()


@pytest.mark.compiled
def test_the_script_times_what_computes_the_same() -> None:
    """A cell of rnnbench, its text in a file of one's own, and its forward function alone."""
    path = SWEEP.with_suffix("") / "speed.py"
    speed = runpy.run_path(str(path))
    [*_, forward, both] = speed["table"](["gru_reset_before"], [(2, 2, 3)], rounds=3, threads=1).splitlines()
    for line, direction in ((forward, "forward"), (both, r"forward \+ backward")):
        assert re.fullmatch(rf"\| gru_reset_before \| 2×2×3 \| {direction}( \| \S+ \(\S+ to \S+\)){{2}} \|", line)
