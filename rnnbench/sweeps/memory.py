"""The peak memory of one trial in a process that runs many."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class PeakMemory:
    """Peak resident memory in a `with` block, as `peak_bytes`; None if it cannot be known.

    Linux forgets the old peak when 5 is written to /proc/self/clear_refs, and VmHWM is then the block's own.
    Elsewhere the peak since the process began is the block's if it rose within; if not, nothing can be said.
    Where processes of its own had a part in the block, the memory of this one says nothing, and none is told.
    The interpreter and its libraries, some 100 MB, are part of it: subtract a null trial's for a probe's own.
    """

    peak_bytes: int | None = None

    def __enter__(self) -> PeakMemory:
        self._resets = _reset_peak()
        self._before, self._children_s = _process_peak(), _children_seconds()
        return self

    def __exit__(self, *exception: object) -> None:
        if _children_seconds() > self._children_s:
            return
        if self._resets:
            self.peak_bytes = _high_water_mark()
        elif (peak := _process_peak()) > self._before:
            self.peak_bytes = peak


def _reset_peak() -> bool:
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _high_water_mark() -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _children_seconds() -> float:
    """Return the CPU time of all child processes that have ended; 0 where the system keeps no account."""
    times = os.times()
    return times.children_user + times.children_system


def _process_peak() -> int:
    """Return the largest resident memory since the process began, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
