"""Whether what a call is about to allocate can be had: asked before any work is done."""

from __future__ import annotations

import math
from pathlib import Path

import psutil

from rnnbench.errors import InputError

SMALL_BYTES = 1 << 28
"""Below this nobody is asked: the question takes longer than a small layer."""
CGROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Where Linux says what a container may use, what it uses, and what of that are pages of files, given up on demand:
control groups of version 2, and of version 1."""


def check_memory(needed_bytes: int, what: str) -> None:
    """Raise InputError where `what` needs more memory than there is; systems promise more than they have."""
    if needed_bytes <= SMALL_BYTES:
        return
    available = min(psutil.virtual_memory().available, container_bytes())
    if needed_bytes > available:
        needed, free = (f"{size / 2**30:,.1f} GiB" for size in (needed_bytes, available))
        raise InputError(f"{what} needs {needed} of memory; {free} are free")


def container_bytes() -> float:
    """Return what is left of the memory that this process's container may use; infinity where there is no limit."""
    left = math.inf
    for folder, limit_file, used_file, files in CGROUPS:
        try:
            limit, used, details = ((folder / name).read_text() for name in (limit_file, used_file, "memory.stat"))
        except OSError:
            continue
        if limit.strip().isdecimal():
            given_up = dict(line.split() for line in details.splitlines()).get(files, "0")
            left = min(left, int(limit) - int(used) + int(given_up))
    return max(0, left)
