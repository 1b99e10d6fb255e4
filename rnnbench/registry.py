"""Packages that discover their modules: a new file is a new entry."""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from types import ModuleType
from typing import TypeVar

from rnnbench.errors import InputError, unknown_name

T = TypeVar("T")


def modules(package: str) -> list[ModuleType]:
    """Import and return every public module of a package, in name order; `base` and `_private` are left out."""
    paths = importlib.import_module(package).__path__
    names = sorted(info.name for info in pkgutil.iter_modules(paths))
    return [importlib.import_module(f"{package}.{n}") for n in names if n != "base" and not n.startswith("_")]


def instances(package: str, kind: type[T]) -> dict[str, T]:
    """Return {object.name: object} for every instance of `kind` at the top level of the package's modules."""
    found = [value for module in modules(package) for value in vars(module).values() if isinstance(value, kind)]
    return {value.name: value for value in found}  # type: ignore[attr-defined]


def subclasses(package: str, kind: type[T]) -> dict[str, type[T]]:
    """Return {class.name: class} for every subclass of `kind` defined in the package's modules."""
    return {
        value.name: value  # type: ignore[attr-defined]
        for module in modules(package)
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, kind)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
    }


def installed(group: str) -> dict[str, object]:
    """Return what installed packages add through an entry point group, by where it says so; InputError if it fails."""
    found = {}
    for entry in entry_points(group=group):
        where = f"entry point {entry.name} = {entry.value}"
        try:
            found[where] = entry.load()
        except Exception as error:
            raise InputError(f"{where}: {type(error).__name__}: {error}") from error
    return found


def lookup(kind: str, name: str, entries: dict[str, T]) -> T:
    """Return entries[name], or raise InputError that names the nearest known entry."""
    if not isinstance(name, str):
        raise InputError(f"{kind} is {name!r}; expected a name: {', '.join(sorted(entries))}")
    if name not in entries:
        raise unknown_name(kind, name, entries)
    return entries[name]
