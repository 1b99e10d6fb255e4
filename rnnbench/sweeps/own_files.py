"""Files of a user's own that a sweep names: their cells and tasks, checked, and known by name where trials run.

    files = ["own_cell/minimal_gated_unit.py"]     # beside name and title; paths start from the sweep file's folder
    rnnbench run sweep.toml --code own_cell        # the command line allows the folder, or each file

A sweep is data: that it names a file runs nothing. Only files that the command line names as well are run, here and on
every worker. A file must stand alone, for its text is what travels: with trials to workers, which may be on other
machines, and into the folder of results. Each trial's key hashes the files whose names it uses.
"""

from __future__ import annotations

import hashlib
import linecache
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from rnnbench import cells, tasks
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError
from rnnbench.tasks.base import Task

FOLDER = "files"
"""Where the files lie in the folder of results."""


@dataclass(frozen=True)
class OwnFile:
    """The name and text of a file."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        """16 hex digits over the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def register(self) -> frozenset[str]:
        """Run the file, if this process has not yet, register what it has, and return the names of that.

        InputError for a file that fails, has no cell and no task, or has one that does not pass its check.
        """
        module = _run(self)
        own_cells = [value for value in vars(module).values() if isinstance(value, Cell) and _is_new(value)]
        own_tasks = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Task) and value.__module__ == module.__name__
        ]
        if not own_cells and not own_tasks:
            raise InputError(f"{self.name}: it has no Cell and no subclass of Task at its top level")
        try:
            for cell in own_cells:
                cells.register(cell)
                _homes[id(cell)] = module.__name__
            for kind in own_tasks:
                tasks.register(kind)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from error
        return frozenset([cell.name for cell in own_cells] + [kind.name for kind in own_tasks])


_texts: dict[str, str] = {}
_homes: dict[int, str] = {}


def text(module: str) -> str | None:
    """Return the text of a module that was made of a user's own file; None for every other."""
    return _texts.get(module)


def home(entry: object) -> str | None:
    """Return the module, made of a user's own file, that has registered this cell; None for any other entry."""
    return _homes.get(id(entry))  # of a cell that its module keeps, as `_run` keeps that


def _is_new(cell: Cell) -> bool:
    """Tell whether a cell is the file's own: one of rnnbench's that it imports is not."""
    return not any(cell is other for other in cells.shipped().values())


@cache
def _run(file: OwnFile) -> ModuleType:
    """Return the module that the text makes; once, so that the cells of a file are the same objects ever after."""
    module = ModuleType(f"rnnbench_own_{Path(file.name).stem}_{file.digest}")
    shown = f"<{file.name} {file.digest}>"
    linecache.cache[shown] = (len(file.text), None, file.text.splitlines(keepends=True), shown)
    sys.modules[module.__name__] = module  # where classes look for their module
    _texts[module.__name__] = file.text
    try:
        exec(compile(file.text, shown, "exec"), vars(module))
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error
    except Exception as error:
        line = getattr(error, "lineno", None) or _line(error, shown)
        raise InputError(f"{file.name}: line {line}: {type(error).__name__}: {error}") from error
    return module


def _line(error: Exception, shown: str) -> int | str:
    """Return the file's last line in a traceback."""
    line: int | str = "?"
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == shown:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def read(source: str, paths: Sequence[str], folder: Path, code: Iterable[str | Path]) -> tuple[OwnFile, ...]:
    """Return the files at paths below a folder, none of them run yet.

    source   the sweep that names them
    code     what may be run: the files themselves, or folders that they lie in, wherever links lead

    InputError for a file that may not be run, is not there or is not Python, for two of a name, and for code that has
    none of the files.
    """
    places = [folder / path for path in paths]
    _check_allowed(source, places, [Path(each) for each in code])
    found: dict[str, OwnFile] = {}
    for place in places:
        try:
            file = OwnFile(place.name, place.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise InputError(f"{place}: cannot be read: {reason}; expected a Python file") from None
        if place.suffix != ".py":
            raise InputError(f"{place}: expected a Python file, NAME.py")
        if found.setdefault(file.name, file) != file:
            raise InputError(f"{place}: another file of the sweep is called {file.name}; expected names that differ")
    return tuple(found.values())


def _check_allowed(source: str, places: Sequence[Path], code: Sequence[Path]) -> None:
    """Raise InputError for places that no code allows, and for code that allows none."""
    refused = [str(place) for place in places if not any(_is_within(place, each) for each in code)]
    if refused:
        options = " ".join(f"--code {shlex.quote(place)}" for place in refused)
        raise InputError(
            f"{source}: files would run {', '.join(refused)}. A sweep runs only what the command line names as well: "
            f"if you trust it, add {options}, or the folder"
        )
    for each in code:
        if not any(_is_within(place, each) for place in places):
            raise InputError(f"--code {each}: {source} names no file there; expected one of its files, or their folder")


def _is_within(place: Path, allowed: Path) -> bool:
    return place.resolve().is_relative_to(allowed.resolve())
