"""What a worker imports before its first trial, so that no trial's clock runs while it does."""

from __future__ import annotations

from typing import Any

from rnnbench.sweeps import plugins, sources
from rnnbench.sweeps.provenance import environment_id


def dask_setup(worker: Any) -> None:
    """Import every probe, read the sources, look at the machine; Dask calls this once in each worker process."""
    for probe in plugins.entries().values():
        sources.source_hash(probe, {})
    environment_id()
