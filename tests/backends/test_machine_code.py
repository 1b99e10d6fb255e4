"""What the compiler made of a kernel, and the same kernels at every vector width."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnbench.backends.cpu import passes
from rnnbench.backends.cpu.target import VECTOR_BYTES, Target, vector_bytes
from rnnbench.errors import InputError
from rnnbench.layer import Layer

TESTS = Path(__file__).parents[1]
LIBRARY_FUNCTION = re.compile(r"\b_*(?:exp|exp2|expm1|tanh|log|pow)f?\b|\b_*svml_\w+|_ZGV\w+")


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The forward loop of an LSTM in float32, compiled anew: code that comes from the cache cannot be inspected."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip(f"knows the instructions of x86-64; this is {platform.machine()}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNBENCH_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        fresh = passes.kernels.__wrapped__(Layer("lstm", 1, 1).cell, np.dtype("float32"))
        patch.setattr(passes, "kernels", lambda cell, dtype: fresh)
        Layer("lstm", 1, 1).forward(np.zeros((1, 1, 1)))
    [text] = fresh.run_forward.inspect_asm().values()
    return text


def count(instruction: str, assembly: str) -> int:
    return len(re.findall(rf"^\s+{instruction}\b", assembly, re.MULTILINE))


@pytest.mark.compiled
def test_gates_are_computed_on_whole_vectors(assembly: str) -> None:
    """Five nonlinearities are five divisions at least, and none of them is of a single number."""
    assert count(r"v?divps", assembly) >= 5
    assert count(r"v?divss", assembly) == 0
    assert count(r"v?mulps", assembly) + count(r"vfn?m(add|sub)\d+ps", assembly) > 50


@pytest.mark.compiled
def test_nothing_is_computed_in_double_precision(assembly: str) -> None:
    assert count(r"v?(add|sub|mul|div|cvtss2)[sp]d", assembly) == 0
    assert count(r"vfn?m(add|sub)\d+[sp]d", assembly) == 0


@pytest.mark.compiled
def test_no_library_function_is_called(assembly: str) -> None:
    assert not LIBRARY_FUNCTION.search(assembly)


@pytest.mark.parametrize("call", ["callq\texpf", "movabsq\t$tanh, %rax", "call __svml_tanhf8", "jmp _ZGVdN8v_expf"])
def test_library_functions_would_be_recognised(call: str) -> None:
    assert LIBRARY_FUNCTION.search(call)


PROGRAM = """
import importlib
from oracles.problems import flat_gradients, flat_trace, largest_error, layer_for, problem, run
from rnnbench.backends.cpu import passes
from rnnbench.backends.cpu.target import target
from rnnbench.backends.threads import use_threads
teams = importlib.import_module("rnnbench.backends.cpu.teams")
teams.MINIMUM_WORK = teams.MINIMUM_STEP_WORK = 1
for cell, dtype, forward, backward in (
    ("rnn", "float32", 1e-5, 1e-4), ("lstm", "float32", 1e-5, 1e-4), ("gru_reset_before", "float64", 1e-12, 1e-12)
):
    for threads, hidden, packed in (1, 19, 1 << 30), (2, 67, 0):
        passes.PACKED_ROW_BYTES = packed
        given = problem(cell, steps=4, batch=7, inputs=5, hidden=hidden, lengths=True)
        with use_threads(threads):
            trace, gradients = run(layer_for(given, "cpu", dtype), given)
        expected_trace, expected = run(layer_for(given, "reference"), given)
        assert largest_error(flat_trace(trace), flat_trace(expected_trace)) <= forward, (cell, dtype, hidden)
        assert largest_error(flat_gradients(gradients), flat_gradients(expected)) <= backward, (cell, dtype, hidden)
print(target("float32").lanes)
"""


@pytest.mark.compiled
@pytest.mark.parametrize("size", [size for size in VECTOR_BYTES if size != vector_bytes()])
def test_vectors_of_another_width_give_the_same(size: int) -> None:
    """LLVM splits vectors that are wider than the CPU's, so every width runs everywhere.

    These cells between them have panels of one, two, three and four gates, in both dtypes and blocks of one and of
    two vectors; once alone, once shared by two threads that pack what they multiply.
    """
    path = os.pathsep.join([str(TESTS), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "RNNBENCH_VECTOR_BYTES": str(size), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == size // 4


def test_a_width_that_no_cpu_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNBENCH_VECTOR_BYTES", "24")
    with pytest.raises(InputError, match=r"RNNBENCH_VECTOR_BYTES is '24'; expected \(16, 32, 64\)"):
        vector_bytes()


@pytest.mark.parametrize("registers", [16, 32])
@pytest.mark.parametrize("vectors", [None, *range(1, 13)])
def test_a_tile_fits_the_registers(registers: int, vectors: int | None) -> None:
    chosen = Target(lanes=8, registers=registers)
    width = chosen.panel_vectors(vectors)
    rows = chosen.tile_rows(width)
    assert rows * width + width + 1 <= registers
    assert vectors is None or vectors % width == 0
