"""The worker processes of this machine: Ctrl-C kept from them, and how they ended."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any

from rnnbench.errors import InputError

MAIN_GUARD = 'a script must call rnnbench.run under `if __name__ == "__main__":`, for its workers import it too'


def refuse_to_nest() -> None:
    """Raise InputError in a worker process that is importing the script which started it."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InputError(MAIN_GUARD)


def kill_process(dask_worker: Any) -> None:
    """Kill the worker process of the nanny that this runs in."""
    if dask_worker.pid is not None:
        os.kill(dask_worker.pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)


def end_process() -> None:
    """Kill the process that this runs in."""
    os.kill(os.getpid(), signal.SIGTERM if os.name == "nt" else signal.SIGKILL)


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while threads and processes start.

    They inherit the hold for good: a terminal sends Ctrl-C to every process of its group, and only the driver
    is to act on it.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started later, by a thread that holds Ctrl-C back, it would end that
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def death_notices() -> Iterator[list[tuple[float, str]]]:
    """Collect when and how workers of this machine ended; Dask says so in its log and nowhere else."""
    handler = _NoticeHandler(logging.INFO)
    logger = logging.getLogger("distributed.nanny")
    before = logger.level, logger.propagate, logger.handlers
    logger.setLevel(logging.INFO)
    logger.propagate, logger.handlers = False, [handler]
    try:
        yield handler.notices
    finally:
        logger.setLevel(before[0])
        logger.propagate, logger.handlers = before[1], before[2]


class _NoticeHandler(logging.Handler):
    """Keeps (time, sentence) for each log record that tells how a worker process ended."""

    pattern = re.compile(r"worker process \d+ (was killed by signal|exited with status) (\d+)", re.IGNORECASE)

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.notices: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if found := self.pattern.search(record.getMessage()):
            how, number = found[1], int(found[2])
            name = f" ({signal.Signals(number).name})" if "signal" in how and number in set(signal.Signals) else ""
            self.notices.append((record.created, f"the worker process {how} {number}{name}"))
