"""Probes by name: rnnbench's own, and those that installed packages add through the entry point group.

A package adds a probe in its pyproject.toml:

    [project.entry-points."rnnbench.probes"]
    my_probe = "my_package.my_module:MyProbe"

A sweep file names a probe that is installed; cells and tasks can come from files, too (own_files.py). It is data, and
never names a module to import. The key of a trial hashes the source of its probe, and what that imports of its own
package and of rnnbench: see sources.py.
"""

from __future__ import annotations

from functools import cache

from rnnbench import probes, registry
from rnnbench.errors import InputError
from rnnbench.probes.base import Probe

GROUP = "rnnbench.probes"


@cache
def _installed() -> dict[str, Probe]:
    """Load the probes of other packages; InputError for one that is no probe."""
    found: dict[str, Probe] = {}
    for where, kind in registry.installed(GROUP).items():
        if not (isinstance(kind, type) and issubclass(kind, Probe)):
            raise InputError(f"{where}: expected a subclass of {Probe.__name__}")
        found[kind.name] = kind()
    return found


def entries() -> dict[str, Probe]:
    """Return every probe that a sweep can name; an installed package cannot replace one of rnnbench's own."""
    return {**_installed(), **probes.entries()}


def get(name: str) -> Probe:
    """Return the probe of that name; InputError names the nearest one if there is none."""
    return registry.lookup("probe", name, entries())
