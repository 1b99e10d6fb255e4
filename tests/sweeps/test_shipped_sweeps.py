"""The sweeps that come with the project: every trial is one that can be run."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from rnnbench import implementations, probes
from rnnbench.probes import _threads
from rnnbench.probes.comparison import ComparisonParameters
from rnnbench.sweeps import spec

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.toml"))
SIZES = [(path, False) for path in EXPERIMENTS]
SIZES += [(path, True) for path in EXPERIMENTS if "full" in tomllib.loads(path.read_text())]


@pytest.mark.parametrize(("path", "full"), SIZES, ids=[f"{path.stem}{'-full' * full}" for path, full in SIZES])
def test_no_library_refuses_what_a_shipped_sweep_asks_of_it(
    path: Path, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_threads, "available_cores", lambda: 2)
    trials = spec.load(path, full=full).trials
    assert trials
    assert len({trial.key for trial in trials}) == len(trials)
    for trial in trials:
        parameters = probes.get(trial.probe).Parameters(**trial.parameters)
        if isinstance(parameters, ComparisonParameters):
            refusal = implementations.get(parameters.implementation).refuses(parameters.workload())
            assert not refusal, trial.label()
