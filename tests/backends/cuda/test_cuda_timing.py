"""Timings and floors on a simulated GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnbench import cells
from rnnbench.backends.cuda import timing
from rnnbench.backends.cuda.layers import Sizes
from rnnbench.backends.cuda.simulator import Simulator
from rnnbench.probes.base import Seeds
from rnnbench.probes.throughput import Throughput, ThroughputParameters


@pytest.mark.parametrize("direction", ["forward", "forward_backward"])
def test_throughput_takes_the_devices_clock(direction: str, simulated: Simulator) -> None:
    parameters = ThroughputParameters(
        backend="cuda", cell="rnn", hidden=4, batch=2, length=2, repeats=3, direction=direction
    )
    rows = {(row.quantity, row.index): row.value for row in Throughput().measure(parameters, Seeds(0, "a trial"))}
    times = [rows["time", k] for k in range(3)]
    assert min(times) > 0
    assert rows["median_time", None] == np.median(times)
    assert rows["sequence_step_rate", None] == pytest.approx(4 / np.median(times))
    assert 0 < rows["floor_time", None] < rows["median_time", None]


def test_nothing_is_left_in_the_cache(simulate: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than it holds is written before each timed pass, and is no part of its time."""
    device = simulate("independent", "rnn", 4, 2, "float32")
    problem = timing.Problem(device, cells.get("rnn"), Sizes(3, 2, 4, 4), np.dtype("float32"))
    done: list[object] = []
    monkeypatch.setattr(Simulator, "clear", lambda self, array: done.append(array is problem.filler))
    monkeypatch.setattr(Simulator, "seconds", lambda self, call: done.append("timed") or 1.0)
    problem.forward_backward(2)
    assert done[-2 * (timing.FILLINGS + 1) :] == [*[True] * timing.FILLINGS, "timed"] * 2
    for l2_bytes in (2 << 20, 1 << 30):
        assert timing.filler_bytes(device.limits._replace(l2_bytes=l2_bytes)) >= 2 * l2_bytes


@pytest.mark.parametrize(("at_least_s", "calls"), [(0.0, 2), (0.25, 5)])
def test_it_is_warm_after_two_calls_and_some_time(at_least_s: float, calls: int, monkeypatch: Any) -> None:
    """Calls take 0.1 s each here: two that compile, and three until 0.25 s have gone by."""
    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    done: list[str] = []

    def call() -> None:
        clock[0] += 0.1
        done.append("call")

    timing.warm_up(call, lambda: done.append("wait"), at_least_s)
    assert done == ["call", "call", "wait", *["call", "wait"] * (calls - 2)]


def test_forward_alone_keeps_nothing_for_backward(simulate: Callable) -> None:
    device = simulate("independent", "lstm", 4, 2, "float32")
    problem = timing.Problem(device, cells.get("lstm"), Sizes(30, 2, 4, 4), np.dtype("float32"))
    problem.forward(1)
    without = problem.run.saved.size, problem.run.memory.size
    problem.forward_backward(1)
    assert problem.run.saved.size > 30 * without[0]
    assert problem.run.memory.size > 10 * without[1]


def test_the_floor_of_a_group_has_its_meetings_in_it(simulate: Callable) -> None:
    sizes = Sizes(5, 3, 4, 10)
    floors = []
    for path in ("independent", "persistent", "stepwise"):
        device = simulate(path, "gru", sizes.hidden, sizes.batch, "float32")
        problem = timing.Problem(device, cells.get("gru"), sizes, np.dtype("float32"))
        floors.append(timing.floor_seconds(device, problem.plan, sizes, 4))
        both = timing.floor_seconds(device, problem.plan, sizes, 4, backward=True)
        assert (floors[-1] is None) == (both is None)
        assert both is None or both > floors[-1]
    alone, group, stepwise = floors
    assert stepwise is None
    assert group > alone + sizes.steps * timing.meeting_seconds(device, 2) / 10
