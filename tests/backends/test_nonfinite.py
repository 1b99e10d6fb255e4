"""NaN and infinity go where the equations take them, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracles.equations import Problem
from oracles.problems import CELLS, flat_gradients, flat_trace, largest_error, layer_for, problem, run

from rnnbench.backends.base import Gradients, Trace
from rnnbench.backends.cpu import arrays, passes
from rnnbench.layer import Layer

SIZES = {"steps": 5, "batch": 4, "inputs": 3, "hidden": 9}
BACKENDS = ["reference", "cpu"]

pytestmark = [
    pytest.mark.parametrize("backend", BACKENDS),
    pytest.mark.parametrize("cell", CELLS),
    pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning"),
]


def fill_padding(given: Problem, value: float) -> Problem:
    padding = np.arange(len(given.x))[:, None] >= given.lengths
    assert padding.any()
    x, d_h = given.x.copy(), given.d_h.copy()
    x[padding], d_h[padding] = value, value
    return Problem(given.cell, given.params, x, given.state, given.lengths, d_h, given.d_state)


def test_nan_reaches_its_own_sequence_from_its_step_on(cell: str, backend: str) -> None:
    given = problem(cell, **SIZES)
    layer = layer_for(given, backend)
    clean = layer.forward(given.x, given.state)
    given.x[2, 1, 0] = np.nan
    trace = layer.forward(given.x, given.state)
    poisoned = np.zeros(trace.h.shape, bool)
    poisoned[2:, 1] = True
    np.testing.assert_array_equal(np.isnan(trace.h), poisoned)
    np.testing.assert_array_equal(trace.h[~poisoned], clean.h[~poisoned])
    assert np.isnan(trace.state["h"][1]).all()


def test_a_nan_state_stays_in_its_sequence(cell: str, backend: str) -> None:
    for name in problem(cell, **SIZES).state:
        given = problem(cell, **SIZES)
        given.state[name][1, 2] = np.nan
        h = layer_for(given, backend).forward(given.x, given.state).h
        assert np.isnan(h[:, 1]).any()
        assert np.isfinite(np.delete(h, 1, axis=1)).all()


def test_a_nan_gradient_stays_in_its_sequence(cell: str, backend: str) -> None:
    given = problem(cell, **SIZES)
    given.d_h[2, 1, 0] = np.nan
    _, gradients = run(layer_for(given, backend), given)
    assert np.isnan(gradients.x[:3, 1]).any(axis=1).all()
    assert np.isfinite(gradients.x[3:, 1]).all()
    assert np.isfinite(np.delete(gradients.x, 1, axis=1)).all()


def test_h_is_zero_past_the_end_of_a_sequence_of_nan(cell: str, backend: str) -> None:
    given = problem(cell, **SIZES, lengths=True)
    given.x[:] = np.nan
    h = layer_for(given, backend).forward(given.x, given.state, given.lengths).h
    running = np.arange(SIZES["steps"])[:, None] < given.lengths
    assert np.isnan(h[running]).all()
    assert not h[~running].any()


@pytest.mark.parametrize("content", [1e30, np.inf, np.nan])
def test_forward_never_reads_padding(cell: str, backend: str, content: float) -> None:
    given = problem(cell, **SIZES, lengths=True)
    dirty = fill_padding(given, content)
    layer = layer_for(given, backend)
    found = flat_trace(layer.forward(dirty.x, dirty.state, dirty.lengths))
    assert largest_error(found, flat_trace(layer.forward(given.x, given.state, given.lengths))) == 0


@pytest.mark.parametrize("content", [1e30, np.inf, np.nan])
def test_backward_never_reads_padding(cell: str, backend: str, content: float) -> None:
    given = problem(cell, **SIZES, lengths=True)
    layer = layer_for(given, backend)
    _, found = run(layer, fill_padding(given, content))
    _, expected = run(layer, given)
    assert largest_error(flat_gradients(found), flat_gradients(expected)) <= 1e-14


@pytest.mark.parametrize("content", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", ["x", "W_xh", "W_hh", "b_h"])
def test_forward_takes_infinity_and_nan_where_the_reference_does(
    cell: str, backend: str, place: str, content: float
) -> None:
    given = problem(cell, **SIZES, lengths=True)
    target = {"x": given.x, **given.params}[place]
    target[(1, given.lengths.argmax(), 0) if place == "x" else (0,) * target.ndim] = content
    found, expected = (
        flat_trace(layer_for(given, name).forward(given.x, given.state, given.lengths))
        for name in (backend, "reference")
    )
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("every", [None, 2])
@pytest.mark.parametrize("packs", [False, True])
def test_memory_that_was_never_written_is_never_read(
    cell: str, backend: str, packs: bool, every: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = problem(cell, **SIZES, lengths=True)
    layer = layer_for(given, backend)
    monkeypatch.setattr(passes, "PACKED_ROW_BYTES", 0 if packs else 1 << 30)

    def run(layer: Layer, given: Problem) -> tuple[Trace, Gradients]:
        trace = layer.forward(given.x, given.state, given.lengths, checkpoint_every=every)
        return trace, layer.backward(trace, given.d_h, given.d_state)

    expected_trace, expected = run(layer, given)
    plain = np.empty

    def poisoned(*arguments: Any, **options: Any) -> np.ndarray:
        array = plain(*arguments, **options)
        if array.dtype.kind == "f":
            array.fill(np.nan)
        return array

    monkeypatch.setattr(np, "empty", poisoned)
    monkeypatch.setattr(arrays, "_kept", arrays._Kept())  # what threads keep is asked for once more
    trace, gradients = run(layer, given)
    monkeypatch.undo()
    assert largest_error(flat_trace(trace), flat_trace(expected_trace)) == 0
    assert largest_error(flat_gradients(gradients), flat_gradients(expected)) == 0
