"""Runs with made-up times, stored as the runner stores them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnbench.probes.base import Measurement
from rnnbench.sweeps.folder import RunFolder, write_text
from rnnbench.sweeps.store import Results, write_trial
from rnnbench.sweeps.trial import SCHEMA_VERSION, Outcome, Status, Trial

MACHINE = {
    "cpu": "Example CPU", "architecture": "x86_64", "physical_cores": 2, "logical_cores": 2, "available_cores": 2,
}  # fmt: skip

Performed = tuple[Trial, Outcome]
MakeRun = Callable[..., Results]


def timed(samples: Sequence[float] | np.ndarray, quantity: str = "time", **rates: float) -> list[Measurement]:
    """Return rows as a probe of times yields them: samples with an index, and rates in GFLOP/s."""
    rows = [Measurement(quantity, float(seconds), "s", index) for index, seconds in enumerate(samples)]
    return rows + [Measurement(name, value, "GFLOP/s") for name, value in rates.items()]


def trial(probe: str, rows: Sequence[Measurement], status: Status = "ok", **parameters: Any) -> Performed:
    """Return a trial and what came of it; its seed is 0 if not given."""
    point = Trial(probe, {"seed": 0, **parameters})
    return point, Outcome(point.key, status, rows=list(rows), runtime_s=1.0)


def throughput(
    factors: Mapping[int, float], seed: int, seeds: int = 1, samples: int = 11, rate: float = 250.0, **parameters: Any
) -> list[Performed]:
    """Return trials by hidden size, each `factors` times as long as it would be otherwise, with 1 % of noise.

    `rate` is that of the machine's own matrix product.
    """
    rng = np.random.default_rng(seed)
    return [
        trial(
            "throughput",
            timed(1e-5 * hidden * factor * np.exp(0.01 * rng.standard_normal(samples)), sgemm_flop_rate=rate),
            **{"cell": "lstm", "hidden": hidden, "length": 64, "seed": process, **parameters},
        )
        for hidden, factor in factors.items()
        for process in range(seeds)
    ]


def store(path: Path, trials: Sequence[Performed], missing: Sequence[Trial] = ()) -> Results:
    """Store trials as a run, `missing` being what its sweep names besides, and load it."""
    folder = RunFolder(path)
    folder.prepare()
    write_text(folder.sweep, f'name = "{path.name}"\n')
    provenance = {"schema_version": SCHEMA_VERSION, "machine": MACHINE, "thread_variables": {}}
    write_text(folder.provenance, json.dumps(provenance))
    write_text(folder.keys, "".join(f"{each.key}\n" for each in [*(each for each, _ in trials), *missing]))
    for each, outcome in trials:
        write_trial(folder, each, outcome)
    return Results.load(folder.path)


def with_provenance(run: Results, **changes: Any) -> Results:
    """Return a run with other provenance, its machine changed key by key."""
    folder = RunFolder(run.path)
    provenance = folder.read_provenance()
    provenance["machine"] |= changes.pop("machine", {})
    write_text(folder.provenance, json.dumps(provenance | changes))
    return Results.load(folder.path)
