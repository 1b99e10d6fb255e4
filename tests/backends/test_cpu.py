"""The cpu backend against the reference backend and the oracle, at sizes that fill no vector, tile or chunk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from oracles import equations
from oracles.problems import (
    CELLS,
    flat_gradients,
    flat_trace,
    largest_error,
    layer_for,
    problem,
    relative_error,
    run,
)

from rnnbench import backends, cells
from rnnbench.backends.cpu import passes
from rnnbench.backends.cpu.layout import Layout
from rnnbench.backends.threads import use_threads
from rnnbench.errors import InputError


@dataclass(frozen=True)
class Sizes:
    steps: int
    batch: int
    inputs: int
    hidden: int
    lengths: bool = False

    def __str__(self) -> str:
        return f"T{self.steps}-B{self.batch}-I{self.inputs}-H{self.hidden}" + "-lengths" * self.lengths


ONES = Sizes(1, 1, 1, 1)
ODD = Sizes(5, 3, 17, 11, lengths=True)
SMALL = [ONES, Sizes(2, 1, 17, 1), Sizes(1, 2, 1, 9), ODD]
LARGE = [
    Sizes(7, 13, 5, 16),
    Sizes(3, 29, 33, 8, lengths=True),
    Sizes(17, 7, 3, 67, lengths=True),
    Sizes(150, 9, 7, 35),  # more than one chunk of steps
]
SIZES = [*SMALL, *(pytest.param(sizes, marks=pytest.mark.compiled) for sizes in LARGE)]
TOLERANCES = {"float64": (1e-12, 1e-12), "float32": (1e-5, 1e-4)}


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("cell", CELLS)
def test_agrees_with_the_reference(cell: str, dtype: str, sizes: Sizes) -> None:
    given = problem(cell, **vars(sizes))
    forward_tolerance, backward_tolerance = TOLERANCES[dtype]
    trace, gradients = run(layer_for(given, "cpu", dtype), given)
    expected_trace, expected_gradients = run(layer_for(given, "reference", dtype), given)
    assert largest_error(flat_trace(trace), flat_trace(expected_trace)) <= forward_tolerance
    found, expected = flat_gradients(gradients), flat_gradients(expected_gradients)
    assert largest_error(found, expected) <= backward_tolerance
    results = (*flat_trace(trace).values(), *found.values())
    assert {value.dtype for value in results} == {np.dtype(dtype)}


@pytest.mark.parametrize("cell", equations.STEPS)
def test_agrees_with_the_oracle(cell: str) -> None:
    given = problem(cell, steps=4, batch=2, inputs=2, hidden=3, lengths=True, seed=1)
    trace, gradients = run(layer_for(given, "cpu"), given)
    h, _ = equations.forward(given)
    assert relative_error(trace.h, h.real) <= 1e-12
    assert largest_error(flat_gradients(gradients), equations.gradients(given)) <= 1e-12


def test_the_large_sizes_go_through_several_chunks() -> None:
    layout = Layout(cells.get("lstm"), LARGE[-1].hidden, np.dtype("float64"))
    assert 1 < passes.chunk_steps(layout, LARGE[-1].steps, LARGE[-1].batch) < LARGE[-1].steps


@pytest.mark.parametrize("chunk", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_chunks_of_any_size_give_the_same_bits(cell: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sum over steps is taken in the order of the steps, wherever they are cut."""
    given = problem(cell, steps=5, batch=3, inputs=2, hidden=3, lengths=True)
    layer = layer_for(given, "cpu")
    whole_trace, whole = run(layer, given)
    monkeypatch.setattr(passes, "chunk_steps", lambda layout, steps, rows: chunk)
    trace, gradients = run(layer, given)
    assert largest_error(flat_trace(trace), flat_trace(whole_trace)) == 0
    assert largest_error(flat_gradients(gradients), flat_gradients(whole)) == 0


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.compiled)])
@pytest.mark.parametrize("hidden", [3, pytest.param(59, marks=pytest.mark.compiled)])
@pytest.mark.parametrize("cell", CELLS)
def test_wide_layers_are_packed_to_the_same_bits(
    cell: str, hidden: int, threads: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More units than are packed at once, in blocks that threads share, and fewer than one block."""
    given = problem(cell, steps=4, batch=3, inputs=2, hidden=hidden, lengths=True)
    layer = layer_for(given, "cpu", dtype)
    monkeypatch.setattr("rnnbench.backends.cpu.teams.MINIMUM_WORK", 1)
    monkeypatch.setattr("rnnbench.backends.cpu.teams.MINIMUM_STEP_WORK", 1)
    monkeypatch.setattr(passes, "chunk_steps", lambda layout, steps, rows: 3)
    with use_threads(threads):
        packs = []
        sizes_of = passes.backward_scratch
        monkeypatch.setattr(passes, "backward_scratch", lambda *given: packs.append(given[-1]) or sizes_of(*given))
        monkeypatch.setattr(passes, "PACKED_ROW_BYTES", 1 << 30)
        _, plain = run(layer, given)
        assert not any(packs)
        packs.clear()
        monkeypatch.setattr(passes, "PACKED_ROW_BYTES", 0)
        _, packed = run(layer, given)
        assert packs
        assert all(packs)
    assert largest_error(flat_gradients(packed), flat_gradients(plain)) == 0


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("cell", CELLS)
def test_what_nobody_reads_can_be_left_out(cell: str, backend: str) -> None:
    given = problem(cell, steps=4, batch=2, inputs=5, hidden=3, lengths=True)
    layer = layer_for(given, backend)
    trace, whole = run(layer, given)
    some = layer.backward(trace, given.d_h, given.d_state, state_sequence=False, input_gradient=False)
    assert some.x is None
    assert some.state_sequence is None
    kept = {name: value for name, value in flat_gradients(whole).items() if name.startswith(("params", "state."))}
    assert largest_error(flat_gradients(some), kept) == 0


@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before"])
def test_backward_can_be_run_again(cell: str) -> None:
    given = problem(cell, steps=4, batch=2, inputs=5, hidden=3)
    layer = layer_for(given, "cpu")
    trace, first = run(layer, given)
    again = layer.backward(trace, given.d_h, given.d_state)
    assert largest_error(flat_gradients(again), flat_gradients(first)) == 0


def test_parameters_of_two_dtypes_are_refused() -> None:
    layer = layer_for(problem("rnn", 1, 1, 1, 1), "cpu", "float32")
    layer.params["W_hh"] = layer.params["W_hh"].astype("float64")
    with pytest.raises(InputError, match="parameters are float32, float64; the cpu backend takes all float32 or all"):
        layer.forward(np.zeros((1, 1, 1)))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("cell", CELLS)
def test_describe_says_what_would_run(cell: str, dtype: str) -> None:
    with use_threads(2):
        short = backends.get("cpu").describe(cells.get(cell), 11, 5, np.dtype(dtype))
        wide = backends.get("cpu").describe(cells.get(cell), 512, 1, np.dtype(dtype))
    with use_threads(1):
        alone = backends.get("cpu").describe(cells.get(cell), 11, 5, np.dtype(dtype))
    for text, batch, split in ((short, 5, " by sequences"), (wide, 1, " by units"), (alone, 5, "sequence(s)")):
        assert text.startswith(f"cpu: {cell} in {dtype}, ")
        assert f"up to {1 if text is alone else 2} thread(s) sharing {batch} sequence(s)" in text
        assert text.endswith(split)
        assert "\n" not in text
