"""Where a run's numbers come from: machine, versions, commit and times, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from rnnbench.report import wording
from rnnbench.report.tables import Column, Table


def tables(trials: pd.DataFrame, provenance: Mapping[str, Any]) -> list[Table]:
    """Return one table for the run itself and one for each group of facts in its provenance."""
    told = {name: value for name, value in provenance.items() if name != "environments"}  # every version, for programs
    nested = {name: value for name, value in told.items() if isinstance(value, Mapping)}
    flat = {name: value for name, value in told.items() if name not in nested}
    parts = [("Run", _flatten(flat) | _from_trials(trials))]
    parts += [(wording.heading(str(name)), _flatten(value)) for name, value in nested.items()]
    columns = [Column("what", numeric=False), Column("value", numeric=False)]
    return [Table(f"{title}.", columns, list(values.items())) for title, values in parts if values]


def _from_trials(trials: pd.DataFrame) -> dict[str, str]:
    """Return what the trials themselves say of where they ran: versions, kernel hashes, times, seeds."""
    told = [n for n in map(str, trials.columns) if n.endswith("_version") or n == "kernel_source_hash"]
    values = {name: sorted({str(value) for value in trials[name].dropna()}) for name in told}
    facts = {wording.words(name): ", ".join(found) for name, found in values.items() if found}
    if started := start_times(trials):
        facts["trials started (UTC)"] = f"{started[0]} to {started[-1]}"
    if "peak_memory_bytes" in trials and trials["peak_memory_bytes"].notna().any():
        facts["largest peak memory of a trial"] = f"{trials['peak_memory_bytes'].max() / 2**20:,.0f} MiB"
    if "seed" in trials and trials["seed"].notna().any():
        facts["seeds"] = ", ".join(wording.value_text(seed) for seed in sorted(trials["seed"].dropna().unique()))
    return facts


def start_times(trials: pd.DataFrame) -> list[str]:
    """Return when trials started, earliest first."""
    return sorted(str(time) for time in trials.get("started_at", []) if isinstance(time, str) and time)


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return {"machine / cpu": "..."} for a nested mapping, without what is empty."""
    flat: dict[str, str] = {}
    for name, value in tree.items():
        label = f"{prefix}{wording.words(str(name))}"
        if value is None or value in ("", [], {}):
            continue
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{label} / ")
        elif isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
            flat |= {f"{label} {place}": _line(item) for place, item in enumerate(value, start=1)}
        elif isinstance(value, list):
            flat[label] = ", ".join(map(_text, value))
        elif label.endswith(" bytes") and isinstance(value, int):
            flat[label.removesuffix(" bytes")] = f"{value / 2**30:.1f} GiB"
        else:
            flat[label] = _text(value)
    return flat


def _line(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{wording.words(str(name))} {_text(value)}" for name, value in facts.items())


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
