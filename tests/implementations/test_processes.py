from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
from implementations.fakes import Deeds

from rnnbench.implementations.processes import THREAD_VARIABLES, ProcessError, Remote, first_cores
from rnnbench.implementations.worker import read_message, write_message


@pytest.fixture(scope="module")
def deeds() -> Iterator[Remote]:
    with Remote("deeds", 1, Deeds, "two", "words", environment={"MORE": "of it"}) as process:
        assert process.receive() is None
        yield process


def ended_within(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_arguments_and_results_go_over(deeds: Remote) -> None:
    assert deeds.ask("say") == ("two", "words")
    large = np.arange(1_000_000)  # more than a pipe holds
    np.testing.assert_array_equal(deeds.ask("echo", large), large)


def test_answers_come_in_the_order_of_the_questions(deeds: Remote) -> None:
    for number in range(3):
        deeds.send("echo", number)
    assert [deeds.receive() for _ in range(3)] == [0, 1, 2]
    for number in range(3):
        deeds.send("echo", number)
    assert deeds.ask("echo", 3) == 3
    assert deeds.finish() is None  # there is nothing left to wait for


def test_what_libraries_print_is_no_answer(deeds: Remote) -> None:
    assert deeds.ask("print_everywhere") == "nothing to read"
    assert deeds.ask("say") == ("two", "words")


def test_the_environment_limits_threads(deeds: Remote) -> None:
    assert set(deeds.ask("environment", *THREAD_VARIABLES)) == {"1"}
    assert deeds.ask("environment", "MORE") == ["of it"]
    paths = [path for path in dict.fromkeys(sys.path) if path]
    assert deeds.ask("path")[: len(paths)] == paths


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not tell cores of threads")
@pytest.mark.parametrize("threads", [1, 2])
def test_every_thread_keeps_to_the_first_cores(threads: int) -> None:
    if threads > len(os.sched_getaffinity(0)):
        pytest.skip(f"this machine has fewer than {threads} cores")
    with Remote("deeds", threads, Deeds) as process:
        found = process.ask("cores")
    expected = set(sorted(os.sched_getaffinity(0))[:threads])
    assert expected == set(first_cores(threads))
    assert len(found) > threads  # the main thread, the one that receives, and those of BLAS
    assert all(cores == expected for cores in found)


def test_an_exception_is_told_with_its_traceback(deeds: Remote) -> None:
    with pytest.raises(ProcessError, match=r"^deeds: ZeroDivisionError: division by zero") as caught:
        deeds.ask("divide", 1, 0)
    assert "return a / b" in caught.value.__notes__[0]
    with pytest.raises(MemoryError, match=r"^deeds: out of memory"):
        deeds.ask("exhaust")
    with pytest.raises(ProcessError, match=r"^deeds: AttributeError: 'Deeds' object has no attribute 'fly'"):
        deeds.ask("fly")
    assert deeds.ask("divide", 4, 2) == 2


def test_what_cannot_be_made_is_told() -> None:
    with (
        Remote("made", 1, int, "one") as process,
        pytest.raises(ProcessError, match=r"^made: ValueError: invalid literal"),
    ):
        process.receive()


def test_a_death_is_told_with_status_and_last_words() -> None:
    with Remote("deeds", 1, Deeds) as process:
        process.receive()
        with pytest.raises(
            ProcessError, match=r"^deeds: its process exited with status 7; its last words: last / words$"
        ):
            process.ask("exit", 7)
        with pytest.raises(ProcessError, match="status 7"):
            process.ask("say")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no signals")
def test_a_death_by_signal_is_told() -> None:
    with Remote("deeds", 1, Deeds) as process:
        process.receive()
        with pytest.raises(ProcessError, match=r"^deeds: its process was killed by SIGKILL$"):
            process.ask("kill")


def test_leaving_the_block_ends_a_process_at_work() -> None:
    start = time.monotonic()
    with Remote("deeds", 1, Deeds) as process:
        process.receive()
        process.send("sleep", 60)
    assert not psutil.pid_exists(process.pid)
    assert time.monotonic() - start < 30


STUCK = pytest.param("hold", marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills it"))


@pytest.mark.parametrize("busy", ["sleep", STUCK])
def test_a_process_does_not_outlive_one_that_is_killed(busy: str) -> None:
    """Not even where it lets none of its threads run."""
    program = (
        "from implementations.fakes import Deeds\n"
        "from rnnbench.implementations.processes import Remote\n"
        "process = Remote('deeds', 1, Deeds)\n"
        "process.receive()\n"
        f"process.send({busy!r}, 60)\n"
        "print(process.pid, flush=True)\n"
        "process.receive()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    driver = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert driver.stdout is not None
        pid = int(driver.stdout.readline())
        assert not ended_within(pid, 0.1)
    finally:
        driver.kill()
        driver.communicate()
    assert ended_within(pid, 10)


def test_a_message_is_whole_or_none() -> None:
    stream = io.BytesIO()
    write_message(stream, ["a", "message"])
    data = stream.getvalue()
    assert read_message(io.BytesIO(data))
    for length in (0, 3, len(data) - 1):
        with pytest.raises(EOFError):
            read_message(io.BytesIO(data[:length]))
