"""What a worker imports before its first trial, so that no trial's clock runs while it does."""

from __future__ import annotations

from typing import Any

from rnnbench.sweeps import plugins
from rnnbench.sweeps.provenance import environment_id


def dask_setup(worker: Any) -> None:
    """Import every probe, and look at the machine; Dask calls this once in each worker process."""
    plugins.entries()
    environment_id()
