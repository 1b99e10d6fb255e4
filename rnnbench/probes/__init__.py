"""One file per measurement: each takes checked parameters and yields rows of (quantity, index, value, unit)."""

from __future__ import annotations

from functools import cache

from rnnbench import registry
from rnnbench.probes.base import Probe


@cache
def entries() -> dict[str, Probe]:
    """Return every probe by name."""
    return {name: kind() for name, kind in registry.subclasses(__name__, Probe).items()}


def get(name: str) -> Probe:
    """Return the probe of that name; InputError names the nearest one if there is none."""
    return registry.lookup("probe", name, entries())
