from __future__ import annotations

import os
import subprocess
import sys

import pytest
from threadpoolctl import threadpool_info

from rnnbench.backends.threads import available_cores, thread_count, use_threads
from rnnbench.errors import InputError


def test_all_cores_are_used_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RNNBENCH_THREADS", raising=False)
    assert thread_count() == available_cores() >= 1
    if hasattr(os, "sched_getaffinity"):
        assert available_cores() == len(os.sched_getaffinity(0))


def test_the_environment_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNBENCH_THREADS", "3")
    assert thread_count() == 3


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_an_environment_that_makes_no_sense(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNBENCH_THREADS", text)
    with pytest.raises(InputError, match=rf"RNNBENCH_THREADS is '{text}'; expected a whole number >= 1"):
        thread_count()


def test_a_block_has_its_own_count_and_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNBENCH_THREADS", "3")
    with use_threads(2):
        assert thread_count() == 2
        with use_threads(1):
            assert thread_count() == 1
            assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} <= {1}
        assert thread_count() == 2
    assert thread_count() == 3


def test_a_block_that_fails_gives_it_back() -> None:
    before = thread_count()
    with pytest.raises(ZeroDivisionError), use_threads(before + 1):
        _ = 1 / 0
    assert thread_count() == before


def test_no_threads_are_refused() -> None:
    with pytest.raises(InputError, match="threads is 0; expected a whole number >= 1"), use_threads(0):
        pass


FORK = """
import importlib, multiprocessing, sys, threading
import numpy as np
from rnnbench.backends.threads import use_threads
from rnnbench.layer import Layer

teams = importlib.import_module("rnnbench.backends.cpu.teams")
teams.MINIMUM_WORK = teams.MINIMUM_STEP_WORK = 1
layer, x = Layer("rnn", 2, int(sys.argv[1])), np.ones((2, int(sys.argv[2]), 2))

def run(_=None):
    trace = layer.forward(x)
    return layer.backward(trace, trace.h).params["W_hh"]

with use_threads(2):
    expected = run()
    assert threading.active_count() > 1
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.map_async(run, [0]).get(timeout=40)
    assert np.array_equal(found[0], expected)
"""


@pytest.mark.parametrize(("hidden", "batch"), [(3, 4), (150, 1)], ids=["sequences", "units"])
def test_a_forked_process_does_not_wait_for_threads_it_does_not_have(hidden: int, batch: int) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    done = subprocess.run([sys.executable, "-c", FORK, str(hidden), str(batch)], check=False, timeout=60)
    assert done.returncode == 0


FORK_WHILE_TAKING = """
import os, signal
from rnnbench.backends.cpu import gang

with gang._lock:
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        gang.run_together([lambda: None, lambda: None], give_up=lambda: None)
        os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_process_forked_while_another_thread_takes_a_gang_does_not_wait_for_it() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    done = subprocess.run([sys.executable, "-c", FORK_WHILE_TAKING], check=False, timeout=60)
    assert done.returncode == 0
