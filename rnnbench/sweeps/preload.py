"""What a worker imports before its first trial, so that no trial's clock runs while it does."""

from __future__ import annotations

from typing import Any

from rnnbench.sweeps import plugins


def dask_setup(worker: Any) -> None:
    """Import every probe; Dask calls this once in each worker process."""
    plugins.entries()
