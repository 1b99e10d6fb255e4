"""Which source files decide what a trial measures: those that its probe and all that it names import.

A trial names cells, tasks, datasets, backends and implementations in its parameters. Each has a file of its own, found
by its package and imported by nobody, so that an edit of one cell's equations leaves the trials of the others as they
are. From these files and the probe's, imports are followed through the syntax of the source: nothing is run. Files of
sweeps/, report/ and regressions/ run trials and draw them, and decide no number in them; what stands under
`if TYPE_CHECKING:` is never imported.

A file of a user's own counts with its text, and so does a script that registers a cell or task; what is defined at a
prompt has no source to be read.

Besides its parameters, a trial uses what its files name in a constant, such as TASK = "adding", and every backend where
it names none. A dataset without a checksum counts with the fingerprint of the data that are installed.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

from rnnbench import registry
from rnnbench.datasets.base import MissingData
from rnnbench.probes.base import Probe
from rnnbench.sweeps import own_files

NOT_MEASURING = ("sweeps", "report", "regressions", "cli", "__main__")
"""What runs trials and draws them, but decides no number in them: packages and modules of rnnbench."""

KINDS = ("cells", "tasks", "datasets", "backends", "implementations")
"""Packages whose entries a trial can name."""

MAIN = {"__mp_main__": "__main__"}
"""What a script is called where a worker imports it, and where it runs: its cells are the same."""

NUMERICAL = ("numpy", "scipy", "numba", "llvmlite")
"""Packages whose version decides numbers and times, where a trial's source imports them."""


class Source(NamedTuple):
    """What the syntax of one module says."""

    modules: frozenset[str]
    """Modules of rnnbench, and of its own package, that it imports."""
    packages: frozenset[str]
    """Other packages that it imports."""
    constants: frozenset[str]
    """Texts that it gives a name, at its top level."""


def source_hash(probe: Probe, parameters: dict[str, Any]) -> str:
    """Return 16 hex digits over the names and texts of all files that decide what the trial measures."""
    return _hash(trial_modules(probe, parameters))


def numerical_packages(probe: Probe, parameters: dict[str, Any]) -> tuple[str, ...]:
    """Return those of NUMERICAL that the source of the trial imports, and those of the backend that it names."""
    backend = _entries("backends").get(str(parameters.get("backend")))
    return _numerical(trial_modules(probe, parameters)) + (backend.packages() if backend else ())


def trial_modules(probe: Probe, parameters: dict[str, Any]) -> frozenset[str]:
    """Return the names of all modules that decide what the trial measures."""
    return _trial_modules(type(probe), probe.Parameters, frozenset(_texts(parameters)), _registered())


@cache
def _trial_modules(
    probe: type, parameters: type, texts: frozenset[str], registered: tuple[tuple[str, str, int], ...]
) -> frozenset[str]:
    classes = {kind.__module__ for each in (probe, parameters) for kind in each.__mro__}
    own = {name for name in classes if _package(name) in _followed(probe.__module__) and _counts(name)}
    homes = _homes(registered)
    found: frozenset[str] = frozenset()
    named = {name for name in texts if name in homes}
    roots = frozenset(own).union(*(homes[name] for name in named))
    every_backend = () if named & set(_entries("backends")) else _entries("backends")
    while not roots <= found:  # a file that is added can name others in its constants
        found = _closure(roots)
        more = {text for module in found for text in source(module).constants if text in homes}
        if "rnnbench.backends" in found:
            more.update(every_backend)
        roots = found.union(*(homes[name] for name in more))
    return found


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _entries(kind: str) -> dict[str, Any]:
    entries: dict[str, Any] = importlib.import_module(f"rnnbench.{kind}").entries()
    return entries


def _registered() -> tuple[tuple[str, str, int], ...]:
    """Return (kind, name, identity) of everything that a trial can name now: another may take a name."""
    return tuple((kind, name, id(entry)) for kind in KINDS for name, entry in _entries(kind).items())


@cache
def _homes(registered: tuple[tuple[str, str, int], ...]) -> dict[str, frozenset[str]]:
    """Return {name: modules in which an entry of that name is defined}."""
    homes: dict[str, frozenset[str]] = {}
    for kind, name, _ in registered:
        defined = _definitions(f"rnnbench.{kind}", _entries(kind)[name])
        homes[name] = homes.get(name, frozenset()) | {MAIN.get(each, each) for each in defined if _counts(each)}
    return homes


def _definitions(package: str, entry: Any) -> Iterator[str]:
    """Yield the modules that define an entry: of its class, or of an object's functions and the file that names it."""
    kind = entry if isinstance(entry, type) else type(entry)
    if not kind.__module__.endswith(".base"):
        yield kind.__module__
        return
    yield from (value.__module__ for value in vars(entry).values() if isinstance(value, FunctionType))
    if own := own_files.home(entry):
        yield own
    for module in registry.modules(package):
        names = {name for name, value in vars(module).items() if value is entry}
        if names & _assigned(module.__name__):
            yield module.__name__


def _closure(roots: frozenset[str]) -> frozenset[str]:
    """Return the modules and all that they import, as far as they have source and measure."""
    found: set[str] = set()
    waiting = set(roots)
    while waiting:
        name = waiting.pop()
        if name not in found and _counts(name):
            found.add(name)
            waiting |= source(name).modules
    return frozenset(found)


def _counts(module: str) -> bool:
    """Whether a module has a source file, and may decide numbers."""
    package, _, rest = module.partition(".")
    runs_trials = package == "rnnbench" and rest.partition(".")[0] in NOT_MEASURING
    return not runs_trials and _text(module) is not None


def _package(module: str) -> str:
    return module.partition(".")[0]


def _followed(module: str) -> frozenset[str]:
    """Return the packages whose modules count as source of a trial: rnnbench, and that of another's probe or cell."""
    return frozenset(["rnnbench", _package(module)])


@cache
def source(module: str) -> Source:
    """Return what the source of a module imports and names."""
    tree = _syntax(module)
    followed = _followed(module)
    imported = set(_imports(tree, module))
    return Source(
        frozenset(name for name in imported if _package(name) in followed),
        frozenset(map(_package, imported)) - followed,
        frozenset(_constants(tree)),
    )


@cache
def _syntax(module: str) -> ast.Module:
    text = _text(module)
    assert text is not None
    return ast.parse(text, module)


def _text(module: str) -> bytes | None:
    """Return the source of a module: its file's, or that of a user's own file; None for what has none."""
    own = own_files.text(module)
    return _file_text(module) if own is None else own.encode()


@cache
def _file_text(module: str) -> bytes | None:
    path = _file(module)
    return None if path is None else path.read_bytes()


@cache
def _file(module: str) -> Path | None:
    """Return the source file of a module; None for what has none, or is not there."""
    loaded = getattr(sys.modules.get(module), "__spec__", None)
    try:
        spec = loaded or importlib.util.find_spec(module)
        origin = spec and spec.origin
    except (ImportError, ValueError):  # such as a script, which has a file all the same
        origin = getattr(sys.modules.get(module), "__file__", None)
    path = Path(origin).resolve() if origin else None
    return path if path and path.suffix == ".py" and path.is_file() else None


def _imports(tree: ast.AST, module: str) -> Iterator[str]:
    """Yield the full names of modules imported anywhere below, without those that only type checkers import."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from _imports(other, module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _imported_from(node, module)
        else:
            yield from _imports(node, module)


def _imported_from(node: ast.ImportFrom, module: str) -> Iterator[str]:
    """Yield what `from package import name` imports: the module package.name if there is one, else package."""
    package = node.module or ""
    if node.level:
        path = _file(module)
        is_package = path is not None and path.name == "__init__.py"
        parts = module.split(".")[: None if is_package and node.level == 1 else -node.level + is_package]
        package = ".".join([*parts, package]).rstrip(".")
    if _package(package) not in _followed(module):
        yield package
        return
    for alias in node.names:
        below = f"{package}.{alias.name}"
        yield package if _file(below) is None else below


def _constants(tree: ast.Module) -> Iterator[str]:
    assigned = (node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign))
    values = (value.value for value in assigned if isinstance(value, ast.Constant))
    yield from (value for value in values if isinstance(value, str))


def _assigned(module: str) -> set[str]:
    """Return the names that a module gives by assignment at its top level."""
    targets: list[ast.expr] = []
    for node in _syntax(module).body if _text(module) is not None else []:
        targets += node.targets if isinstance(node, ast.Assign) else []
        targets += [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


@cache
def _numerical(modules: frozenset[str]) -> tuple[str, ...]:
    imported = {package for module in modules for package in source(module).packages}
    return tuple(name for name in NUMERICAL if name in imported)


@cache
def _hash(modules: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for module in sorted(modules):
        text = _text(module)
        assert text is not None
        digest.update(module.encode() + b"\0" + text + b"\0")
    for name, dataset in sorted(_entries("datasets").items()):
        if dataset.sha256 is None and dataset.__module__ in modules:
            digest.update(f"{name} {_fingerprint(dataset)}\0".encode())
    return digest.hexdigest()[:16]


def _fingerprint(dataset: Any) -> str:
    """Return the fingerprint of the data in use; "" where they are missing, of which the trial will tell."""
    try:
        return str(dataset.fingerprint())
    except MissingData:
        return ""
