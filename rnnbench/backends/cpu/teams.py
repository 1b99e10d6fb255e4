"""How a layer's work is split over threads; gang.py runs them.

Rows of the batch need nothing of each other: threads with rows of their own never meet inside the time loop. Where
there are few rows, or where the recurrent weights overflow a core's own cache, threads share all rows and split the
units instead: each reads its own columns of W_hh alone, and they meet once a step.
"""

from __future__ import annotations

from itertools import pairwise

from rnnbench.backends.cpu.forward import Part
from rnnbench.backends.cpu.layout import Layout
from rnnbench.backends.threads import thread_count

MINIMUM_WORK = 10 << 20
"""Multiply-adds a thread must have before a second one pays for being woken, which takes 0.1 to 0.2 ms."""
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
