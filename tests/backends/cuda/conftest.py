"""Kernels on a simulated GPU whose limits a test chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from simulated_gpus import limits_for

from rnnbench import cells
from rnnbench.backends.cuda import toolkit
from rnnbench.backends.cuda.simulator import Simulator
from rnnbench.cells.base import Cell


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """Let the cuda backend and all probes run on a simulated GPU with limits of its own."""
    simulator = Simulator()
    monkeypatch.setattr(toolkit, "device", lambda: simulator)
    monkeypatch.setattr(toolkit, "missing", lambda: None)
    monkeypatch.setattr(toolkit, "simulating", lambda: True)
    return simulator


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Simulator]:
    """Return a function that lets the cuda backend run on a simulated GPU, in the way that a test names."""

    def use(path: str, cell: str | Cell, hidden: int, batch: int, dtype: str = "float64", **options: Any) -> Simulator:
        simulator = Simulator(limits_for(path, cells.get(cell), hidden, batch, np.dtype(dtype), **options))
        monkeypatch.setattr(toolkit, "device", lambda: simulator)
        monkeypatch.setattr(toolkit, "missing", lambda: None)
        return simulator

    return use
