from __future__ import annotations

import os

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


def test_a_forked_process_does_not_wait_for_threads_it_does_not_have() -> None:
    import subprocess
    import sys

    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    program = (
        "import multiprocessing, numpy as np\n"
        "from rnnbench.backends import cpu\n"
        "def run(_=None):\n"
        "    done = []\n"
        "    cpu.over_batch(lambda first, rows: done.append(rows), 4, 10**9)\n"
        "    return sum(done)\n"
        "from rnnbench.backends.threads import use_threads\n"
        "with use_threads(2):\n"
        "    assert run() == 4\n"
        "    with multiprocessing.get_context('fork').Pool(1) as pool:\n"
        "        assert pool.map_async(run, [0]).get(timeout=20) == [4]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
