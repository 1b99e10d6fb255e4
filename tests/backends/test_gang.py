"""Threads at hand: each function runs once, errors and interrupts lose nobody, and sleepers wake."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from rnnbench.backends.cpu import gang
from rnnbench.backends.cpu.gang import Awaited, Worker, run_together

PATIENCE_S = 60.0


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker that ends with the test."""
    made = Worker()
    yield made
    made.dismiss()
    assert not made.thread.is_alive()


class TestRunTogether:
    def test_each_function_runs_once_and_all_at_the_same_time(self) -> None:
        barrier = threading.Barrier(3, timeout=PATIENCE_S)
        ran = []

        def run(name: int) -> None:
            barrier.wait()  # passes if all three are here
            ran.append((name, threading.get_ident()))

        for _ in range(5):
            ran.clear()
            run_together([lambda name=name: run(name) for name in range(3)], give_up=pytest.fail)
            assert sorted(name for name, _ in ran) == [0, 1, 2]
            assert dict(ran)[0] == threading.get_ident()
            assert len(set(dict(ran).values())) == 3

    def test_one_function_needs_no_other_thread(self) -> None:
        ran = []
        run_together([lambda: ran.append(threading.get_ident())], give_up=pytest.fail)
        assert ran == [threading.get_ident()]

    @pytest.mark.parametrize("failing", [0, 1, 2])
    def test_an_error_is_raised_once_the_others_have_ended(self, failing: int) -> None:
        ended = []

        def run(name: int) -> None:
            if name == failing:
                raise MemoryError(f"no room for {name}")
            time.sleep(0.1)
            ended.append(name)

        with pytest.raises(MemoryError, match=f"no room for {failing}"):
            run_together([lambda name=name: run(name) for name in range(3)], give_up=lambda: None)
        assert sorted(ended) == sorted({0, 1, 2} - {failing})

    @pytest.mark.parametrize("failing", [0, 1, 2])
    def test_who_waits_for_a_function_that_failed_is_let_go(self, failing: int) -> None:
        """Members of a team wait for each other at the first step, where one that failed before never comes."""
        given_up = threading.Event()
        let_go = []

        def run(name: int) -> None:
            if name == failing:
                raise MemoryError("no room")
            let_go.append(given_up.wait(5))

        with pytest.raises(MemoryError):
            run_together([lambda name=name: run(name) for name in range(3)], give_up=given_up.set)
        assert let_go == [True, True]

    def test_threads_serve_one_call_after_the_other(self) -> None:
        names = []
        run = lambda: names.append(threading.get_ident())  # noqa: E731
        for _ in range(20):
            run_together([run, run], give_up=pytest.fail)
        assert len(names) == 40
        assert len(set(names)) == 2

    def test_a_call_inside_another_has_threads_of_its_own(self) -> None:
        ran = []
        inner = [lambda: ran.append("inner")] * 2
        run_together([lambda: run_together(inner, pytest.fail)] * 2, give_up=pytest.fail)
        assert ran == ["inner"] * 4

    def test_a_thread_that_cannot_be_started_fails_the_call_before_any_work(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made, ran = [], []

        class Full(Worker):
            def __init__(self) -> None:
                if made:
                    raise RuntimeError("can't start new thread")
                super().__init__()
                made.append(self)

        monkeypatch.setattr(gang, "_idle", {})
        monkeypatch.setattr(gang, "Worker", Full)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            run_together([lambda: ran.append(1)] * 3, give_up=pytest.fail)
        assert ran == []
        assert not made[0].thread.is_alive()


def test_a_worker_wakes_after_it_has_gone_to_sleep(worker: Worker) -> None:
    ran = []
    for k in range(3):
        end = time.monotonic() + PATIENCE_S
        while not worker.given.asleep and time.monotonic() < end:
            time.sleep(0.001)
        assert worker.given.asleep
        worker.start(lambda k=k: ran.append(k))
        assert worker.wait() is None
    assert ran == [0, 1, 2]


def test_whoever_waits_long_sleeps_until_the_end(worker: Worker) -> None:
    slept = []

    def run() -> None:
        end = time.monotonic() + PATIENCE_S
        while not worker.done.asleep and time.monotonic() < end:
            time.sleep(0.001)
        slept.append(worker.done.asleep)

    worker.start(run)
    assert worker.wait() is None
    assert slept == [True]
    assert not worker.done.asleep


def test_a_worker_hands_over_what_was_raised_and_goes_on(worker: Worker) -> None:
    def fail() -> None:
        raise MemoryError("no room")

    worker.start(fail)
    assert str(worker.wait()) == "no room"
    worker.start(lambda: None)
    assert worker.wait() is None


def test_a_worker_whose_start_was_interrupted_before_the_bell_is_woken_by_the_wait(worker: Worker) -> None:
    ran = []
    end = time.monotonic() + PATIENCE_S
    while not worker.given.asleep and time.monotonic() < end:
        time.sleep(0.001)
    worker.function = lambda: ran.append(True)
    worker.given.counter[gang.PLACE] += 1
    assert worker.wait() is None
    assert ran == [True]


def test_a_worker_that_an_interrupt_kept_from_starting_is_not_waited_for(worker: Worker) -> None:
    worker.function = pytest.fail
    assert worker.wait() is None


def test_an_interrupt_while_waiting_is_raised_once_all_have_ended() -> None:
    """Whoever still runs writes into memory that the next call uses."""
    asked, given_up = [], []

    class Late:
        def wait(self) -> None:
            asked.append(self)
            if len(asked) < 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gang._errors_of([Late(), Late()], lambda: given_up.append(True))
    assert len(asked) == 4
    assert len(given_up) == 2


def test_a_number_that_was_raised_before_is_not_waited_for() -> None:
    awaited = Awaited()
    awaited.raise_by_one()
    awaited.wait_for(1)
    assert not awaited.asleep


def test_threads_at_hand_do_not_keep_the_process_from_ending() -> None:
    script = (
        "from rnnbench.backends.cpu.gang import run_together\n"
        "for _ in range(3): run_together([lambda: None] * 3, give_up=lambda: None)\n"
        "import threading; assert threading.active_count() == 3\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stderr) == (0, "")
