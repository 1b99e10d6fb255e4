"""Where made-up runs are stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from made_up_runs import MakeRun, Performed, store

from rnnbench.sweeps.store import Results
from rnnbench.sweeps.trial import Trial


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Store trials as a run below the folder of the test, which is where it runs: make_run("a", [trial(...), ...])."""
    monkeypatch.chdir(tmp_path)

    def make(name: str, trials: Sequence[Performed], missing: Sequence[Trial] = ()) -> Results:
        return store(Path(name), trials, missing)

    return make
