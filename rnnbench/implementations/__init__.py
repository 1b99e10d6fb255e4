"""The same layer in other libraries, one file each, for timing side by side."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from rnnbench import registry

if TYPE_CHECKING:
    from rnnbench.implementations.base import Implementation


@cache
def entries() -> dict[str, Implementation]:
    """Return every implementation by name, whether its library is installed or not."""
    from rnnbench.implementations.base import Implementation

    return {name: kind() for name, kind in registry.subclasses(__name__, Implementation).items()}


def get(name: str) -> Implementation:
    """Return the implementation of that name; InputError names the nearest one if there is none."""
    return registry.lookup("implementation", name, entries())
