"""The cuda backend on a simulated GPU: every cell, every way, against the oracle and the reference backend."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from oracles import equations
from oracles.problems import CELLS, flat_gradients, flat_trace, largest_error, layer_for, problem, run
from simulated_gpus import PATHS

from rnnbench import optimizers
from rnnbench.backends.cuda import simulator
from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.plan import Plan
from rnnbench.backends.cuda.simulator import Simulator
from rnnbench.layer import Stack
from rnnbench.network import Architecture, Network

SIZES = {"steps": 3, "batch": 3, "inputs": 2, "hidden": 7, "lengths": True}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cell", CELLS)
def test_agrees_with_the_oracle(cell: str, path: str, simulate: Callable) -> None:
    simulate(path, cell, SIZES["hidden"], SIZES["batch"])
    given = problem(cell, **SIZES, seed=1)
    trace, gradients = run(layer_for(given, "cuda"), given)
    h, final = equations.forward(given)
    expected = {"h": h.real, **{f"state.{name}": value.real for name, value in final.items()}}
    assert largest_error(flat_trace(trace), expected) <= 1e-12
    assert largest_error(flat_gradients(gradients), equations.gradients(given)) <= 1e-12


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before"])
def test_float32_agrees_with_the_reference(cell: str, path: str, simulate: Callable) -> None:
    sizes = {**SIZES, "batch": 5, "hidden": 10}
    simulate(path, cell, sizes["hidden"], sizes["batch"], "float32")
    given = problem(cell, **sizes)
    trace, gradients = run(layer_for(given, "cuda", "float32"), given)
    expected_trace, expected = run(layer_for(given, "reference"), given)
    assert largest_error(flat_trace(trace), flat_trace(expected_trace)) <= 1e-5
    assert largest_error(flat_gradients(gradients), flat_gradients(expected)) <= 1e-4
    results = (*flat_trace(trace).values(), *flat_gradients(gradients).values())
    assert {value.dtype for value in results} == {np.dtype("float32")}


def several_elements(plan: Plan) -> bool:
    """A thread has the states of several units and sequences, and backward several tiles of rows."""
    return min(plan.forward.elements, plan.backward.elements, plan.backward.chunks) > 1


@pytest.mark.parametrize(("path", "batch", "blocks"), [("independent", 20, 1), ("persistent", 8, 2)])
def test_a_thread_has_several_elements(path: str, batch: int, blocks: int, simulate: Callable) -> None:
    simulate(path, "gru", 9, batch, "float32", multiprocessors=blocks, threads=32, wanted=several_elements)
    given = problem("gru", 2, batch, 2, 9, lengths=True)
    trace, gradients = run(layer_for(given, "cuda", "float32"), given)
    expected_trace, expected = run(layer_for(given, "reference"), given)
    assert largest_error(flat_trace(trace), flat_trace(expected_trace)) <= 1e-5
    assert largest_error(flat_gradients(gradients), flat_gradients(expected)) <= 1e-4


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before"])
def test_checkpoints_and_inference_change_no_bit(cell: str, path: str, simulate: Callable) -> None:
    sizes = {**SIZES, "batch": 2}
    simulate(path, cell, sizes["hidden"], sizes["batch"], "float32", multiprocessors=2)
    given = problem(cell, **sizes)
    layer = layer_for(given, "cuda", "float32")
    whole = layer.forward(given.x, given.state, given.lengths)
    expected = flat_gradients(layer.backward(whole, given.d_h, given.d_state))
    sparse = layer.forward(given.x, given.state, given.lengths, checkpoint_every=2)
    assert largest_error(flat_trace(sparse), flat_trace(whole)) == 0
    found = flat_gradients(layer.backward(sparse, given.d_h, given.d_state))
    assert largest_error(found, expected) == 0
    for options in ({}, {"checkpoint_every": 2}):
        trace = layer.forward(given.x, given.state, given.lengths, store=False, **options)
        assert not trace.tape
        assert largest_error(flat_trace(trace), flat_trace(whole)) == 0


def test_gradients_that_nobody_wants_are_left_out(simulate: Callable) -> None:
    simulate("independent", "gru", 3, 2)
    given = problem("gru", 2, 2, 2, 3)
    layer = layer_for(given, "cuda")
    trace = layer.forward(given.x)
    expected = flat_gradients(layer.backward(trace, given.d_h))
    found = flat_gradients(layer.backward(trace, given.d_h, state_sequence=False, input_gradient=False))
    assert not [name for name in found if name == "x" or name.startswith("state_sequence")]
    assert largest_error(found, {name: expected[name] for name in found}) == 0


def test_nothing_past_a_sequences_end_is_read(simulate: Callable) -> None:
    given = problem("lstm", **SIZES)
    simulate("persistent", "lstm", SIZES["hidden"], SIZES["batch"])
    layer = layer_for(given, "cuda")
    expected = run(layer, given)
    past = np.arange(SIZES["steps"])[:, None] >= given.lengths
    given.x[past], given.d_h[past] = np.nan, np.nan
    trace, gradients = run(layer, given)
    assert largest_error(flat_trace(trace), flat_trace(expected[0])) == 0
    assert largest_error(flat_gradients(gradients), flat_gradients(expected[1])) == 0


def test_both_directions_of_a_stack_agree_with_the_reference(simulate: Callable) -> None:
    simulate("independent", "gru", 3, 2)
    x = np.random.default_rng(0).standard_normal((3, 2, 2))
    lengths = np.array([2, 3])
    found = []
    for backend in ("cuda", "reference"):
        stack = Stack("gru", 2, 3, num_layers=2, bidirectional=True, dtype="float64", backend=backend)
        trace = stack.forward(x, lengths=lengths)
        gradients = stack.backward(trace, np.ones(trace.h.shape), state_sequence=False)
        found.append({"h": trace.h, **trace.state, **flat_gradients(gradients)})
    assert largest_error(*found) <= 1e-12


def test_a_network_trains_as_it_does_on_the_reference(simulate: Callable) -> None:
    simulate("independent", "lstm", 4, 3)
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((3, 3, 2)), rng.standard_normal((3, 1))
    losses = []
    for backend in ("cuda", "reference"):
        architecture = Architecture("lstm", 4, dtype="float64", backend=backend)
        network = Network(architecture, 2, 1, "many-to-one", "mse", np.random.default_rng(1))
        optimizer = optimizers.make("adam", network.weights, 1e-2)
        steps = []
        for _ in range(3):
            steps.append(network.loss_and_gradient(inputs, targets))
            optimizer.step(network.gradient)
        losses.append(steps)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-10)


@pytest.mark.parametrize("cell", CELLS)
def test_fast_mode_is_off_by_what_the_instruction_may_be(cell: str, simulate: Callable) -> None:
    """Simulated, tanh is rounded to 2^-11 of itself, as far as tanh.approx may be off; float64 has no such thing."""
    given = problem(cell, 20, 2, 2, 8)
    found = {}
    for backend, dtype in (("cuda_fast", "float32"), ("cuda_fast", "float64"), ("reference", "float64")):
        simulate("independent", cell, 8, 2, dtype)
        trace, gradients = run(layer_for(given, backend, dtype), given)
        found[backend, dtype] = flat_trace(trace) | flat_gradients(gradients)
    exact = found["reference", "float64"]
    assert largest_error(found["cuda_fast", "float64"], exact) <= 1e-12
    error = largest_error(found["cuda_fast", "float32"], exact)
    nonlinear = cell not in ("rnn_linear", "rnn_relu")
    most = 2e-3 if cell == "lstm_no_forget" else 1e-3  # where nothing is forgotten, errors add up
    assert 1e-5 < error <= most if nonlinear else error <= 1e-6


def test_an_approximate_function_is_off_by_at_most_what_tanh_approx_may_be() -> None:
    x = np.linspace(-6, 6, 10_001, dtype=np.float32)
    exact = np.tanh(x.astype(np.float64))
    error = np.abs(Simulator.approximate(np.tanh)(x) - exact)
    assert (error <= 2.0**-11 * np.abs(exact) * (1 + 1e-4)).all()
    assert error.max() > 2.0**-12


def launched(kernel: Callable, blocks: int, threads: int, *arguments: object, shared_bytes: int = 0) -> None:
    device = Simulator()
    made = device.kernel(kernel, (), np.dtype("float64"), threads)
    device.launch(made, (blocks, 1, 1), arguments, shared_bytes, cooperative=True)


def test_a_shuffle_takes_the_partners_value() -> None:
    device, found = Simulator(), np.zeros(64)

    def kernel() -> None:
        thread = device.cuda.threadIdx.x
        found[thread] = device.cuda.shfl_xor_sync(0xFFFFFFFF, thread, 5)

    launched(kernel, 1, 64)
    np.testing.assert_array_equal(found, np.arange(64) ^ 5)


def test_blocks_that_meet_see_what_all_wrote() -> None:
    device, written = Simulator(), np.zeros(3)
    sums, arrivals = np.zeros(3), np.zeros(simulator.ARRIVAL_STRIDE, np.int32)

    def kernel() -> None:
        block, thread = device.cuda.blockIdx.x, device.cuda.threadIdx.x
        if thread == 0:
            written[block] = block + 1
        device.arrive(arrivals, 0, thread)
        device.wait(arrivals, 0, thread, 3)
        if thread == 0:
            sums[block] = written.sum()

    launched(kernel, 3, 32)
    np.testing.assert_array_equal(sums, [6, 6, 6])


def test_a_meeting_that_a_block_does_not_reach_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulator, "PATIENCE_S", 0.2)
    device, arrivals = Simulator(), np.zeros(simulator.ARRIVAL_STRIDE, np.int32)

    def kernel() -> None:
        if device.cuda.blockIdx.x == 0:
            device.arrive(arrivals, 0, device.cuda.threadIdx.x)
            device.wait(arrivals, 0, device.cuda.threadIdx.x, 2)

    with pytest.raises(TimeoutError, match="group 0 waited for 2 arrivals, 1 came"):
        launched(kernel, 2, 32)


def test_a_mistake_in_one_thread_ends_the_launch_with_its_message() -> None:
    device, memory = Simulator(), np.zeros(4, np.float32)

    def kernel() -> None:
        device.load_quad(memory, 1 if device.cuda.threadIdx.x == 7 else 0, memory.copy(), 0)
        device.cuda.syncthreads()

    before = threading.active_count()
    with pytest.raises(AssertionError, match="16 bytes from number 1 on are not aligned"):
        launched(kernel, 2, 32)
    assert threading.active_count() == before


def test_memory_starts_as_nan_and_ends_where_it_ends() -> None:
    device = Simulator()
    assert np.isnan(device.empty(3, np.dtype("float32"))).all()
    with pytest.raises(IndexError, match="numbers 4 to 7 of 6"):
        device.load_quad(np.zeros(6, np.float32), 4, np.zeros(4, np.float32), 0)


def test_limits_of_the_simulator_are_those_it_is_given() -> None:
    limits = Limits("small", (8, 0), 2, 4096, 1 << 20)
    assert Simulator(limits).limits == limits
