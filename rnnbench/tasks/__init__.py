"""What networks are asked to do: one file per task, with its data, its metric and its trivial baseline."""

from __future__ import annotations

from functools import cache

from rnnbench import registry
from rnnbench.tasks.base import Task


@cache
def entries() -> dict[str, type[Task]]:
    """Return every task class by name."""
    return registry.subclasses(__name__, Task)


def get(name: str) -> type[Task]:
    """Return the task class of that name; InputError names the nearest one if there is none."""
    return registry.lookup("task", name, entries())
