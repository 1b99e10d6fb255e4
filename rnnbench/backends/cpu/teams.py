"""How a layer's work is split over threads, and the pool they run in.

Rows of the batch need nothing of each other: threads with rows of their own never meet inside the time loop. Where
there are few rows, or where the recurrent weights overflow a core's own cache, threads share all rows and split the
units instead: each reads its own columns of W_hh alone, and they meet once a step.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import pairwise

from rnnbench.backends.cpu.forward import Part
from rnnbench.backends.cpu.layout import Layout
from rnnbench.backends.threads import thread_count

MINIMUM_WORK = 10 << 20
"""Multiply-adds a thread must have before a second one pays for being woken."""
MINIMUM_STEP_WORK = 1 << 13
"""Multiply-adds of a step that a member of a team must have before meeting once a step pays."""
CACHED_WEIGHTS_BYTES = 1 << 18
"""Of W_hh that a core's own cache holds beside what else a step touches."""

Team = list[Part]


def teams(layout: Layout, batch: int, work: int) -> list[Team]:
    """Return the teams of one call that has `work` multiply-adds in all; each team has rows of its own."""
    threads = max(1, min(thread_count(), work // MINIMUM_WORK))
    if threads == 1:
        return [[Part(0, batch, 0, layout.blocks, 0, 1)]]
    gates = layout.gates
    step_work = batch * gates * layout.hidden**2
    weights_bytes = gates * layout.hidden**2 * layout.dtype.itemsize
    pairs = layout.blocks // 2
    members = max(1, min(threads, pairs, step_work // MINIMUM_STEP_WORK))
    if members > 1 and (batch < 4 * threads or weights_bytes > CACHED_WEIGHTS_BYTES):
        starts = [2 * (pairs * k // members) for k in range(members)] + [layout.blocks]
        return [[Part(0, batch, first, end, member, members) for member, (first, end) in enumerate(pairwise(starts))]]
    threads = min(threads, batch)
    starts = [batch * k // threads for k in range(threads + 1)]
    return [[Part(first, end - first, 0, layout.blocks, 0, 1)] for first, end in pairwise(starts)]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="rnnbench")


_submitting = threading.Lock()


def _forget() -> None:
    """A forked process has the pool but none of its threads, and the lock but not who holds it."""
    global _submitting
    _submitting = threading.Lock()
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def run_together(runs: Sequence[Callable[[], None]], give_up: Callable[[], None]) -> None:
    """Call every function, the first in this thread, the others in the pool; compiled code releases the GIL.

    Members of a team wait for each other, so all must get a thread: one call's functions enter the pool together,
    and the pool has as many threads. `give_up` lets those go on that wait for one that failed or could not start.
    """
    if len(runs) == 1:
        runs[0]()
        return

    over = threading.Event()

    def guarded(run: Callable[[], None]) -> None:
        if over.is_set():  # a pool that could not start a thread keeps what it was given for the next one
            return
        try:
            run()
        except BaseException:
            give_up()
            raise

    pool, others = _pool(len(runs) - 1), []
    try:
        with _submitting:
            for run in runs[1:]:
                others.append(pool.submit(guarded, run))
        guarded(runs[0])
    except BaseException:
        give_up()
        raise
    finally:
        failures = _errors_of(others, give_up)
        over.set()
    for failure in failures:
        if failure is not None:
            raise failure


def _errors_of(others: Sequence[Future[None]], give_up: Callable[[], None]) -> list[BaseException | None]:
    """Return what each raised. All are waited for, interrupted or not: they write into memory that is used again."""
    errors: list[BaseException | None] = []
    interrupt = None
    for other in others:
        while True:
            try:
                errors.append(other.exception())
                break
            except BaseException as error:
                interrupt = error
                give_up()
    if interrupt is not None:
        raise interrupt
    return errors
