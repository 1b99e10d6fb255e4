"""The sweeps that come with the project: every trial is one that can be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnbench import implementations, probes
from rnnbench.backends.cuda import toolkit
from rnnbench.probes import _threads
from rnnbench.probes.comparison import ComparisonParameters
from rnnbench.sweeps import spec

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda path: path.stem)
def test_no_library_refuses_what_a_shipped_sweep_asks_of_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "available_cores", lambda: 2)
    monkeypatch.setattr(toolkit, "missing", lambda: None)
    trials = spec.load(path).trials
    assert trials
    assert len({trial.key for trial in trials}) == len(trials)
    for trial in trials:
        parameters = probes.get(trial.probe).Parameters(**trial.parameters)
        if isinstance(parameters, ComparisonParameters):
            refusal = implementations.get(parameters.implementation).refuses(parameters.workload())
            assert not refusal, trial.label()
