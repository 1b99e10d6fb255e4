from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import scipy
from implementations import fakes
from pydantic import ValidationError

from rnnbench import implementations, probes
from rnnbench.backends.threads import available_cores
from rnnbench.errors import InputError
from rnnbench.probes.base import Measurement, Seeds
from rnnbench.probes.comparison import ComparisonParameters, Disagreement, rounds
from rnnbench.sweeps import spec, trial
from rnnbench.sweeps.trial import Trial, perform

SMALL = {"cell": "gru", "length": 4, "batch": 3, "hidden": 5, "features": 2, "threads": 1, "pairs": 3}
SCALARS = {
    "median_time": "s",
    "peer_median_time": "s",
    "ratio": "1",
    "ratio_low": "1",
    "ratio_high": "1",
    "gemm_rate": "GFLOP/s",
    "memory_bandwidth": "GB/s",
    "weights_bandwidth": "GB/s",
    "floor_time": "s",
    "fraction_of_floor": "1",
    "peer_fraction_of_floor": "1",
    "floor_bound": "1",
    "difference": "1",
    "compile_time": "s",
    "discarded_samples": "1",
    "unsettled_samples": "1",
}


@pytest.fixture(autouse=True)
def with_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [fakes.Twin(), fakes.Slow(), fakes.Wrong(), fakes.Dying(), fakes.Absent()]
    known = {**implementations.entries(), **{implementation.name: implementation for implementation in found}}
    monkeypatch.setattr(implementations, "entries", lambda: known)


def measure(**parameters: object) -> Iterator[Measurement]:
    return probes.get("comparison").measure(ComparisonParameters(**{**SMALL, **parameters}), Seeds(0, "comparison"))


def test_rows_are_complete_and_consistent() -> None:
    rows = list(measure(implementation="slow"))
    scalars = {row.quantity: row.value for row in rows if row.index is None}
    assert {row.quantity: row.unit for row in rows if row.index is None} == SCALARS
    times, peer_times = (
        {row.index: row.value for row in rows if row.quantity == name} for name in ("time", "peer_time")
    )
    assert list(times) == list(peer_times) == [0, 1, 2]
    assert len(rows) == len(SCALARS) + 6
    assert scalars["median_time"] == np.median(list(times.values())) > 0
    assert scalars["peer_median_time"] == np.median(list(peer_times.values())) > 0
    assert scalars["ratio"] == pytest.approx(scalars["peer_median_time"] / scalars["median_time"])
    assert 1 < scalars["ratio_low"] <= scalars["ratio"] <= scalars["ratio_high"]
    assert scalars["fraction_of_floor"] == pytest.approx(scalars["floor_time"] / scalars["median_time"])
    assert scalars["peer_fraction_of_floor"] == pytest.approx(scalars["floor_time"] / scalars["peer_median_time"])
    arithmetic = 3 * 2 * 3 * 5 * (5 + 2) * 4 * 3 / (1e9 * scalars["gemm_rate"])
    weights = 2 * 4 * 3 * 5 * 5 * 4 / (1e9 * scalars["weights_bandwidth"])
    assert scalars["floor_time"] == pytest.approx(max(arithmetic, weights))
    assert scalars["floor_bound"] == (0 if arithmetic > weights else 1)
    assert 0 < scalars["difference"] < 1e-5
    assert scalars["discarded_samples"] == 0
    assert 0 <= scalars["unsettled_samples"] <= 3 * (1 + 1 + 3)


def test_training_steps_are_compared_too() -> None:
    rows = measure(implementation="rnnbench", direction="training_step", features=None, dtype="float64")
    scalars = {row.quantity: row.value for row in rows}
    assert scalars["difference"] == 0
    assert scalars["ratio"] > 0


def test_outputs_that_differ_are_not_timed() -> None:
    rows = measure(implementation="wrong")
    with pytest.raises(
        Disagreement, match=r"^d_W_hh of rnnbench and wrong differ by 0.0\d+ .*at most 0.0001 in float32"
    ):
        next(rows)


def test_a_process_that_dies_is_the_reason_of_the_trial() -> None:
    parameters = ComparisonParameters(**SMALL, implementation="dying").model_dump()
    outcome = perform(Trial("comparison", parameters, exclusive=True, packages=("scipy",)))
    assert outcome.status == "error"
    assert outcome.reason == "ProcessError: dying: its process exited with status 7; its last words: out of luck"
    assert [row.quantity for row in outcome.rows] == ["difference"]
    assert outcome.peak_memory_bytes is None  # of the work, which was done elsewhere
    assert outcome.versions["scipy_version"] == scipy.__version__


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"implementation": "absent"}, "no_such_package not installed; python -m pip install"),
        (
            {"threads": available_cores() + 1},
            f"threads is {available_cores() + 1}; expected at most {available_cores()}",
        ),
    ],
)
def test_what_cannot_be_run_here_is_said(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        next(measure(**{"implementation": "twin", **changes}))


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({"cell": "gru_reset_before"}, "fixed.cell = \"gru_reset_before\": torch has no cell 'gru_reset_before' here"),
        ({"implementation": "onnxruntime"}, 'direction = "forward_backward": onnxruntime has no direction'),
        (
            {"implementation": "onnxruntime", "direction": "forward", "dtype": "float64"},
            "fixed.dtype = \"float64\": onnxruntime has no dtype 'float64' here; expected one of float32",
        ),
    ],
)
def test_what_a_library_has_not_is_found_when_the_sweep_is_checked(fixed: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        spec.load({"name": "comparison", "sweep": [{"probe": "comparison", "fixed": fixed}]})
    assert f"sweep.0.{message}" in str(caught.value)


def test_the_version_of_the_other_library_is_part_of_the_key_and_of_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(implementation: str) -> Trial:
        fixed = {**SMALL, "implementation": implementation}
        return spec.load({"name": "comparison", "sweep": [{"probe": "comparison", "fixed": fixed}]}).trials[0]

    versions = {"torch": "2.9.0", "jax": "0.8.1", "jaxlib": "0.8.0"}
    with monkeypatch.context() as patch:
        patch.setattr(trial, "version_of", lambda package: versions.get(package, "1.0"))
        before = {name: one(name).key for name in ("torch", "jax", "twin")}
        assert one("jax").versions.items() >= {"jax_version": "0.8.1", "jaxlib_version": "0.8.0"}.items()
        versions["jaxlib"] = "0.8.2"
        after = {name: one(name).key for name in before}
        assert {name for name in before if before[name] != after[name]} == {"jax"}


def test_features_follow_hidden_unless_given() -> None:
    assert ComparisonParameters(hidden=7).features == 7
    assert ComparisonParameters().features == ComparisonParameters().hidden
    assert ComparisonParameters(hidden=7, features=3).features == 3
    assert ComparisonParameters(hidden=7, direction="training_step").features == 2
    with pytest.raises(ValidationError, match="expected features 2"):
        ComparisonParameters(features=3, direction="training_step")


def test_unknown_implementations_are_refused_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match="unknown implementation 'troch': did you mean 'torch'"):
        ComparisonParameters(implementation="troch")


def test_sides_take_turns_each_as_often_first_and_the_machine_before_both() -> None:
    order: list[str] = []

    class Recorded:
        def __init__(self, name: str) -> None:
            self.name = name

        def ask(self, method: str) -> str:
            assert method == "sample"
            order.append(self.name)
            return self.name

    found = list(rounds(Recorded("A"), Recorded("B"), Recorded("M"), 4))  # type: ignore[arg-type]
    assert "".join(order) == "MABMBAMABMBA"
    assert found == [("A", "B", "M")] * 4
