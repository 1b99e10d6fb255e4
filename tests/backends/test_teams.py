"""How work is split over threads: every number of every step has one thread, and no thread waits in vain."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import cycle

import numpy as np
import pytest
from oracles.problems import CELLS, flat_gradients, flat_trace, largest_error, layer_for, problem, run

from rnnbench import cells
from rnnbench.backends.cpu.layout import Layout
from rnnbench.backends.cpu.teams import Team, teams
from rnnbench.backends.threads import use_threads
from rnnbench.layer import Layer

module = importlib.import_module("rnnbench.backends.cpu.teams")
"""By its name: the package has a function of that name, too."""

MUCH = 1 << 50
"""Multiply-adds: enough for any number of threads."""
PATIENCE_S = 60.0


def split(cell: str, hidden: int, batch: int, threads: int, work: int = MUCH, dtype: str = "float32") -> list[Team]:
    with use_threads(threads):
        return teams(Layout(cells.get(cell), hidden, np.dtype(dtype)), batch, work)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_every_unit_of_every_row_has_one_thread(cell: str, dtype: str) -> None:
    for hidden in (1, 31, 33, 64, 100, 257, 512):
        blocks = Layout(cells.get(cell), hidden, np.dtype(dtype)).blocks
        for batch in (1, 2, 3, 5, 8, 13, 64):
            for threads in (1, 2, 3, 4, 7):
                found = split(cell, hidden, batch, threads, dtype=dtype)
                covered = np.zeros((batch, blocks), int)
                for team in found:
                    assert [part.member for part in team] == list(range(len(team)))
                    assert {part.members for part in team} == {len(team)}
                    assert len({(part.first_row, part.rows) for part in team}) == 1
                    for part in team:
                        assert part.rows > 0
                        assert part.end_block > part.first_block
                        rows = slice(part.first_row, part.first_row + part.rows)
                        covered[rows, part.first_block : part.end_block] += 1
                assert (covered == 1).all(), found
                assert sum(map(len, found)) <= threads


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("threads", [2, 3])
def test_a_small_batch_is_shared_by_units(cell: str, threads: int) -> None:
    for batch in (1, 2):
        [team] = split(cell, 256, batch, threads)
        assert len(team) == threads
        sizes = [part.end_block - part.first_block for part in team]
        assert max(sizes) <= 2 * min(sizes)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("threads", [2, 3])
def test_a_large_batch_with_weights_that_fit_the_cache_is_shared_by_rows(cell: str, threads: int) -> None:
    layout = Layout(cells.get(cell), 64, np.dtype("float32"))
    assert len(layout.cell.gates) * layout.hidden**2 * 4 <= module.CACHED_WEIGHTS_BYTES
    found = split(cell, 64, 64, threads)
    assert [len(team) for team in found] == [1] * threads
    rows = [team[0].rows for team in found]
    assert max(rows) - min(rows) <= 1


def test_a_large_batch_with_weights_that_do_not_fit_is_shared_by_units() -> None:
    assert module.CACHED_WEIGHTS_BYTES < 4 * 512**2 * 4
    [team] = split("lstm", 512, 64, 2)
    assert len(team) == 2


@pytest.mark.parametrize(
    ("work", "threads"),
    [
        (0, 1),
        (2 * module.MINIMUM_WORK - 1, 1),
        (2 * module.MINIMUM_WORK, 2),
        (3 * module.MINIMUM_WORK, 3),
        (9 * module.MINIMUM_WORK, 3),
    ],
)
def test_threads_are_as_many_as_the_work_pays_for(work: int, threads: int) -> None:
    assert len(split("lstm", 64, 64, 3, work)) == threads


def test_steps_too_short_to_meet_after_are_not_shared_by_units() -> None:
    hidden = 40
    assert 4 * hidden**2 < module.MINIMUM_STEP_WORK < 2 * 4 * 64 * hidden**2
    assert [len(team) for team in split("lstm", hidden, 1, 2)] == [1]


NO_ROOM = """
import sys, threading
import numpy as np
from rnnbench.backends.cpu import passes
from rnnbench.backends.threads import use_threads
from rnnbench.layer import Layer

given = passes.scratch
def scratch(purpose, *arguments):
    if threading.current_thread() is not threading.main_thread() and purpose == sys.argv[1]:
        raise MemoryError("no room")
    return given(purpose, *arguments)

layer = Layer("lstm", 8, 256)
d_h = np.ones((100, 1, 256), np.float32)
with use_threads(2):
    trace = layer.forward(np.ones((100, 1, 8)))
    passes.scratch = scratch
    try:
        layer.forward(np.ones((100, 1, 8))) if sys.argv[1] == "forward" else layer.backward(trace, d_h)
    except MemoryError as error:
        print(error)
    passes.scratch = given
    print(np.array_equal(layer.forward(np.ones((100, 1, 8))).h, trace.h))
"""


@pytest.mark.compiled
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_thread_without_memory_fails_the_call_and_not_the_next(direction: str) -> None:
    """Its fellow must not spin for ever, waiting for it in compiled code that nothing can interrupt."""
    [team] = split("lstm", 256, 1, 2, work=100 * 4 * 256 * 264)
    assert len(team) == 2
    layer = Layer("lstm", 8, 256)
    layer.backward(layer.forward(np.ones((2, 1, 8))))  # compiled here, loaded there
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, direction], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert done.stdout.split("\n")[:2] == ["no room", "True"]


@pytest.fixture
def any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let threads share whatever they are given."""
    monkeypatch.setattr(module, "MINIMUM_WORK", 1)
    monkeypatch.setattr(module, "MINIMUM_STEP_WORK", 1)


def in_threads(functions: list[Callable[[], None]]) -> None:
    """Call all functions at once, each in a Python thread; the first error is raised, a stuck thread fails the test."""
    errors: list[BaseException] = []

    def run(function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    end = time.monotonic() + PATIENCE_S
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    assert not any(thread.is_alive() for thread in threads), "threads wait for each other"
    for error in errors:
        raise error


@pytest.mark.compiled
@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before"])
def test_many_python_threads_at_once(cell: str, any_work: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call takes two or three threads of the pool, some sharing units and some rows, and none starves another."""
    layers = []
    for hidden, batch in ((67, 2), (5, 9)):
        given = problem(cell, steps=12, batch=batch, inputs=3, hidden=hidden, lengths=True, seed=hidden)
        layer = layer_for(given, "cpu")
        with use_threads(1):
            trace, gradients = run(layer, given)
        layers.append((layer, given, flat_trace(trace), flat_gradients(gradients)))
    counts = cycle([2, 3, 3, 2, 3])
    monkeypatch.setattr(module, "thread_count", lambda: next(counts))

    def calls(first: int) -> None:
        for k in range(10):
            layer, given, expected_trace, expected = layers[(first + k) % 2]
            trace, gradients = run(layer, given)
            assert largest_error(flat_trace(trace), expected_trace) <= 1e-12
            assert largest_error(flat_gradients(gradients), expected) <= 1e-12

    in_threads([lambda first=first: calls(first) for first in range(6)])
