"""Compile functions for one cell and dtype, and keep the machine code between runs, never stale.

Numba's cache sees an edit in the file of the function that it compiles, but not in the files of the functions
called from there. So compiled code is kept in a folder named by a hash of everything under rnnbench/ that can
be compiled, of the compiler's version, of the CPU and of the options that change the code: an edit anywhere
leads to another folder, and the second start of any command compiles nothing.

A driver such as the time loop is written once, with the cell's functions and sizes as global names.
`specialise` compiles a copy of it in which those names stand for one cell's; a closure would do the same, but
its cache key would hold the addresses of compiled functions and never match again.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import llvmlite
import numba
from numba.core import config
from platformdirs import user_cache_path

from rnnbench.backends.fingerprint import kernel_source_hash
from rnnbench.backends.functions import called_functions, with_names
from rnnbench.errors import InputError

_kernels: list[Any] = []
_cache_folder_lock = threading.Lock()


def cache_folder() -> Path:
    """Return the folder of compiled code: below RNNBENCH_CACHE_DIR, NUMBA_CACHE_DIR or the user's cache folder."""
    chosen = os.environ.get("RNNBENCH_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR")
    root = Path(chosen) if chosen else user_cache_path("rnnbench")
    parts = (
        kernel_source_hash(),
        numba.__version__,
        llvmlite.__version__,
        config.CPU_NAME or llvmlite.binding.get_host_cpu_name(),
        str(config.CPU_FEATURES),
        os.environ.get("RNNBENCH_VECTOR_BYTES", ""),
    )
    return root / "kernels" / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def writable_cache_folder() -> Path:
    """Return the cache folder once it is there, or a temporary one where it cannot be made.

    Numba would turn to the folder of the source instead, where nothing tells one compilation from another.
    InputError if the folder that cannot be written was chosen by RNNBENCH_CACHE_DIR.
    """
    return _prepared(cache_folder())


@cache
def _prepared(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        if os.environ.get("RNNBENCH_CACHE_DIR"):
            raise InputError(
                f"environment variable RNNBENCH_CACHE_DIR is {os.environ['RNNBENCH_CACHE_DIR']!r}; "
                f"expected a folder that can be written ({error.strerror})"
            ) from None
        temporary = tempfile.mkdtemp(prefix="rnnbench-")
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return Path(temporary)


@contextmanager
def _numba_cache_in(folder: Path) -> Iterator[None]:
    """Numba reads its cache folder from a global setting while a cache is set up: borrow it, then give it back."""
    with _cache_folder_lock:
        before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
        try:
            yield
        finally:
            config.CACHE_DIR = before


def kernel(function: Callable) -> Any:
    """Compile a function that Python calls: it releases the GIL, and its machine code is kept on disk."""
    dispatcher = numba.njit(error_model="numpy", nogil=True, no_cfunc_wrapper=True)(function)
    if not config.DISABLE_JIT:
        with _numba_cache_in(writable_cache_folder()):
            dispatcher.enable_caching()
        _kernels.append(dispatcher)
    return dispatcher


def linked(function: Callable) -> Any:
    """Compile a function that kernels call; LLVM decides whether to inline it."""
    return numba.njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def inlined(function: Callable) -> Any:
    """Mark a function that only kernels call: Numba copies it into them, so that vectors stay in registers.

    Copied before types are inferred, it costs less compile time than a function of its own.
    """
    return numba.njit(error_model="numpy", inline="always")(function)


def specialise(function: Callable, names: Mapping[str, Any], tag: str, decorate: Callable[[Any], Any] = kernel) -> Any:
    """Compile a copy of `function` in which the global `names` stand for the given values.

    Plain functions of the same module that it calls are specialised alike, and inlined. The tag must differ
    wherever the names do: compiled code is filed under it.
    """
    assert isinstance(function, FunctionType)
    helpers = {
        name: specialise(called, names, tag, decorate=inlined)
        for name, called in called_functions(function)
        if name not in names and called.__module__ == function.__module__
    }
    return decorate(with_names(function, {**helpers, **names}, tag))


def compile_element(function: Callable, replacements: Mapping[Any, Any], tag: str) -> Any:
    """Compile a cell's function, and every plain Python function that it calls, for inlining into kernels.

    `replacements` maps functions of rnnbench.arithmetic to the target's implementations.
    """
    assert isinstance(function, FunctionType)
    names = {
        name: replacements.get(called) or compile_element(called, replacements, tag)
        for name, called in called_functions(function)
    }
    return inlined(with_names(function, names, tag))


def cache_statistics() -> dict[str, int]:
    """Return how many kernels of this process were compiled, and how many were loaded from disk."""
    return {
        "compiled": sum(sum(dispatcher.stats.cache_misses.values()) for dispatcher in _kernels),
        "loaded": sum(sum(dispatcher.stats.cache_hits.values()) for dispatcher in _kernels),
    }
