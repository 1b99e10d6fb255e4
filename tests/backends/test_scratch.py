"""Memory for kernels: where arrays start, and what a thread keeps between calls."""

from __future__ import annotations

import importlib
import threading

import numpy as np
import pytest
from oracles.problems import CELLS, flat_gradients, flat_trace, layer_for, problem, run

from rnnbench.backends.cpu import arrays
from rnnbench.backends.cpu.arrays import LINE_BYTES, aligned, cut, scratch
from rnnbench.backends.threads import use_threads
from rnnbench.layer import Layer

DTYPES = [np.dtype("float32"), np.dtype("float64")]


@pytest.fixture(autouse=True)
def fresh_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "_kept", arrays._Kept())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("make", [aligned, lambda dtype, *counts: pieces_of_scratch(dtype, *counts)])
def test_pieces_start_at_cache_lines_and_do_not_overlap(make: object, dtype: np.dtype) -> None:
    for counts in ((1,), (0, 3), (17, 16, 0, 15, 1000)):
        pieces = make(dtype, *counts)
        assert [piece.shape for piece in pieces] == [(count,) for count in counts]
        for number, piece in enumerate(pieces):
            assert piece.dtype == dtype
            assert piece.ctypes.data % LINE_BYTES == 0
            piece.fill(number)
        assert all((piece == number).all() for number, piece in enumerate(pieces))


def pieces_of_scratch(dtype: np.dtype, *counts: int) -> list[np.ndarray]:
    """Return the pieces that `cut` finds in scratch."""
    size, starts = cut(dtype, *counts)
    memory = scratch("test", dtype, size)
    return [memory[start : start + count] for start, count in zip(starts, counts, strict=True)]


def test_a_thread_gets_the_same_memory_again_for_the_same_purpose_alone() -> None:
    first = scratch("one", DTYPES[0], 1000)
    again = scratch("one", DTYPES[0], 500)
    assert again.ctypes.data == first.ctypes.data
    others = [scratch("two", DTYPES[0], 1000), scratch("one", DTYPES[1], 1000)]
    thread = threading.Thread(target=lambda: others.append(scratch("one", DTYPES[0], 1000)))
    thread.start()
    thread.join()
    assert len(others) == 3
    assert not any(np.shares_memory(first, other) for other in others)


def test_memory_grows_where_more_is_asked_for() -> None:
    small = scratch("one", DTYPES[0], 10)
    large = scratch("one", DTYPES[0], 100_000)
    assert large.size >= 100_000
    assert not np.shares_memory(small, large)
    assert scratch("one", DTYPES[0], 100_000).ctypes.data == large.ctypes.data


def test_what_is_very_large_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "KEPT_BYTES", 1 << 12)
    first, second = (scratch("one", DTYPES[0], 5000) for _ in range(2))
    assert not np.shares_memory(first, second)


@pytest.mark.parametrize("cell", CELLS)
def test_results_are_not_touched_by_the_next_call(cell: str) -> None:
    sizes = {"steps": 4, "batch": 3, "inputs": 2, "hidden": 8}
    given, other = (problem(cell, **sizes, lengths=True, seed=seed) for seed in (1, 2))
    layer = layer_for(given, "cpu")
    trace, gradients = run(layer, given)
    found = flat_trace(trace) | flat_gradients(gradients)
    before = {name: value.copy() for name, value in found.items()}
    run(layer, other)
    layer.backward(trace, other.d_h, other.d_state)
    for name, value in found.items():
        np.testing.assert_array_equal(value, before[name])


def test_threads_keep_no_more_for_batches_of_many_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("rnnbench.backends.cpu.teams")
    monkeypatch.setattr(module, "MINIMUM_WORK", 1)
    layer = Layer("rnn", 2, 3)

    def blocks(batch: int) -> int:
        """Return how many pieces of memory this thread keeps after a batch of that size."""
        with use_threads(2):
            trace = layer.forward(np.ones((2, batch, 2)))
            layer.backward(trace, trace.h)
        return len(arrays._kept.blocks)

    first = blocks(40)
    assert [blocks(batch) for batch in range(4, 40)] == [first] * 36
