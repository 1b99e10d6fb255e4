from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import numba
import pytest

from rnnbench.backends.compile_events import Compilations


@pytest.mark.compiled
def test_a_compilation_is_counted_once_with_all_that_it_needs() -> None:
    @numba.njit
    def inner(x: object) -> object:
        return x + 1  # type: ignore[operator]

    @numba.njit
    def outer(x: object) -> object:
        return inner(x) * 2

    start = time.perf_counter()
    with Compilations() as compilations:
        assert outer(1) == 4
        elapsed = time.perf_counter() - start
        assert compilations.count == 1
        assert 0 < compilations.seconds <= elapsed
        before = compilations.seconds
        outer(2)
        assert (compilations.count, compilations.seconds) == (1, before)
        outer(1.5)  # of another type
        assert compilations.count == 2
        assert compilations.seconds > before
    outer(1j)  # nobody listens any more
    assert compilations.count == 2


@pytest.mark.compiled
def test_threads_that_compile_at_once_are_counted_and_their_time_once() -> None:
    functions = [numba.njit(lambda x, k=k: x * k + k) for k in range(3)]
    start = time.perf_counter()
    with Compilations() as compilations:
        threads = [threading.Thread(target=function, args=(1,)) for function in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert 1 <= compilations.count <= 3
    assert 0 < compilations.seconds <= time.perf_counter() - start


PROGRAM = """
import numba
from rnnbench.backends.compile_events import Compilations

@numba.njit(cache=True)
def triple(x):
    return 3 * x

with Compilations() as compilations:
    triple(1)
print(compilations.count, compilations.seconds > 0)
"""


@pytest.mark.compiled
def test_what_comes_from_the_disk_is_not_compiled(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    first, second = (
        subprocess.run([sys.executable, program], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    )
    assert first == ["1", "True"]
    assert second == ["0", "False"]


def test_numba_is_not_imported_before_somebody_listens() -> None:
    program = "import sys, rnnbench.backends.compile_events; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
