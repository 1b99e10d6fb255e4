"""Whether what a call is about to allocate can be had: asked before any work is done."""

from __future__ import annotations

import psutil

from rnnbench.errors import InputError

SMALL_BYTES = 1 << 28
"""Below this nobody is asked: the question takes longer than a small layer."""


def check_memory(needed_bytes: int, what: str) -> None:
    """Raise InputError where `what` needs more memory than there is; systems promise more than they have."""
    if needed_bytes <= SMALL_BYTES:
        return
    available = psutil.virtual_memory().available
    if needed_bytes > available:
        needed, free = (f"{size / 2**30:,.1f} GiB" for size in (needed_bytes, available))
        raise InputError(f"{what} needs {needed} of memory; {free} are free")
