"""What comparisons of a device find wrong, and what the probes of a device say of it, on a simulated GPU."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from rnnbench import backends, cells
from rnnbench.backends.cuda import comparisons, peers, toolkit
from rnnbench.backends.cuda.comparisons import Agreement, Shape
from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.simulator import Simulator
from rnnbench.errors import InputError
from rnnbench.implementations.processes import ProcessError
from rnnbench.probes import _device
from rnnbench.probes.base import Probe, ProbeParameters, Seeds
from rnnbench.probes.comparison import Disagreement
from rnnbench.probes.device_parity import DeviceParity, DeviceParityParameters
from rnnbench.probes.device_speed import DeviceSpeed, DeviceSpeedParameters, PeerFailed
from rnnbench.report.document import compose
from rnnbench.sweeps import engine, spec

SMALL = {"length": 3, "batch": 3, "hidden": 7, "runs": 2}
A100 = Limits("A100", (8, 0), multiprocessors=108, shared_bytes=163 << 10, l2_bytes=40 << 20)
H100 = Limits("H100", (9, 0), multiprocessors=132, shared_bytes=227 << 10, l2_bytes=50 << 20)


def parity(**parameters: Any) -> dict[str, float]:
    p = DeviceParityParameters(**SMALL | parameters)
    return {row.quantity: row.value for row in DeviceParity().measure(p, Seeds(0, "a trial"))}


def until_it_fails(probe: Probe, p: ProbeParameters, kind: type[Exception]) -> tuple[dict, str]:
    """Return the rows by quantity and index that a trial has before its error, and what the error says."""
    rows, measured = {}, probe.measure(p, Seeds(0, "a trial"))
    while True:
        try:
            row = next(measured)
        except kind as error:
            return rows, str(error)
        rows[row.quantity, row.index] = row.value


@pytest.mark.parametrize(("path", "cooperative"), [("stepwise", False), ("independent", False), ("persistent", True)])
@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before"])
def test_every_way_passes_and_says_how_it_was_launched(
    cell: str, path: str, cooperative: bool, simulated: Simulator
) -> None:
    rows = parity(cell=cell, backend="cuda", way=path)
    assert rows["passed"]
    assert 0 < rows["forward_error"] <= rows["forward_tolerance"] == 1e-5
    assert 0 < rows["backward_error"] <= rows["backward_tolerance"] == 1e-4
    assert rows["differing_runs"] == rows["run_difference"] == 0
    assert _device.PATHS[int(rows["path"])] == path
    assert rows["cooperative"] == cooperative
    assert rows["simulated"]
    assert (rows["shared_memory"] == 0) == (rows["blocks"] == 0) == (path == "stepwise")


def test_float64_has_its_own_tolerance_and_the_fast_way_as_well(simulated: Simulator) -> None:
    assert parity(backend="cuda", dtype="float64")["backward_tolerance"] == 1e-11
    assert parity(backend="cuda_fast", way="independent")["forward_tolerance"] == 2e-3
    assert comparisons.tolerance(backends.get("cuda_fast"), "float64") == comparisons.TOLERANCES["float64"]


def test_training_is_compared(simulated: Simulator) -> None:
    rows = parity(backend="cuda", work="training", cell="rnn")
    assert rows["passed"]
    assert "path" not in rows


def test_a_layer_on_the_cpu_is_compared() -> None:
    rows = parity(backend="cpu")
    assert rows["passed"]
    assert 0 < rows["backward_error"] < 1e-4
    assert "path" not in rows


@pytest.mark.parametrize("broken", ["forward", "backward"])
def test_wrong_numbers_have_their_rows_and_fail(broken: str, simulated: Simulator, monkeypatch: Any) -> None:
    """A thousandth of one number is enough."""
    cuda = type(backends.get("cuda"))
    real = getattr(cuda, broken)

    def wrong(self: Any, *arguments: Any, **options: Any) -> Any:
        result = real(self, *arguments, **options)
        array = result.h if broken == "forward" else result.params["W_hh"]
        array[0, 0] += 1e-3 * np.abs(array).max()
        return result

    monkeypatch.setattr(cuda, broken, wrong)
    p = DeviceParityParameters(**SMALL, backend="cuda")
    rows, told = until_it_fails(DeviceParity(), p, Disagreement)
    assert f"the relative error {broken} is 0.001, expected at most" in told
    assert rows["passed", None] == 0
    assert rows[f"{broken}_error", None] == pytest.approx(1e-3, rel=0.1)


def test_a_race_has_its_rows_and_fails(simulated: Simulator, monkeypatch: Any) -> None:
    """The last bit of one number in the third run."""
    cuda = type(backends.get("cuda"))
    real, calls = cuda.forward, []

    def racing(self: Any, *arguments: Any, **options: Any) -> Any:
        result = real(self, *arguments, **options)
        calls.append(None)
        if len(calls) == 3:
            result.h[0, 0, 0] = np.nextafter(result.h[0, 0, 0], np.float32(2))
        return result

    monkeypatch.setattr(cuda, "forward", racing)
    p = DeviceParityParameters(**SMALL | {"runs": 4}, backend="cuda")
    rows, told = until_it_fails(DeviceParity(), p, Disagreement)
    assert re.search(r": 1 run gave other numbers than the first, by up to \S+e-08$", told)
    assert (rows["passed", None], rows["differing_runs", None]) == (0, 1)
    assert 0 < rows["run_difference", None] < 1e-6


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ((1e-4, 0.0, 0, 0.0), "the relative error forward is 0.0001, expected at most 1e-05"),
        ((np.nan, 0.0, 0, 0.0), "the relative error forward is nan, expected at most 1e-05"),
        ((0.0, np.nan, 0, 0.0), "the relative error backward is nan, expected at most 0.0001"),
        ((0.0, 0.0, 2, 1e-9), "2 runs gave other numbers than the first, by up to 1e-09"),
    ],
)
def test_what_is_wrong_is_told(errors: tuple, told: str) -> None:
    forward, backward, *between = errors
    assert Agreement(1e-6, 1e-6, (1e-5, 1e-4), 0, 0.0).complaints() == []
    assert Agreement(forward, backward, (1e-5, 1e-4), *between).complaints() == [told]


@pytest.mark.parametrize("place", range(3))
def test_nan_in_any_array_is_an_error(place: int) -> None:
    expected = [np.ones(2) for _ in range(3)]
    found = [np.ones(2) for _ in range(3)]
    assert comparisons.largest_error(found, expected) == 0
    found[place][1] = np.nan
    assert np.isnan(comparisons.largest_error(found, expected))


def test_another_bit_in_any_run_is_found() -> None:
    first = [np.ones(2), np.zeros(3)]
    assert comparisons.differences([first, first, first]) == (0, 0.0)
    assert comparisons.differences([[np.zeros(2)], [-np.zeros(2)]]) == (1, 0.0), "the sign of a zero is a bit"
    assert comparisons.differences([first, first, [np.ones(2), np.full(3, 1e-300)]]) == (1, 1e-300)
    count, difference = comparisons.differences([first, [np.ones(2), np.full(3, np.nan)]])
    assert count == 1
    assert np.isnan(difference)


def test_training_that_differs_is_found(simulated: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Momentum, and both kinds of clipping, change the numbers that are compared."""

    def complaints() -> list[str]:
        given = backends.get("cuda"), cells.get("rnn"), "float32", Shape(4, 3, 5, 7), 2, np.random.default_rng(0)
        return comparisons.compare_training(*given).complaints()

    assert complaints() == []
    descended = comparisons._descended
    for constant, other in (("MOMENTUM", 0.8), ("CLIP_VALUE", 0.11), ("CLIP_NORM", 0.31)):

        def with_another(*arguments: Any, constant: str = constant, other: float = other) -> Any:
            with monkeypatch.context() as patched:
                patched.setattr(comparisons, constant, other)
                return descended(*arguments)

        monkeypatch.setattr(comparisons, "_descended", with_another)
        assert complaints(), constant


def test_a_way_that_no_limits_give_is_refused() -> None:
    with pytest.raises(InputError, match=r"lets lstm in float32 with H = 20000 and B = 1 run independent on H100"):
        comparisons.limits_for(H100, "independent", cells.get("lstm"), Shape(2, 1, 5, 20_000), "float32")


def test_the_launch_is_the_larger_of_both_passes() -> None:
    launch = comparisons.launch(H100, cells.get("lstm"), Shape(1024, 16, 768, 768), "float32")
    assert launch.path == "persistent"
    assert 100 < launch.blocks <= 132
    assert 100 << 10 < launch.shared_bytes <= 227 << 10
    assert comparisons.launch(H100, cells.get("lstm"), Shape(1, 64, 9, 3000), "float32") == ("stepwise", 0, 0)


def shipped() -> list[DeviceParityParameters]:
    """Return the comparisons of a layer that experiments/gpu.toml asks for."""
    trials = spec.load(Path(__file__).parents[3] / "experiments" / "gpu.toml").trials
    found = [DeviceParityParameters(**trial.parameters) for trial in trials if trial.probe == "device_parity"]
    return [p for p in found if p.work == "layer"]


@pytest.mark.parametrize(("limits", "kept"), [(H100, None), (A100, ("lstm", "gru_reset_before"))], ids=["H100", "A100"])
def test_every_way_that_the_shipped_sweep_forces_can_be_had_on_a_gpu(
    limits: Limits, kept: tuple[str, ...] | None
) -> None:
    forced = [p for p in shipped() if p.way != "planned"]
    assert {(p.way, p.backend, p.dtype) for p in forced} == {
        (way, *of)
        for way in _device.PATHS
        for of in (("cuda", "float32"), ("cuda", "float64"), ("cuda_fast", "float32"))
    }
    assert {p.cell for p in forced} == set(cells.shipped())
    for p in (each for each in forced if kept is None or each.cell in kept):
        shape = Shape(p.length, p.batch, p.features, p.hidden)
        found = comparisons.limits_for(limits, p.way, cells.get(p.cell), shape, p.dtype)
        assert comparisons.launch(found, cells.get(p.cell), shape, p.dtype).path == p.way


def test_plans_of_the_shipped_sweep_use_what_a_gpu_has() -> None:
    """On an H100: groups of nearly all its multiprocessors, and far more shared memory than comes without asking."""
    planned = [p for p in shipped() if p.way == "planned"]
    found = [
        comparisons.launch(H100, cells.get(p.cell), Shape(p.length, p.batch, p.features, p.hidden), p.dtype)
        for p in planned
    ]
    for path, least_kib in (("independent", 64), ("persistent", 192)):
        assert max(each.shared_bytes for each in found if each.path == path) > least_kib << 10
    assert max(each.blocks for each in found if each.path == "persistent") >= 128


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"backend": "cpu", "way": "persistent"}, "expected way planned with the backend cpu"),
        ({"backend": "cpu", "work": "training"}, "expected work layer; the backend cpu trains no network by itself"),
        ({"backend": "cuda", "work": "training", "way": "stepwise"}, "where the work is training; found stepwise"),
    ],
)
def test_what_cannot_be_compared_is_refused(given: dict, told: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)):
        DeviceParityParameters(**given)


@pytest.mark.parametrize("probe", [DeviceParity(), DeviceSpeed()])
def test_without_a_gpu_both_probes_say_so(probe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolkit, "missing", lambda: "no GPU can be used")
    with pytest.raises(InputError, match="the backend cuda cannot run here: no GPU can be used"):
        list(probe.measure(probe.Parameters(backend="cuda"), Seeds(0, "a trial")))


def test_a_run_keeps_going_and_its_report_says_what_failed(
    simulated: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(comparisons, "TOLERANCES", {"float32": (1e-12, 1e-4), "float64": (1e-12, 1e-11)})
    parameters = {name: value for name, value in SMALL.items() if name != "runs"}
    sweep = {
        "name": "device",
        "sweep": [
            {
                "probe": "device_parity",
                "axes": {"way": ["independent", "stepwise"], "dtype": ["float32", "float64"]},
                "fixed": {**SMALL, "cell": "rnn", "backend": "cuda"},
            },
            {"probe": "device_speed", "fixed": {**parameters, "cell": "rnn", "repeats": 3}},
        ],
    }
    results = engine.run(sweep, out=tmp_path, jobs=0, progress=False)
    assert list(results.trials["status"]) == ["error", "ok", "error", "ok", "ok"]
    assert results.trials["reason"][0].startswith("Disagreement: cuda and the reference: the relative error forward is")
    comparing, timing = compose(results).sections
    assert [(row[:2], row[-1]) for row in comparing.tables[0].rows] == [
        (["independent", "float32"], "fail"),
        (["independent", "float64"], "pass"),
        (["stepwise", "float32"], "fail"),
        (["stepwise", "float64"], "pass"),
    ]
    assert timing.tables[0].rows[0][:4] == ["cuda", "forward + backward", "RNN", "1"]


def test_the_hardware_is_part_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one GPU has passed another has not."""

    def key(hardware: str) -> str:
        monkeypatch.setattr(engine, "hardware", lambda: hardware)
        given = {"name": "one", "sweep": [{"probe": "device_parity"}]}
        [trial] = engine.placed(spec.load(given).trials, None, None)
        assert not trial.exclusive
        return trial.key

    assert key("one GPU") == key("one GPU") != key("another GPU")


def speed(**parameters: Any) -> dict[tuple[str, int | None], float]:
    p = DeviceSpeedParameters(**{"cell": "rnn", "hidden": 4, "batch": 2, "length": 3, "repeats": 3} | parameters)
    return {(row.quantity, row.index): row.value for row in DeviceSpeed().measure(p, Seeds(0, "a trial"))}


@pytest.mark.parametrize("direction", ["forward", "forward_backward"])
def test_times_have_a_median_and_a_floor(direction: str, simulated: Simulator) -> None:
    rows = speed(direction=direction)
    times = [rows["time", k] for k in range(3)]
    assert min(times) > 0
    assert rows["median_time", None] == np.median(times)
    assert rows["fraction_of_floor", None] == pytest.approx(rows["floor_time", None] / np.median(times))
    assert rows["simulated", None]
    assert not any(name.startswith("torch") for name, _ in rows)


def test_a_precision_that_fails_is_told_after_the_others(simulated: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(cell: str, sizes: Any, precision: str, *more: object) -> np.ndarray:
        if precision == "tf32":
            raise OSError("libcudnn.so\ncannot be opened")
        return np.array([2e-6, 8e-6, 5e-6])

    monkeypatch.setattr(peers, "torch_seconds", broken)
    p = DeviceSpeedParameters(cell="rnn", hidden=4, batch=2, length=3, repeats=3)
    rows, told = until_it_fails(DeviceSpeed(), p, PeerFailed)
    assert told == "PyTorch was not timed in tf32: OSError: libcudnn.so cannot be opened"
    assert [rows["torch_fp32_time", k] for k in range(3)] == [2e-6, 8e-6, 5e-6]
    for precision in ("fp32", "fp16"):
        assert rows[f"torch_{precision}_median_time", None] == 5e-6
        assert rows[f"torch_{precision}_ratio", None] == pytest.approx(5e-6 / rows["median_time", None])
    assert ("torch_tf32_ratio", None) not in rows


def test_a_backend_of_the_host_is_refused_by_the_gpus_clock() -> None:
    with pytest.raises(ValidationError, match="expected a backend of a GPU: cuda, cuda_fast"):
        DeviceSpeedParameters(backend="cpu")


class Dying:
    """Something that takes its process with it."""

    def process(self) -> int:
        return os.getpid()

    def die(self) -> None:
        os._exit(9)


def test_what_runs_on_a_gpu_runs_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolkit, "simulating", lambda: False)
    with _device.asked(Dying, "cuda", cells.get("gru")) as there:
        assert there.ask("process") != os.getpid()
        with pytest.raises(ProcessError, match="cuda: its process exited with status 9"):
            there.ask("die")
    own = replace(cells.get("gru"), summary="a user's, of the same name")
    for backend, cell in (("cpu", cells.get("gru")), ("cuda", own), ("cuda", replace(own, name="unknown elsewhere"))):
        with _device.asked(Dying, backend, cell) as here:
            assert here.ask("process") == os.getpid()


def test_a_trial_runs_in_that_process_as_it_does_here(simulated: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    here = parity(cell="gru", backend="cuda")
    monkeypatch.setenv(toolkit.SIMULATE, "1")
    monkeypatch.setattr(_device, "stays_here", lambda *_: False)
    assert parity(cell="gru", backend="cuda") == here
