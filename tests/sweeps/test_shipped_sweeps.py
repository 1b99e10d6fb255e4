"""The sweeps that come with the project: every trial is one that can be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnbench.sweeps import spec

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
CORES = 2


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda path: path.stem)
def test_a_shipped_sweep_can_be_run_on_two_cores(path: Path) -> None:
    """Loading checks every parameter, and that no library is asked for what it has not."""
    trials = spec.load(path).trials
    assert trials
    assert len({trial.key for trial in trials}) == len(trials)
    assert all((trial.parameters.get("threads") or 1) <= CORES for trial in trials)
