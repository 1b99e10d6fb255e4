"""Threads that meet: none goes on before all have come, and what one wrote before is there for the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rnnbench.backends.cpu.barrier import ABANDONED, meet, new_counter
from rnnbench.backends.cpu.compilation import kernel

PATIENCE_S = 30.0
"""After which a thread that should have come through counts as stuck."""
APART = 16
"""Numbers between the places that two threads write: neighbouring cache lines are neither's."""


def run_meet(counter, total):  # type: ignore[no-untyped-def]
    meet(counter, total)


def run_rounds(counter, places, member, members, first, rounds):  # type: ignore[no-untyped-def]
    """Write the round's number, meet, count the members whose number is another, meet again; return that count."""
    others = 0
    for r in range(first, first + rounds):
        places[member * APART] = r
        meet(counter, (2 * r - 1) * members)
        for m in range(members):
            if places[m * APART] != r:
                others += 1
        meet(counter, 2 * r * members)
    return others


meet_once = kernel(run_meet)
meet_often = kernel(run_rounds)


class Threads:
    """Runs functions in threads of their own; a thread that is stuck does not keep the process from ending."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def start(self, function: Callable, *arguments: object) -> threading.Event:
        """Return the event that is set when the function has returned."""
        done = threading.Event()
        run = lambda: (function(*arguments), done.set())  # noqa: E731
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()
        return done


@pytest.fixture
def counter() -> Iterator[np.ndarray]:
    """A counter whose waiting threads are let go in the end, whatever the test found."""
    made = new_counter()
    yield made
    made.fill(ABANDONED)


def test_a_counter_starts_at_zero_and_shares_its_cache_line_with_nobody() -> None:
    counter = new_counter()
    meet_once(counter, 1)  # alone: nobody to wait for
    [place] = np.flatnonzero(counter)
    assert counter[place] == 1
    line = 64 // counter.itemsize
    assert line <= place < counter.size - line


def test_nobody_goes_on_before_all_have_come(counter: np.ndarray) -> None:
    threads = Threads()
    first, second = (threads.start(meet_once, counter, 3) for _ in range(2))
    assert not first.wait(0.1)
    assert not second.wait(0.1)
    third = threads.start(meet_once, counter, 3)
    assert all(done.wait(PATIENCE_S) for done in (first, second, third))


@pytest.mark.parametrize("members", [2, 3, 4])
def test_what_was_written_before_is_seen_after(members: int, counter: np.ndarray) -> None:
    """At every meeting of many, with more threads than cores, too."""
    meet_often(new_counter(), np.zeros(APART), 0, 1, 1, 1)  # compiled before the others wait for it
    places, rounds = np.zeros(members * APART), 300
    found = []
    threads = Threads()
    done = [
        threads.start(lambda member=member: found.append(meet_often(counter, places, member, members, 1, rounds)))
        for member in range(members)
    ]
    assert all(event.wait(PATIENCE_S) for event in done)
    assert found == [0] * members
    assert counter.max() == 2 * rounds * members


def test_an_abandoned_counter_lets_everybody_pass(counter: np.ndarray) -> None:
    threads = Threads()
    waiting = [threads.start(meet_once, counter, 1000) for _ in range(2)]
    assert not any(event.wait(0.05) for event in waiting)
    counter.fill(ABANDONED)
    assert all(event.wait(PATIENCE_S) for event in waiting)
    late = threads.start(meet_often, counter, np.zeros(2 * APART), 1, 2, 1, 50)
    assert late.wait(PATIENCE_S)
