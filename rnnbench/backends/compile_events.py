"""When Numba compiles: how often and for how long, as its own events tell.

What Numba loads from its cache on disk is not compiled and broadcasts no event, and with NUMBA_DISABLE_JIT nothing is.
"""

from __future__ import annotations

import threading
import time
from typing import Any


class Compilations:
    """Counts, in a `with` block, what Numba compiles in this process, in whatever thread.

    count      compilations asked for; the functions that one needs compiled on its way are part of it
    seconds    wall time during which at least one was going on

    Numba is imported by entering the block, not before.
    """

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self._under_way = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Compilations:
        from numba.core import event

        owner = self

        class Listener(event.Listener):
            def on_start(self, event: Any) -> None:
                owner._begin()

            def on_end(self, event: Any) -> None:
                owner._end()

        self._listener = Listener()
        event.register("numba:compile", self._listener)
        return self

    def __exit__(self, *exception: object) -> None:
        from numba.core import event

        event.unregister("numba:compile", self._listener)

    def _begin(self) -> None:
        with self._lock:
            if self._under_way == 0:
                self.count += 1
                self._started = time.perf_counter()
            self._under_way += 1

    def _end(self) -> None:
        with self._lock:
            self._under_way -= 1
            if self._under_way == 0:
                self.seconds += time.perf_counter() - self._started
