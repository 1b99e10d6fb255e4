"""Real data, one file per dataset: where it comes from, its licence, its checksum, and how it is loaded."""

from __future__ import annotations

from functools import cache
from typing import Any

from rnnbench import registry
from rnnbench.datasets.base import Dataset


@cache
def entries() -> dict[str, type[Dataset[Any]]]:
    """Return every dataset class by name."""
    return registry.subclasses(__name__, Dataset)


def get(name: str) -> type[Dataset[Any]]:
    """Return the dataset class of that name; InputError names the nearest one if there is none."""
    return registry.lookup("dataset", name, entries())
