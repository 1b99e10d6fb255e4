"""One file per figure: each declares the probe whose rows it draws and how to read them."""

from __future__ import annotations

from functools import cache

from rnnbench import registry
from rnnbench.report.figures.base import Plot


@cache
def entries() -> dict[str, Plot]:
    """Return every plot by name, in the order of their ranks."""
    found = {name: kind() for name, kind in registry.subclasses(__name__, Plot).items()}
    return dict(sorted(found.items(), key=lambda entry: (entry[1].rank, entry[0])))
