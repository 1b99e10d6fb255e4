"""Copies of Python functions in which names stand for something else, and what tells two functions apart.

A backend takes a cell's functions as data: it needs all that they call, and compiles copies that call its own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from functools import cache
from types import CellType, FunctionType, ModuleType
from typing import Any

import numpy as np


def outside_names(function: FunctionType) -> dict[str, Any]:
    """Return what a function's code can name from outside: its globals, and its closure's variables."""
    names = {name: function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return names | {name: cell.cell_contents for name, cell in cells}


def called_functions(function: FunctionType) -> list[tuple[str, FunctionType]]:
    """Return the plain Python functions that a function's code names."""
    return [(name, value) for name, value in outside_names(function).items() if isinstance(value, FunctionType)]


def with_names(function: FunctionType, names: Mapping[str, Any], tag: str) -> FunctionType:
    """Return a copy of a function for which the given names, global or of its closure, stand for other values."""
    code = function.__code__
    old = zip(code.co_freevars, function.__closure__ or (), strict=True)
    closure = tuple(CellType(names[name]) if name in names else cell for name, cell in old)
    replaced = {**function.__globals__, **names}
    copy = FunctionType(code, replaced, function.__name__, function.__defaults__, closure)
    copy.__qualname__ = f"{function.__qualname__}.{tag}"
    copy.__module__ = function.__module__
    return copy


@cache
def source_tag(*functions: Callable | None) -> str:
    """Return 12 hex digits over the code of a cell's functions, and of all that they call and name, in any file."""
    digest = hashlib.sha256()
    for function in functions:
        _hash_code(function, digest.update, set())
    return digest.hexdigest()[:12]


def _hash_code(value: Any, update: Callable[[bytes], None], seen: set[int]) -> None:
    """Feed a function's bytecode and constants to `update`, then all that it names; of other values, what they are.

    A value that cannot be told apart from another by what is known of it counts as new in every process.
    """
    value = getattr(value, "py_func", value)
    if isinstance(value, np.ndarray | np.generic):
        update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
    elif isinstance(value, str | bytes | int | float | complex | tuple | None):
        update(repr(value).encode())
    elif not isinstance(value, FunctionType):  # types and functions in C go by their names
        named = callable(value) and hasattr(value, "__name__")
        update(f"{getattr(value, '__module__', '')}.{value.__name__}".encode() if named else os.urandom(16))
    elif id(value) not in seen:
        seen.add(id(value))
        code = value.__code__
        update(repr((value.__qualname__, code.co_code, code.co_names, code.co_consts, value.__defaults__)).encode())
        for name, outside in sorted(outside_names(value).items()):
            update(name.encode())
            attributes = code.co_names if isinstance(outside, ModuleType) else ()
            for attribute in attributes:
                if hasattr(outside, attribute):
                    _hash_code(getattr(outside, attribute), update, seen)
            if not attributes:
                _hash_code(outside, update, seen)
