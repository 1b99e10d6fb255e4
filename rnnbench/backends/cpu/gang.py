"""Threads that are at hand: each looks out for the next function for a while before it goes to sleep.

To wake a thread that sleeps takes a tenth of a millisecond and more, as long as many a layer; a recurrent network
calls one layer after the other. A gang serves one call at a time; calls at the same time have gangs of their own.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Sequence
from functools import partial

from rnnbench.backends.cpu.barrier import PLACE, count_of, new_counter, watch
from rnnbench.backends.cpu.compilation import kernel

LOOKS = 1 << 14
"""At a counter before a thread goes to sleep: a third of a millisecond or so."""

watching = kernel(watch)


class Awaited:
    """A number that one thread raises and one other waits for: spinning for a while, then asleep."""

    def __init__(self) -> None:
        self.counter = new_counter()
        self.asleep = False
        self.alarm = threading.Semaphore(0)

    def raise_by_one(self) -> None:
        """Let the other thread go on."""
        self.counter[PLACE] += 1
        self.ring()

    def ring(self) -> None:
        """Wake the other thread if it sleeps; it looks at the number itself."""
        if self.asleep:
            self.alarm.release()

    def wait_for(self, total: int) -> None:
        """Return once the number has reached `total`."""
        if watching(self.counter, total, LOOKS):
            return
        self.asleep = True  # before the last look: whoever raises the number after that look rings
        try:
            while count_of(self.counter) < total:
                self.alarm.acquire()
        finally:
            self.asleep = False


class Worker:
    """A thread that runs one function after the other."""

    def __init__(self) -> None:
        self.given, self.done = Awaited(), Awaited()
        self.function: Callable[[], None] | None = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._serve, name="rnnbench", daemon=True)
        self.thread.start()

    def start(self, function: Callable[[], None]) -> None:
        """Hand a function over; `wait` must have returned for the one before."""
        self.function, self.error = function, None
        self.given.raise_by_one()

    def wait(self) -> BaseException | None:
        """Return what the function raised, once it has ended."""
        self.given.ring()  # an interrupt may have come between the number and the bell
        self.done.wait_for(count_of(self.given.counter))
        error, self.error = self.error, None
        return error

    def dismiss(self) -> None:
        """End the thread, which must be idle."""
        self.function = None
        self.given.raise_by_one()
        self.thread.join()

    def _serve(self) -> None:
        turn = 1
        self.given.wait_for(turn)
        while self.function is not None:
            try:
                self.function()
            except BaseException as error:
                self.error = error
            self.function = None
            turn += 1
            self.done.raise_by_one()
            self.given.wait_for(turn)


Gang = list[Worker]
_idle: dict[int, list[Gang]] = {}
_lock = threading.Lock()


def _forget() -> None:
    """A forked process has the gangs but none of their threads, and the lock but not who holds it."""
    global _lock
    _lock = threading.Lock()
    _idle.clear()


@atexit.register
def _dismiss() -> None:
    """No thread looks on while the interpreter goes down."""
    with _lock:
        gangs = [gang for idle in _idle.values() for gang in idle]
        _idle.clear()
    for gang in gangs:
        for worker in gang:
            worker.dismiss()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def run_together(runs: Sequence[Callable[[], None]], give_up: Callable[[], None]) -> None:
    """Call every function, the first in this thread, the others in a gang's; compiled code releases the GIL.

    Members of a team wait for each other. `give_up` lets those go on that wait for one that failed. All are waited
    for, interrupted or not: they write into memory that the next call uses.
    """
    if len(runs) == 1:
        runs[0]()
        return

    def guarded(run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException:
            give_up()
            raise

    gang = _take(len(runs) - 1)
    started: Gang = []
    try:
        for worker, run in zip(gang, runs[1:], strict=True):
            started.append(worker)  # before it starts: one that an interrupt kept from it has nothing to be waited for
            worker.start(partial(guarded, run))
        guarded(runs[0])
    except BaseException:
        give_up()
        raise
    finally:
        errors = _errors_of(started, give_up)
        _give_back(gang)
    for error in errors:
        if error is not None:
            raise error


def _take(size: int) -> Gang:
    with _lock:
        idle = _idle.setdefault(size, [])
        if idle:
            return idle.pop()
    gang: Gang = []
    try:
        while len(gang) < size:
            gang.append(Worker())
    except BaseException:
        for worker in gang:
            worker.dismiss()
        raise
    return gang


def _give_back(gang: Gang) -> None:
    with _lock:
        _idle.setdefault(len(gang), []).append(gang)


def _errors_of(started: Gang, give_up: Callable[[], None]) -> list[BaseException | None]:
    """Return what each raised, once all have ended; an interrupt meanwhile is raised after that."""
    errors: list[BaseException | None] = []
    interrupt = None
    for worker in started:
        while True:
            try:
                errors.append(worker.wait())
                break
            except BaseException as error:
                interrupt = error
                give_up()
    if interrupt is not None:
        raise interrupt
    return errors
