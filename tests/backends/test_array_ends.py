"""Nothing beyond the end of an array is read: every array ends where memory that may not be touched begins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from oracles.problems import CELLS

TESTS = Path(__file__).parents[1]
PROGRAM = """
import ctypes, mmap, sys
import numpy as np
from oracles.problems import flat_gradients, largest_error, layer_for, problem, run

libc = ctypes.CDLL(None, use_errno=True)
kept = []

def at_the_end(array):
    array = np.ascontiguousarray(array, np.float32)
    pages = -(-array.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, pages + mmap.PAGESIZE)
    kept.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if libc.mprotect(ctypes.c_void_p(start + pages), ctypes.c_size_t(mmap.PAGESIZE), 0) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")
    end = np.frombuffer(memory, np.float32, array.size, pages - array.nbytes).reshape(array.shape)
    end[...] = array
    return end

cell = sys.argv[1]
if cell == "touch":
    array = at_the_end(np.ones(5))
    print(ctypes.string_at(array.ctypes.data, array.nbytes + 1))
for hidden, inputs in (19, 5), (3, 1), (33, 17):
    given = problem(cell, steps=3, batch=3, inputs=inputs, hidden=hidden, lengths=hidden == 19)
    layer = layer_for(given, "cpu", "float32")
    _, expected = run(layer, given)
    given.x, given.d_h = at_the_end(given.x), at_the_end(given.d_h)
    layer.params = {name: at_the_end(value) for name, value in layer.params.items()}
    _, found = run(layer, given)
    assert largest_error(flat_gradients(found), flat_gradients(expected)) == 0
print("right")
"""

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(os.name == "nt", reason="pages are protected by mprotect, which Windows does not have"),
]


def run_program(cell: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, cell], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("cell", CELLS)
def test_arrays_are_read_to_their_end_and_no_further(cell: str) -> None:
    done = run_program(cell)
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr


def test_reading_further_would_end_the_process() -> None:
    assert run_program("touch").returncode < 0
