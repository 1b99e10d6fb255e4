"""The script for a GPU and the timings, run on a simulated one: they end, and say what they are meant to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnbench import cells
from rnnbench.backends.cuda import comparisons, selftest, timing, toolkit
from rnnbench.backends.cuda.comparisons import Case
from rnnbench.backends.cuda.layers import Sizes
from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.plan import plan_for
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
    simulated: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    kept = tmp_path / "rows"
    monkeypatch.setattr(sys, "argv", ["selftest", "--cells", "gru", "--out", str(kept)])
    monkeypatch.setattr(comparisons, "TOLERANCES", {"float32": comparisons.TOLERANCES["float32"]})
    assert selftest.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [each for each in lines if each.startswith("7 of 7 comparisons passed; ")]
    table = lines[lines.index("microseconds a step") + 1 :]
    assert table[0].split()[:7] == ["cell", "H", "B", "path", "forward", "both", "floor"]
    assert [each.split()[:3] for each in table[1:]] == [["gru", "8", "2"]]
    rows = [json.loads(each) for each in kept.read_text().splitlines()]
    assert [("passed" in row, "times" in row) for row in rows] == [(True, False)] * 7 + [(False, True)]


@pytest.mark.parametrize("bad", [(1e-4, 0.0, True), (np.nan, 0.0, True), (0.0, np.nan, True), (0.0, 0.0, False)])
def test_a_wrong_result_fails(bad: tuple) -> None:
    assert comparisons.row(1e-6, 1e-6, (1e-5, 1e-4), True)["passed"]
    assert not comparisons.row(*bad[:2], (1e-5, 1e-4), bad[2])["passed"]


@pytest.mark.parametrize("place", range(3))
def test_nan_in_any_array_is_an_error(place: int) -> None:
    expected = [np.ones(2) for _ in range(3)]
    found = [np.ones(2) for _ in range(3)]
    assert comparisons.largest_error(found, expected) == 0
    found[place][1] = np.nan
    assert np.isnan(comparisons.largest_error(found, expected))


def test_another_bit_in_any_run_is_found() -> None:
    first = [np.ones(2), np.zeros(3)]
    assert comparisons.same([first, first, first])
    assert not comparisons.same([first, first, [np.ones(2), np.full(3, 1e-300)]])


def test_training_that_differs_is_found(simulated: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Momentum, and both kinds of clipping, change the numbers that are compared."""
    assert comparisons.compare_training("rnn", 1)["passed"]
    descended = comparisons._descended
    for constant, other in (("MOMENTUM", 0.8), ("CLIP_VALUE", 0.11), ("CLIP_NORM", 0.31)):

        def with_another(*arguments: Any, constant: str = constant, other: float = other) -> Any:
            with monkeypatch.context() as patched:
                patched.setattr(comparisons, constant, other)
                return descended(*arguments)

        monkeypatch.setattr(comparisons, "_descended", with_another)
        assert not comparisons.compare_training("rnn", 1)["passed"], constant


def test_plans_that_are_compared_use_what_a_gpu_has() -> None:
    """On an H100: groups of nearly all its multiprocessors, and far more shared memory than comes without asking."""
    limits = Limits("H100", (9, 0), multiprocessors=132, shared_bytes=227 << 10, l2_bytes=50 << 20)
    plans = [
        plan_for(cells.get(cell), hidden, batch, np.dtype("float32"), limits)
        for cell in comparisons.PLANNED_CELLS
        for hidden, batch in comparisons.PLANNED
    ]
    for path, least_kib in (("independent", 64), ("persistent", 192)):
        ways = [plan.forward for plan in plans if plan.path == path]
        assert max(way.shared_bytes for way in ways) > least_kib << 10
    assert max(plan.forward.blocks * plan.groups for plan in plans if plan.path == "persistent") >= 128


def case(name: str, error: BaseException | None = None) -> Case:
    def run() -> dict:
        if error is not None:
            raise error
        return {"times": {"cell": name}}

    return Case(name, run)


def test_a_case_that_fails_leaves_the_others(capsys: pytest.CaptureFixture) -> None:
    """It is told once it is the first in its process, and the process ends."""
    bad, good = case("bad", RuntimeError("an illegal\nmemory access")), case("good")

    def answered(cases: list[Case]) -> list[dict]:
        selftest.answer(cases, 60)
        return [json.loads(each.removeprefix(selftest.MARK)) for each in capsys.readouterr().out.splitlines()]

    assert answered([good, bad, good]) == [{"name": "good", "times": {"cell": "good"}}]
    assert answered([bad, good]) == [{"name": "bad", "failed": "RuntimeError: an illegal memory access"}]
    little = case("little", InputError("no memory left"))
    assert [sorted(row) for row in answered([little, good])] == [["left_out", "name"], ["name", "times"]]


HANGS = """
import time
from rnnbench.backends.cuda.comparisons import Case
from rnnbench.backends.cuda.selftest import answer
answer([Case("quick", lambda: {"times": {}}), Case("hangs", lambda: time.sleep(60))], 0.5)
"""


def test_a_case_that_hangs_ends_its_process() -> None:
    found = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=50, check=False)
    assert found.returncode == 1
    assert found.stdout == selftest.MARK + '{"name": "quick", "times": {}}\n'
    assert "Timeout (0:00:00.5" in found.stderr


PROCESS = """
import os, sys
first = int(sys.argv[-1])
print("a word in between")
print({mark!r} + '{{"name": "%d", "times": {{}}}}' % first, flush=True)
if first == 0:
    os._exit(9)
"""


def test_a_process_that_ends_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Here each answers for one case; and for the third none at all."""
    real, started = subprocess.Popen, []

    def process(command: list[str], **options: Any) -> subprocess.Popen:
        started.append(int(command[-1]))
        code = PROCESS.format(mark=selftest.MARK) if started[-1] != 2 else "import os; os._exit(7)"
        return real([sys.executable, "-c", code, command[-1]], **options)

    monkeypatch.setattr(selftest.subprocess, "Popen", process)
    rows = list(selftest.in_processes([case(name) for name in "abcd"], []))
    assert started == [0, 1, 2, 3]
    assert [row["name"] for row in rows] == ["0", "1", "c", "3"]
    assert rows[2]["failed"] == "its process ended with 7; what it said is above"
    assert "a word in between" in capsys.readouterr().out


def test_a_row_without_pytorch_or_a_floor_has_its_place_in_the_table(
    simulated: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(cell: str, sizes: Sizes, precision: str, *more: object) -> dict:
        if precision == "tf32":
            raise OSError("libcudnn.so cannot be opened")
        return {"forward": 2e-6, "both": 5e-6}

    monkeypatch.setattr(selftest.peers, "torch_seconds", broken)
    [gru] = selftest.timings(simulated, ["gru"], 1)
    found = gru.run()
    assert found["notes"] == {"tf32": "OSError: libcudnn.so cannot be opened"}
    assert found["times"]["fp32 both"] == pytest.approx(5 / 3)
    assert "PyTorch tf32: OSError" in selftest.line({"name": gru.name} | found)
    other = {"times": {"cell": "rnn", "H": 8, "B": 2, "path": "stepwise", "forward": 1.0, "both": 2.0, "floor": None}}
    lines = selftest.table([found, {"name": "?", "failed": "?"}, other]).splitlines()
    assert lines[0].split()[6:] == ["floor", "fp32", "forward", "fp32", "both", "fp16", "forward", "fp16", "both"]
    assert lines[2].split() == ["rnn", "8", "2", "stepwise", "1.00", "2.00", "-", "-", "-", "-", "-"]


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
