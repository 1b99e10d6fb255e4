"""What networks are asked to do: one file per task, with its data, its metric and its trivial baseline.

Tasks of a user's own are registered: by `register`, by a file that a sweep names, or by an installed package,

    [project.entry-points."rnnbench.tasks"]
    my_task = "my_package.my_module:MyTask"
"""

from __future__ import annotations

from functools import cache

from rnnbench import registry
from rnnbench.errors import InputError
from rnnbench.tasks._check import check
from rnnbench.tasks.base import Task

GROUP = "rnnbench.tasks"

_registered: dict[str, type[Task]] = {}


@cache
def shipped() -> dict[str, type[Task]]:
    """Return rnnbench's own task classes by name."""
    return registry.subclasses(__name__, Task)


@cache
def _installed() -> dict[str, type[Task]]:
    """Return the tasks of other packages; InputError for one that is none, or does not do what a task does."""
    found = {}
    for where, kind in registry.installed(GROUP).items():
        if not (isinstance(kind, type) and issubclass(kind, Task)):
            raise InputError(f"{where}: expected a subclass of {Task.__name__}")
        check(kind)
        found[kind.name] = kind
    return found


def entries() -> dict[str, type[Task]]:
    """Return every task class by name; none can take the place of one of rnnbench's own."""
    return {**_installed(), **_registered, **shipped()}


def register(kind: type[Task]) -> type[Task]:
    """Make a task known by its name in this process, and return it; one registered before under the name gives way.

    Raises InputError, which names the task, for a name that rnnbench has, and for a task whose batches, scores or
    baseline are not what a task's are: see `rnnbench.tasks._check`.
    """
    if getattr(kind, "name", None) in shipped():
        raise InputError(f"task '{kind.name}': rnnbench has a task of that name; expected another")
    check(kind)
    _registered[kind.name] = kind
    return kind


def get(name: str) -> type[Task]:
    """Return the task class of that name; InputError names the nearest one if there is none."""
    return registry.lookup("task", name, entries())
