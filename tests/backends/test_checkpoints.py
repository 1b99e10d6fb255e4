"""Runs that keep nothing, or checkpoints alone: the same numbers to the last bit, in less memory.

Memory is what tracemalloc counts, to which NumPy reports its arrays.
"""

from __future__ import annotations

import gc
import importlib
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from oracles.problems import CELLS, flat_gradients, flat_trace, largest_error, layer_for, problem

from rnnbench import cells
from rnnbench.backends.cpu import arrays
from rnnbench.backends.cpu.layout import Layout
from rnnbench.backends.cpu.teams import teams
from rnnbench.backends.threads import use_threads
from rnnbench.errors import InputError
from rnnbench.layer import Layer

module = importlib.import_module("rnnbench.backends.cpu.teams")
STEPS = 9
EVERY = [1, 2, 3, 7, STEPS, STEPS + 4]
SHARING = {"one thread": (1, 3, 1, [1]), "sequences": (2, 5, 1, [1, 1]), "units": (2, 2, 4, [2])}
"""Threads, batch, blocks of units, and members of each team: what two threads share."""
SAVED_STATES = {"rnn": 1, "rnn_relu": 1, "rnn_linear": 1, "lstm": 6, "gru": 5, "gru_reset_before": 4}
SAVED_STATES |= {"lstm_no_input": 5, "lstm_no_forget": 5, "lstm_no_output": 5}
"""Arrays (T, B, H) that training cannot do without: h and the other states, and the gates that backward needs."""

backend = pytest.mark.parametrize("backend", ["reference", "cpu"])


@pytest.fixture
def any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let threads share whatever they are given."""
    monkeypatch.setattr(module, "MINIMUM_WORK", 1)
    monkeypatch.setattr(module, "MINIMUM_STEP_WORK", 1)


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_checkpoints_change_no_bit(cell: str, dtype: str, sharing: str, any_work: None) -> None:
    threads, batch, blocks, members = SHARING[sharing]
    layout = Layout(cells.get(cell), blocks * Layout(cells.get(cell), 1, np.dtype(dtype)).units - 1, np.dtype(dtype))
    given = problem(cell, steps=STEPS, batch=batch, inputs=4, hidden=layout.hidden, lengths=True)
    layer = layer_for(given, "cpu", dtype)
    with use_threads(threads):
        assert [len(team) for team in teams(layout, batch, 1 << 50)] == members
        trace = layer.forward(given.x, given.state, given.lengths)
        expected = flat_gradients(layer.backward(trace, given.d_h, given.d_state))
        for every in EVERY:
            sparse = layer.forward(given.x, given.state, given.lengths, checkpoint_every=every)
            for _ in range(2):  # backward leaves the trace as it was
                gradients = flat_gradients(layer.backward(sparse, given.d_h, given.d_state))
                assert gradients.keys() == expected.keys()
                for name, value in expected.items():
                    np.testing.assert_array_equal(gradients[name], value, f"{name}, every {every}")
            for name, value in flat_trace(trace).items():
                np.testing.assert_array_equal(flat_trace(sparse)[name], value, f"{name}, every {every}")


@pytest.mark.parametrize("cell", CELLS)
def test_backward_on_other_threads_leaves_the_trace_as_it_was(cell: str, any_work: None) -> None:
    """Stretches run again as they ran first: h, which the caller may hold, keeps its last bit."""
    given = problem(cell, steps=STEPS, batch=7, inputs=4, hidden=20)
    layer = layer_for(given, "cpu", "float32")
    with use_threads(1):
        trace = layer.forward(given.x, given.state, checkpoint_every=2)
    before = {name: value.copy() for name, value in flat_trace(trace).items()}
    with use_threads(2):
        layer.backward(trace, given.d_h, given.d_state)
    for name, value in flat_trace(trace).items():
        np.testing.assert_array_equal(value, before[name], name)


@pytest.mark.parametrize("cell", CELLS)
def test_checkpoints_serve_gradients_of_which_some_are_left_out(cell: str) -> None:
    given = problem(cell, steps=5, batch=2, inputs=4, hidden=3)
    layer = layer_for(given, "cpu")
    expected = flat_gradients(layer.backward(layer.forward(given.x), given.d_h))
    trace = layer.forward(given.x, checkpoint_every=2)
    found = flat_gradients(layer.backward(trace, given.d_h, state_sequence=False, input_gradient=False))
    assert "x" not in found
    assert largest_error(found, {name: expected[name] for name in found}) == 0


@backend
@pytest.mark.parametrize("cell", CELLS)
def test_the_reference_and_the_cpu_take_the_same_options(cell: str, backend: str) -> None:
    given = problem(cell, steps=5, batch=2, inputs=4, hidden=3, lengths=True)
    layer = layer_for(given, backend)
    traces = [layer.forward(given.x, given.state, given.lengths, checkpoint_every=every) for every in (None, 2)]
    expected, found = (flat_gradients(layer.backward(trace, given.d_h, given.d_state)) for trace in traces)
    assert largest_error(found, expected) == 0


@backend
@pytest.mark.parametrize("every", [0, -1, 1.5, "2"])
def test_a_distance_that_is_none_is_refused(every: Any, backend: str) -> None:
    layer = Layer("lstm", 1, 1, backend=backend)
    with pytest.raises(InputError, match=f"checkpoint_every is {every!r}; expected a whole number >= 1"):
        layer.forward(np.zeros((2, 1, 1)), checkpoint_every=every)


@backend
@pytest.mark.parametrize("cell", CELLS)
def test_inference_gives_the_same_bits_and_keeps_nothing(cell: str, backend: str) -> None:
    given = problem(cell, steps=STEPS, batch=3, inputs=4, hidden=11, lengths=True)
    layer = layer_for(given, backend)
    expected = layer.forward(given.x, given.state, given.lengths)
    for options in ({}, {"checkpoint_every": 2}):
        trace = layer.forward(given.x, given.state, given.lengths, store=False, **options)
        assert not trace.tape
        for name, value in flat_trace(expected).items():
            np.testing.assert_array_equal(flat_trace(trace)[name], value)


@backend
def test_inference_leaves_nothing_to_go_back_through(backend: str) -> None:
    layer = Layer("gru", 2, 3, backend=backend)
    trace = layer.forward(np.zeros((4, 1, 2)), store=False)
    with pytest.raises(InputError, match="store=False"):
        layer.backward(trace, np.zeros((4, 1, 3)))


@pytest.fixture
def fresh_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what threads keep between calls, so that a call counts what it needs."""
    monkeypatch.setattr(arrays, "_kept", arrays._Kept())


class Memory:
    """Bytes in use since the block was entered, and the most there were in it."""

    def __enter__(self) -> Memory:
        gc.collect()
        tracemalloc.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    @property
    def now(self) -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]


def trainer(layer: Layer, steps: int, batch: int, **options: Any) -> Callable[[], object]:
    """Return a function that runs forward and backward; what it is given is made here, and so is compiled code."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((steps, batch, layer.input_size)).astype(layer.dtype)
    d_h = rng.standard_normal((steps, batch, layer.hidden_size)).astype(layer.dtype)

    def train(steps: int = steps) -> object:
        trace = layer.forward(x[:steps], **options)
        return layer.backward(trace, d_h[:steps], state_sequence=False, input_gradient=False)

    train(2)
    return train


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", SAVED_STATES)
@pytest.mark.parametrize("hidden", [128, 100])
def test_training_takes_little_more_memory_than_it_must(
    hidden: int, cell: str, dtype: str, fresh_scratch: None
) -> None:
    """At a size where what does not grow with the sequences, packed weights and a chunk of steps, is little."""
    batch = 48
    layer = Layer(cell, hidden, hidden, dtype)
    step = SAVED_STATES[cell] * batch * hidden * layer.dtype.itemsize
    steps = 40_000_000 // step
    train = trainer(layer, steps, batch)
    with use_threads(2), Memory() as memory:
        train()
    parameters = sum(value.nbytes for value in layer.params.values())
    assert steps * step <= memory.most <= 1.2 * steps * step + parameters


@pytest.mark.compiled
@pytest.mark.parametrize("cell", SAVED_STATES)
def test_inference_takes_the_memory_of_what_it_returns(cell: str, fresh_scratch: None) -> None:
    steps, batch, hidden = 2000, 8, 64
    layer = Layer(cell, 4, hidden)
    x = np.ones((steps, batch, 4), np.float32)
    found = {}
    for store in (False, True):
        layer.forward(x, store=store)  # from here on scratch is there
        with Memory() as memory:
            trace = layer.forward(x, store=store)
            left = memory.now
        found[store] = left, memory.most
        del trace
    returned = steps * batch * hidden * 4
    slack = returned // 50
    assert returned <= found[False][0] <= found[False][1] <= returned + slack
    assert SAVED_STATES[cell] * returned <= found[True][0] <= found[True][1] <= SAVED_STATES[cell] * returned + slack


@pytest.mark.compiled
@pytest.mark.parametrize("cell", SAVED_STATES)
def test_checkpoints_bound_the_memory_of_long_sequences(cell: str, fresh_scratch: None) -> None:
    """Beside h: a state of each of T/k steps, everything of k steps, and what does not depend on T."""
    steps, hidden, every = 20_000, 64, 141
    layer = Layer(cell, 4, hidden)
    row = hidden * 4
    sparse, full = trainer(layer, steps, 1, checkpoint_every=every), trainer(layer, steps, 1)
    with Memory() as memory:
        sparse()
    tape = (SAVED_STATES[cell] - 1) * (every + 1) * row + (len(layer.cell.states) - 1) * (steps // every + 1) * row
    parameters = sum(value.nbytes for value in layer.params.values())
    chunk = 2 * (len(layer.cell.preactivations) + 3) * every * row  # z; d_z, h, x and the operand, row by row
    assert memory.most <= steps * row + tape + chunk + 4 * parameters
    with Memory() as memory_of_all:
        full()
    assert memory_of_all.most >= SAVED_STATES[cell] * steps * row
