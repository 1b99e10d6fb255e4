"""The script for a GPU and the timings, run on a simulated one: they end, and say what they are meant to."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from rnnbench import cells
from rnnbench.backends.cuda import selftest, timing, toolkit
from rnnbench.backends.cuda.layers import Sizes
from rnnbench.backends.cuda.simulator import Simulator
from rnnbench.errors import InputError
from rnnbench.probes.base import Seeds
from rnnbench.probes.throughput import Throughput, ThroughputParameters


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Simulator:
    simulator = Simulator()
    monkeypatch.setattr(toolkit, "device", lambda: simulator)
    monkeypatch.setattr(toolkit, "missing", lambda: None)
    return simulator


def test_the_selftest_passes_and_prints_its_table_last(
    simulated: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["selftest"])
    monkeypatch.setattr(selftest, "TOLERANCES", {"float32": selftest.TOLERANCES["float32"]})
    only = {"gru_reset_before": cells.get("gru_reset_before")}
    monkeypatch.setattr(selftest, "known_cells", lambda: only)
    assert selftest.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert "7 of 7 comparisons passed" in lines
    table = lines[lines.index("microseconds a step") + 1 :]
    assert table[0].split()[:7] == ["cell", "H", "B", "path", "forward", "both", "floor"]
    assert [line.split()[0] for line in table[1:]] == ["lstm", "gru", "rnn"]


def test_a_wrong_result_fails(simulated: Simulator) -> None:
    good = selftest.Check("a", "independent", 1e-6, 1e-6, (1e-5, 1e-4), True, 0)
    assert good.passed
    for bad in ({"forward_error": 1e-4}, {"backward_error": np.nan}, {"repeatable": False}):
        assert not selftest.Check(**{**vars(good), **bad}).passed


def test_a_layer_that_does_not_fit_leaves_the_others(
    simulated: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    real = selftest.timed_row

    def row(device: Simulator, cell: str, sizes: Sizes, repeats: int) -> dict:
        if cell == "gru":
            raise InputError("no memory left")
        return real(device, cell, sizes, repeats)

    def broken(*arguments: object) -> None:
        raise RuntimeError("CUDNN_STATUS_NOT_SUPPORTED")

    monkeypatch.setattr(selftest, "timed_row", row)
    monkeypatch.setattr(selftest.peers, "torch_seconds", broken)
    assert [row["cell"] for row in selftest.timings(simulated, 1)] == ["lstm", "rnn"]
    printed = capsys.readouterr().out
    assert "gru H=8 B=2: no memory left" in printed
    assert "PyTorch rnn H=8 B=2 tf32: CUDNN_STATUS_NOT_SUPPORTED" in printed


def test_without_a_gpu_the_selftest_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, "argv", ["selftest"])
    monkeypatch.setattr(toolkit, "missing", lambda: "no GPU can be used")
    assert selftest.main() == 2
    assert "no GPU can be used" in capsys.readouterr().err


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


def test_inputs_are_larger_together_than_the_cache(simulate: Callable) -> None:
    device = simulate("independent", "rnn", 4, 2, "float32")
    sizes = Sizes(3, 2, 4, 4)
    problem = timing.Problem(device, cells.get("rnn"), sizes, np.dtype("float32"))
    assert len(problem.passes) == timing.MOST_SETS
    small_cache = Simulator(device.limits._replace(l2_bytes=150))
    assert len(timing.Problem(small_cache, cells.get("rnn"), sizes, np.dtype("float32")).passes) == 2


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
