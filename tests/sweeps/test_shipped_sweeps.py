"""The sweeps that come with the project: every trial is one that can be run."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from rnnbench.sweeps import spec

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.toml"))
SIZES = [(path, False) for path in EXPERIMENTS]
SIZES += [(path, True) for path in EXPERIMENTS if "full" in tomllib.loads(path.read_text())]
CORES = 2


@pytest.mark.parametrize(("path", "full"), SIZES, ids=[f"{path.stem}{'-full' * full}" for path, full in SIZES])
def test_a_shipped_sweep_can_be_run_on_two_cores(path: Path, full: bool) -> None:
    """Loading checks every parameter, and that no library is asked for what it has not."""
    trials = spec.load(path, full=full).trials
    assert trials
    assert len({trial.key for trial in trials}) == len(trials)
    assert all((trial.parameters.get("threads") or 1) <= CORES for trial in trials)
