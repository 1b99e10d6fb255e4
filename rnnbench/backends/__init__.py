"""Where a cell is computed. A package or module here with a `Backend` in it is a new backend."""

from __future__ import annotations

from functools import cache

from rnnbench import registry
from rnnbench.backends.base import Backend


@cache
def entries() -> dict[str, Backend]:
    """Return every backend by name."""
    return {name: kind() for name, kind in registry.subclasses(__name__, Backend).items()}


def get(backend: str | Backend) -> Backend:
    """Return the backend of that name (a Backend is returned as it is); InputError names the nearest one."""
    return backend if isinstance(backend, Backend) else registry.lookup("backend", backend, entries())
