"""Every cell on two and three threads, which share the sequences or the units, against the same on one thread."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from oracles.equations import Problem
from oracles.problems import CELLS, flat_gradients, flat_trace, largest_error, layer_for, problem, run

from rnnbench import cells
from rnnbench.backends.cpu import gang, passes
from rnnbench.backends.cpu.layout import Layout
from rnnbench.backends.cpu.teams import teams
from rnnbench.backends.threads import use_threads

module = importlib.import_module("rnnbench.backends.cpu.teams")
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
"""Few rows sum several parts of the depth side by side, and teams add up what each found: rounding errors."""


@pytest.fixture(autouse=True)
def any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let threads share whatever they are given."""
    monkeypatch.setattr(module, "MINIMUM_WORK", 1)
    monkeypatch.setattr(module, "MINIMUM_STEP_WORK", 1)


def assert_equal_on_threads(given: Problem, dtype: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that this many threads find the numbers of one."""
    layer = layer_for(given, "cpu", dtype)
    with use_threads(1):
        expected_trace, expected = run(layer, given)
    started, start = [], gang.Worker.start
    monkeypatch.setattr(gang.Worker, "start", lambda worker, run: (started.append(worker), start(worker, run)))
    with use_threads(threads):
        trace, gradients = run(layer, given)
    assert len(started) == 2 * (threads - 1)
    assert largest_error(flat_trace(trace), flat_trace(expected_trace)) <= TOLERANCES[dtype]
    assert largest_error(flat_gradients(gradients), flat_gradients(expected)) <= TOLERANCES[dtype]


def members(layout: Layout, batch: int, threads: int) -> list[int]:
    with use_threads(threads):
        return [len(team) for team in teams(layout, batch, 1 << 50)]


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("cell", CELLS)
def test_sequences_are_shared(cell: str, dtype: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One block of units cannot be shared; five sequences make parts of unequal size."""
    assert members(Layout(cells.get(cell), 3, np.dtype(dtype)), 5, threads) == [1] * threads
    given = problem(cell, steps=3, batch=5, inputs=2, hidden=3, lengths=True)
    assert_equal_on_threads(given, dtype, threads, monkeypatch)


@pytest.mark.compiled
@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    ("batch", "inputs", "chunk", "missing"),
    [(1, 1, 100, 0), (1, 5, 1, 1), (2, 17, 2, 3), (3, 9, 3, 5), (7, 40, 2, 2)],
    ids=lambda value: str(value),
)
def test_units_are_shared(
    cell: str,
    dtype: str,
    threads: int,
    batch: int,
    inputs: int,
    chunk: int,
    missing: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seven blocks of units, the last of which lacks some; fewer features than threads, and more than vectors.

    Chunks of a few steps, for threads meet once more where a chunk ends.
    """
    units = Layout(cells.get(cell), 1, np.dtype(dtype)).units
    layout = Layout(cells.get(cell), 7 * units - min(missing, units - 1), np.dtype(dtype))
    assert layout.blocks == 7
    assert members(layout, batch, threads) == [threads]
    monkeypatch.setattr(passes, "chunk_steps", lambda layout, steps, rows: min(chunk, steps))
    given = problem(cell, steps=8, batch=batch, inputs=inputs, hidden=layout.hidden, lengths=batch > 1)
    assert_equal_on_threads(given, dtype, threads, monkeypatch)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_units_are_shared_at_the_smallest_size(cell: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks a thread, so that the loops go through it without the compiler, too."""
    units = Layout(cells.get(cell), 1, np.dtype("float64")).units
    hidden = 2 * threads * units - 1
    assert members(Layout(cells.get(cell), hidden, np.dtype("float64")), 1, threads) == [threads]
    given = problem(cell, steps=2, batch=1, inputs=2, hidden=hidden)
    assert_equal_on_threads(given, "float64", threads, monkeypatch)


@pytest.mark.compiled
@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_the_same_threads_give_the_same_bits_each_time(
    cell: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that is read before its thread has written it, or after, would be another now and then."""
    monkeypatch.setattr(passes, "chunk_steps", lambda layout, steps, rows: min(3, steps))
    layout = Layout(cells.get(cell), 150, np.dtype("float64"))
    assert members(layout, 2, threads) == [threads]
    given = problem(cell, steps=80, batch=2, inputs=5, hidden=layout.hidden, lengths=True)
    layer = layer_for(given, "cpu")
    with use_threads(threads):
        first_trace, first = run(layer, given)
        for _ in range(8):
            trace, gradients = run(layer, given)
            assert largest_error(flat_trace(trace), flat_trace(first_trace)) == 0
            assert largest_error(flat_gradients(gradients), flat_gradients(first)) == 0


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("cell", CELLS)
def test_work_that_is_large_enough_is_shared(cell: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the module's own thresholds."""
    monkeypatch.undo()
    gates = len(cells.get(cell).gates)
    steps = 1 + 2 * module.MINIMUM_WORK // (13 * 43 * (17 + 43) * gates)
    given = problem(cell, steps=steps, batch=13, inputs=17, hidden=43, lengths=True)
    assert_equal_on_threads(given, dtype, 2, monkeypatch)
