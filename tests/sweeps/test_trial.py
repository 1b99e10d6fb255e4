from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy

from rnnbench import probes
from rnnbench.backends import threads
from rnnbench.errors import InputError
from rnnbench.sweeps import hardware, memory, plugins, sources, spec, store, trial
from rnnbench.sweeps.trial import Outcome, Trial, perform


def one(probe: str = "misbehave", **fixed: Any) -> Trial:
    return spec.load({"name": "one", "sweep": [{"probe": probe, "fixed": fixed}]}).trials[0]


def values(outcome: Outcome) -> list[float]:
    return [row.value for row in outcome.rows]


def test_a_key_is_a_hash_of_all_that_decides_the_numbers() -> None:
    known = Trial("misbehave", {"number": 3, "seed": 0}, source_hash="0" * 16)
    text = (
        '{"parameters":{"number":3,"seed":0},"probe":"misbehave","schema_version":1,"source_hash":"0000000000000000"}'
    )
    assert known.key == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert replace(known, timeout_s=5, exclusive=True).key == known.key
    assert one(seed=0, seconds=0).key == one().key
    different = [one(), one(number=1), one(seed=1), one("timing"), known]
    different += [replace(known, source_hash="1" * 16), replace(known, packages=("numpy",))]
    different += [replace(known, hardware="a CPU"), replace(known, hardware="another CPU")]
    assert len({each.key for each in different}) == len(different)
    assert all(len(each.key) == 16 and int(each.key, 16) >= 0 for each in different)


def test_random_numbers_depend_on_the_seed_not_on_parameters_or_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = perform(one(seed=3, number=1))
    monkeypatch.setattr(sources, "source_hash", lambda *_: "1" * 16)
    after = perform(one(seed=3, number=1))
    assert before.key != after.key
    assert values(before) == values(after)
    assert values(before) != values(perform(one(seed=4, number=1)))
    assert values(before) == values(perform(one(seed=3, number=2)))  # a pair: they differ by the parameter alone
    assert "seed" not in one(seed=3).identity


@pytest.mark.parametrize(
    ("elsewhere", "told"),
    [
        ({"source_hash": "f" * 16}, "the run has ffffffffffffffff"),
        ({"hardware": "another CPU"}, "than the run is measured on (another CPU)"),
    ],
)
def test_a_worker_of_other_source_or_hardware_measures_nothing(elsewhere: dict[str, str], told: str) -> None:
    outcome = perform(replace(one("timing"), **elsewhere))  # type: ignore[arg-type]
    assert (outcome.status, outcome.rows) == ("error", [])
    assert told in outcome.reason
    assert "install the same on both" in outcome.reason


def test_a_worker_with_other_versions_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    named = replace(one(), packages=("scipy",))
    key = named.key
    monkeypatch.setattr(trial, "version_of", lambda package: "99.0")
    assert replace(named).key != key
    outcome = perform(named)
    assert outcome.status == "error"
    assert "scipy_version 99.0" in outcome.reason


def test_every_outcome_tells_where_it_was_measured() -> None:
    outcome = perform(one())
    assert outcome.hardware == hardware.hardware()
    assert outcome.source_hash == one().source_hash
    assert outcome.load_average is not None
    assert outcome.load_average >= 0
    [(name, told)] = outcome.environments.items()
    assert name == outcome.environment
    assert {"package_git", "versions", "blas", "thread_variables", "installed", "machine"} <= set(told)
    assert told["installed"]["numpy"] == np.__version__
    assert json.loads(trial.canonical(told)) == told


@pytest.mark.parametrize(
    ("deed", "status", "reason"),
    [
        ("raise", "error", "ZeroDivisionError: the denominator was zero"),
        ("exit", "error", "SystemExit: the probe called sys.exit"),
        ("diverge", "diverged", "Diverged: the loss is NaN at step 3"),
        ("memory_error", "out_of_memory", "Unable to allocate"),
    ],
)
def test_an_exception_becomes_a_status_and_the_rows_before_it_stay(deed: str, status: str, reason: str) -> None:
    outcome = perform(one(deed=deed))
    assert outcome.status == status
    assert reason in outcome.reason
    assert "\n" not in outcome.reason
    assert [row.quantity for row in outcome.rows] == ["before"]
    assert outcome.runtime_s < 10
    assert outcome.peak_memory_bytes is None or outcome.peak_memory_bytes > 0
    assert ("Traceback" in outcome.traceback) == (status != "diverged")


def test_an_interrupt_is_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(plugins.get("misbehave")), "_finish", interrupt)
    with pytest.raises(KeyboardInterrupt):
        perform(one())


def test_ordinary_trials_get_one_thread_and_timing_trials_every_core(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(trial, "available_cores", lambda: 2)
    monkeypatch.setattr(type(plugins.get("misbehave")), "_finish", lambda *_: seen.append(threads.thread_count()))
    perform(one("misbehave"))
    perform(one("timing"))
    assert seen == [1, 2]


def test_numpy_scalars_become_plain_numbers_and_non_finite_ones_stay() -> None:
    row = trial._plain(trial.Measurement("q", np.float32(np.nan), "1", np.int64(3)))  # type: ignore[arg-type]
    assert type(row.index) is int
    assert type(row.value) is float
    assert np.isnan(row.value)


def test_peak_memory_is_that_of_the_block_not_of_the_process() -> None:
    if not memory._reset_peak():
        pytest.skip("this system cannot reset a process's peak memory")
    np.ones(16_000_000).sum()  # 128 MB that are gone before the block
    with memory.PeakMemory() as small:
        pass
    with memory.PeakMemory() as large:
        np.ones(8_000_000).sum()
    assert small.peak_bytes is not None
    assert large.peak_bytes is not None
    assert large.peak_bytes - small.peak_bytes == pytest.approx(64e6, rel=0.1)


def test_peak_memory_is_unknown_where_it_cannot_be_reset_and_did_not_rise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peaks = iter([100, 100, 100, 150])
    monkeypatch.setattr(memory, "_reset_peak", lambda: False)
    monkeypatch.setattr(memory, "_process_peak", lambda: next(peaks))
    with memory.PeakMemory() as unknown:
        pass
    with memory.PeakMemory() as known:
        pass
    assert (unknown.peak_bytes, known.peak_bytes) == (None, 150)


def test_peak_memory_is_unknown_where_other_processes_did_the_work() -> None:
    with memory.PeakMemory() as shared:
        subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    assert shared.peak_bytes is None
    with memory.PeakMemory() as alone:
        np.ones(16_000_000).sum()
    assert alone.peak_bytes is None or alone.peak_bytes > 0


def test_versions_of_packages_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> tuple[str, str]:
        return replace(one(), packages=()).key, replace(one(), packages=("scipy", "no_such_package")).key

    before = keys()
    known = replace(one(), packages=("scipy", "no_such_package")).versions
    assert known == {"scipy_version": scipy.__version__, "no_such_package_version": "not installed"}
    monkeypatch.setattr(trial, "version_of", lambda package: "99.0")
    after = keys()
    assert before[0] == after[0]
    assert len({*before, *after}) == 3


def test_installed_packages_add_probes_and_cannot_replace_ours() -> None:
    assert {"misbehave", "timing", *probes.entries()} <= set(plugins.entries())
    with pytest.raises(InputError, match="unknown probe 'misbehav': did you mean 'misbehave'"):
        plugins.get("misbehav")


@pytest.mark.parametrize("name", sorted(probes.entries()))
def test_no_parameter_of_a_probe_is_called_like_a_column(name: str) -> None:
    columns = {*store.TRIAL_COLUMNS, *store.LATER_COLUMNS, *store.MEASUREMENT_COLUMNS.names}
    assert not columns & set(probes.get(name).Parameters.model_fields)


def test_the_label_names_probe_and_parameters() -> None:
    assert one(number=3).label() == "misbehave seed=0 deed=finish seconds=0.0 number=3"
    assert replace(one(), timeout_s=3).label() == one().label()
