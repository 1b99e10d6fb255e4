"""What must hold for any sizes and numbers, found by Hypothesis, on each backend and for each cell."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.equations import Arrays, Problem
from oracles.problems import CELLS, flat_gradients, flat_trace, largest_error, layer_for, problem, relative_error, run

LARGEST = 4 if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0") else 19
SAME_STEPS = {"reference": 1e-13, "cpu": 0.0}
"""On the cpu backend no number depends on how many steps are run at once; BLAS takes that liberty."""
SAME_BATCH = 1e-13
"""Sums are taken in another order where fewer sequences are run at once: rounding errors, a few units of 1e-16."""
SAME_BACKWARD = 1e-12

pytestmark = [pytest.mark.parametrize("backend", SAME_STEPS), pytest.mark.parametrize("cell", CELLS)]


def sizes(steps: int = 1) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "steps": st.integers(steps, 6),
            "batch": st.integers(1, 5),
            "inputs": st.integers(1, 5),
            "hidden": st.integers(1, LARGEST),
            "seed": st.integers(0, 2**32 - 1),
        }
    )


def with_lengths(given: Problem, data: st.DataObject) -> Problem:
    steps, batch, _ = given.x.shape
    return replace(given, lengths=np.array(data.draw(st.lists(st.integers(1, steps), min_size=batch, max_size=batch))))


def select(given: Problem, sequences: Any, steps: slice = slice(None)) -> Problem:
    """Return the problem of some sequences and some steps."""
    return replace(
        given,
        x=given.x[steps, sequences],
        state={name: value[sequences] for name, value in given.state.items()},
        lengths=None if given.lengths is None else given.lengths[sequences],
        d_h=given.d_h[steps, sequences],
        d_state={name: value[sequences] for name, value in given.d_state.items()},
    )


def along_batch(arrays: Arrays, sequences: Any) -> Arrays:
    """Return the sequences of every array: the second axis but for (B, H) states."""
    return {name: value[sequences] if value.ndim == 2 else value[:, sequences] for name, value in arrays.items()}


def split_params(arrays: Arrays) -> tuple[Arrays, Arrays]:
    """Return the gradients by the parameters, and the others, which belong to one sequence each."""
    params = {name: value for name, value in arrays.items() if name.startswith("params")}
    return params, {name: value for name, value in arrays.items() if name not in params}


@given(sizes=sizes(), data=st.data())
def test_the_order_of_sequences_does_not_matter(
    backend: str, cell: str, sizes: dict[str, Any], data: st.DataObject
) -> None:
    given = with_lengths(problem(cell, **sizes), data)
    order = np.array(data.draw(st.permutations(range(sizes["batch"]))))
    layer = layer_for(given, backend)
    trace, gradients = run(layer, given)
    other_trace, other_gradients = run(layer, select(given, order))
    assert largest_error(flat_trace(other_trace), along_batch(flat_trace(trace), order)) <= SAME_BATCH
    params, rest = split_params(flat_gradients(gradients))
    other_params, other_rest = split_params(flat_gradients(other_gradients))
    assert largest_error(other_params, params) <= SAME_BACKWARD
    assert largest_error(other_rest, along_batch(rest, order)) <= SAME_BACKWARD


@given(sizes=sizes(steps=2), data=st.data())
def test_no_step_sees_a_later_one(backend: str, cell: str, sizes: dict[str, Any], data: st.DataObject) -> None:
    given = problem(cell, **sizes)
    steps = data.draw(st.integers(1, sizes["steps"] - 1))
    layer = layer_for(given, backend)
    whole = layer.forward(given.x, given.state)
    prefix = layer.forward(given.x[:steps], given.state)
    assert relative_error(prefix.h, whole.h[:steps]) <= SAME_STEPS[backend]


@given(sizes=sizes(), data=st.data())
def test_a_padded_batch_equals_each_sequence_alone(
    backend: str, cell: str, sizes: dict[str, Any], data: st.DataObject
) -> None:
    given = with_lengths(problem(cell, **sizes), data)
    layer = layer_for(given, backend)
    trace, gradients = run(layer, given)
    params, rest = split_params(flat_gradients(gradients))
    total = {name: np.zeros_like(value) for name, value in params.items()}
    for b, length in enumerate(given.lengths):
        alone = replace(select(given, [b], slice(length)), lengths=None)
        alone_trace, alone_gradients = run(layer, alone)
        assert not trace.h[length:, b].any()
        found = {"h": trace.h[:length, [b]], **along_batch({f"state.{k}": v for k, v in trace.state.items()}, [b])}
        assert largest_error(found, flat_trace(alone_trace)) <= SAME_BATCH
        alone_params, alone_rest = split_params(flat_gradients(alone_gradients))
        cut = {name: value if value.ndim == 2 else value[:length] for name, value in along_batch(rest, [b]).items()}
        assert largest_error(cut, alone_rest) <= SAME_BACKWARD
        assert not gradients.x[length:, b].any()
        total = {name: total[name] + value for name, value in alone_params.items()}
    assert largest_error(params, total) <= SAME_BACKWARD


@given(sizes=sizes(), data=st.data())
def test_backward_is_linear(backend: str, cell: str, sizes: dict[str, Any], data: st.DataObject) -> None:
    given = with_lengths(problem(cell, **sizes), data)
    other = problem(cell, **{**sizes, "seed": sizes["seed"] + 1})
    factor = data.draw(st.floats(-3, 3))
    layer = layer_for(given, backend)
    trace, first = run(layer, given)
    second = flat_gradients(layer.backward(trace, other.d_h, other.d_state))
    both = layer.backward(
        trace,
        given.d_h + factor * other.d_h,
        {name: value + factor * other.d_state[name] for name, value in given.d_state.items()},
    )
    expected = {name: value + factor * second[name] for name, value in flat_gradients(first).items()}
    scale = {name: 1 + np.abs(value).max() + np.abs(second[name]).max() for name, value in expected.items()}
    for name, value in flat_gradients(both).items():
        assert np.abs(value - expected[name]).max() <= SAME_BACKWARD * scale[name]


@given(sizes=sizes(steps=2), data=st.data())
def test_two_halves_make_a_whole(backend: str, cell: str, sizes: dict[str, Any], data: st.DataObject) -> None:
    given = problem(cell, **sizes)
    cut = data.draw(st.integers(1, sizes["steps"] - 1))
    layer = layer_for(given, backend)
    whole_trace, whole = run(layer, given)
    first = layer.forward(given.x[:cut], given.state)
    second = layer.forward(given.x[cut:], first.state)
    joined = {"h": np.concatenate([first.h, second.h]), **{f"state.{k}": v for k, v in second.state.items()}}
    assert largest_error(joined, flat_trace(whole_trace)) <= SAME_STEPS[backend]
    later = layer.backward(second, given.d_h[cut:], given.d_state)
    earlier = layer.backward(first, given.d_h[:cut], later.state)
    late, early = flat_gradients(later), flat_gradients(earlier)
    expected = flat_gradients(whole)
    for name, value in expected.items():
        if name.startswith("params"):
            found = early[name] + late[name]
        elif name.startswith("state."):
            found = early[name]
        else:
            found = np.concatenate([early[name], late[name]])
        assert relative_error(found, value) <= SAME_BACKWARD
