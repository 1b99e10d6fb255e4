"""How many threads compiled kernels may use in this process; BLAS is held to the same number."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from threadpoolctl import ThreadpoolController

from rnnbench.errors import InputError

_threads: ContextVar[int | None] = ContextVar("threads", default=None)


def available_cores() -> int:
    """Return the cores this process may run on (its affinity where the system tells, else all)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count() -> int:
    """Return the threads kernels use now: what `use_threads` set, else RNNBENCH_THREADS, else every core."""
    chosen = _threads.get()
    if chosen is not None:
        return chosen
    text = os.environ.get("RNNBENCH_THREADS", "")
    if not text:
        return available_cores()
    if not text.isdigit() or int(text) < 1:
        raise InputError(f"environment variable RNNBENCH_THREADS is {text!r}; expected a whole number >= 1")
    return int(text)


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """Return the BLAS and OpenMP libraries loaded now; looked for again, which takes milliseconds, after imports."""
    return ThreadpoolController()


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Within the block, kernels and BLAS use `count` threads."""
    if count < 1:
        raise InputError(f"threads is {count}; expected a whole number >= 1")
    token = _threads.set(count)
    try:
        with _libraries(len(sys.modules)).limit(limits=count):
            yield
    finally:
        _threads.reset(token)
