"""What a layer makes of arrays that lie otherwise in memory, of other types of number, and of what is no number."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from oracles.equations import Problem
from oracles.problems import CELLS, flat_gradients, flat_trace, largest_error, layer_for, problem

from rnnbench.backends import memory
from rnnbench.backends.cpu.kernels import kernels
from rnnbench.backends.cpu.layout import Layout
from rnnbench.errors import InputError
from rnnbench.layer import Layer

SIZES = {"steps": 5, "batch": 3, "inputs": 4, "hidden": 6}
backend = pytest.mark.parametrize("backend", ["reference", "cpu"])


def every_other(array: np.ndarray) -> np.ndarray:
    """Return a view of the same numbers, every second one of an array that is NaN between them."""
    wide = np.full([2 * size for size in array.shape], np.nan if array.dtype.kind == "f" else 0, array.dtype)
    wide[tuple(slice(None, None, 2) for _ in array.shape)] = array
    return wide[tuple(slice(None, None, 2) for _ in array.shape)]


def backwards(array: np.ndarray) -> np.ndarray:
    """Return a view of the same numbers that goes through memory from its end."""
    return np.ascontiguousarray(array[::-1])[::-1]


def read_only(array: np.ndarray) -> np.ndarray:
    """Return the same numbers in an array that cannot be written, as of a file that is mapped into memory."""
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array: np.ndarray) -> np.ndarray:
    """Return the same numbers at an odd address, as of a field of a packed record."""
    return np.frombuffer(bytearray(b"-" + array.tobytes()), array.dtype, offset=1).reshape(array.shape)


LAYOUTS = {
    "transposed": np.asfortranarray,
    "strided": every_other,
    "backwards": backwards,
    "read-only": read_only,
    "unaligned": unaligned,
}


def in_memory(given: Problem, lay: Callable[[np.ndarray], np.ndarray], dtype: str) -> Problem:
    """Return the problem with every array of it laid out by the function."""

    def each(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: lay(value.astype(dtype)) for name, value in arrays.items()}

    assert given.lengths is not None
    return Problem(
        given.cell,
        each(given.params),
        lay(given.x.astype(dtype)),
        each(given.state),
        lay(given.lengths.astype(np.int64)),
        lay(given.d_h.astype(dtype)),
        each(given.d_state),
    )


def results(layer: Layer, given: Problem, params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    layer.params = params
    trace = layer.forward(given.x, given.state, given.lengths)
    return flat_trace(trace) | flat_gradients(layer.backward(trace, given.d_h, given.d_state))


@backend
@pytest.mark.parametrize("how", LAYOUTS)
@pytest.mark.parametrize("cell", CELLS)
def test_it_does_not_matter_how_arrays_lie_in_memory(cell: str, how: str, backend: str) -> None:
    given = problem(cell, **SIZES, lengths=True)
    layer = layer_for(given, backend, "float32")
    plain = in_memory(given, np.ascontiguousarray, "float32")
    laid = in_memory(given, LAYOUTS[how], "float32")
    assert laid.x.flags.c_contiguous == (how in ("read-only", "unaligned"))
    expected, found = results(layer, plain, plain.params), results(layer, laid, laid.params)
    tolerance = 0 if backend == "cpu" else 1e-13  # BLAS sums transposes in another order
    assert largest_error(found, expected) <= tolerance


@pytest.mark.compiled
def test_nothing_is_compiled_again_for_arrays_that_lie_otherwise() -> None:
    """A kernel for each kind of array would take seconds at its first call."""
    given = problem("lstm", **SIZES, lengths=True)
    layer = layer_for(given, "cpu", "float32")
    for lay in (np.ascontiguousarray, *LAYOUTS.values()):
        laid = in_memory(given, lay, "float32")
        results(layer, laid, laid.params)
    for kernel in kernels(layer.cell, layer.dtype):
        assert len(kernel.signatures) == 1, kernel.signatures


@backend
@pytest.mark.parametrize("kind", ["int64", "int8", "uint8", "bool", "float16", "float64", ">f4", "longdouble"])
def test_numbers_of_other_types_are_taken_as_the_layers(kind: str, backend: str) -> None:
    rng = np.random.default_rng(0)
    layer = Layer("lstm", 4, 5, "float32", backend)
    x, d_h = (rng.integers(0, 5, shape).astype(kind) for shape in ((3, 2, 4), (3, 2, 5)))
    state = {name: rng.integers(0, 2, (2, 5)).astype(kind) for name in ("h", "c")}
    trace = layer.forward(x, state)
    same = layer.forward(x.astype("float32"), {name: value.astype("float32") for name, value in state.items()})
    assert largest_error(flat_trace(trace), flat_trace(same)) == 0
    found, expected = layer.backward(trace, d_h, state), layer.backward(same, d_h.astype("float32"), state)
    assert largest_error(flat_gradients(found), flat_gradients(expected)) == 0
    if backend == "cpu":
        assert {value.dtype for value in flat_gradients(found).values()} == {np.dtype("float32")}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the kernels' own, where they are plain Python
def test_numbers_beyond_the_layers_type_become_infinite() -> None:
    layer = Layer("rnn_relu", 1, 1)
    layer.params["W_xh"][:] = 1
    with pytest.warns(RuntimeWarning, match="overflow encountered in cast"):
        h = layer.forward(np.array([[[1e300]]])).h
    assert h.item() == np.inf


NO_NUMBERS = {
    "complex": lambda array: array * 1j,
    "text": lambda array: np.full(array.shape, "1.5"),
    "times": lambda array: array.astype("datetime64[s]"),
    "objects": lambda array: np.full(array.shape, {}, object),
    "nothing": lambda array: np.full(array.shape, None, object),
    "rows of unequal length": lambda array: [array[0].tolist(), array[0].tolist()[:-1]],
}


@backend
@pytest.mark.parametrize("kind", NO_NUMBERS)
@pytest.mark.parametrize("where", ["x", "state 'h'", "d_h", "d_state 'h'"])
def test_what_is_no_real_number_is_refused(where: str, kind: str, backend: str) -> None:
    """Where it is is said, and nothing is dropped: NumPy would take the real part of a complex number."""
    layer = Layer("gru", 4, 5, backend=backend)
    x, h, d_h = np.zeros((2, 3, 4)), np.zeros((3, 5)), np.zeros((2, 3, 5))
    made = NO_NUMBERS[kind]
    trace = layer.forward(x)
    call = {
        "x": lambda: layer.forward(made(x)),
        "state 'h'": lambda: layer.forward(x, {"h": made(h)}),
        "d_h": lambda: layer.backward(trace, made(d_h)),
        "d_state 'h'": lambda: layer.backward(trace, d_h, {"h": made(h)}),
    }[where]
    with pytest.raises(InputError, match=f"^{where} "):
        call()


@pytest.mark.parametrize("dtype", ["float16", "int64", "complex64", "object"])
def test_parameters_of_other_types_are_refused(dtype: str) -> None:
    layer = Layer("lstm", 2, 3)
    layer.params = {name: value.astype(dtype) for name, value in layer.params.items()}
    with pytest.raises(InputError, match=f"parameters are {dtype}; the cpu backend takes all float32 or all float64"):
        layer.forward(np.zeros((2, 1, 2)))


class TestMemoryThatIsNotThere:
    STEPS, BATCH, HIDDEN = 40, 3, 64

    @pytest.fixture
    def layer(self, monkeypatch: pytest.MonkeyPatch) -> Layer:
        """A layer in a machine that can hold twice its h."""
        layer = Layer("lstm", 2, self.HIDDEN)
        padded = Layout(layer.cell, self.HIDDEN, layer.dtype).padded
        available = 2 * (self.STEPS + 1) * self.BATCH * padded * layer.dtype.itemsize
        monkeypatch.setattr(memory, "SMALL_BYTES", 0)
        machine = namedtuple("machine", "available")
        monkeypatch.setattr(psutil, "virtual_memory", lambda: machine(available))
        return layer

    def test_training_is_refused_before_it_starts(self, layer: Layer) -> None:
        x = np.zeros((self.STEPS, self.BATCH, 2))
        with pytest.raises(InputError, match=r"lstm with T=40, B=3, H=64 .*checkpoint_every.* needs .* GiB of memory"):
            layer.forward(x)

    def test_what_needs_less_runs(self, layer: Layer) -> None:
        x = np.zeros((self.STEPS, self.BATCH, 2))
        assert not layer.forward(x, store=False).tape
        assert layer.forward(x, checkpoint_every=5).tape
        assert layer.forward(x[:5]).tape

    def test_inference_that_does_not_fit_is_refused_as_well(self, layer: Layer) -> None:
        x = np.zeros((3 * self.STEPS, self.BATCH, 2))
        with pytest.raises(InputError, match=r"lstm with T=120, B=3, H=64 needs .* GiB of memory; .* GiB are free"):
            layer.forward(x, store=False)

    def test_gradients_that_do_not_fit_are_refused(self, layer: Layer) -> None:
        trace = layer.forward(np.zeros((self.STEPS + 2, self.BATCH, 2)), checkpoint_every=3)
        layer.backward(trace, trace.h, state_sequence=False)
        with pytest.raises(
            InputError, match=r"backward through a lstm with T=42, B=3, H=64 .*state_sequence=False.* GiB"
        ):
            layer.backward(trace, trace.h)

    @pytest.mark.parametrize("version", [1, 2])
    def test_a_container_may_have_less_than_its_machine(
        self, layer: Layer, version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """4000 bytes are used of 5000, but 3000 of them are pages of files."""
        _, limit, used, files = memory.CGROUPS[2 - version]
        monkeypatch.setattr(memory, "CGROUPS", [(tmp_path / "none", "a", "b", "c"), (tmp_path, limit, used, files)])
        (tmp_path / limit).write_text("5000\n")
        (tmp_path / used).write_text("4000\n")
        (tmp_path / "memory.stat").write_text(f"anon 1000\n{files} 3000\n")
        assert memory.container_bytes() == 4000
        with pytest.raises(InputError, match=r"lstm .* needs .* GiB of memory; 0\.0 GiB are free"):
            layer.forward(np.zeros((8, self.BATCH, 2)), store=False)
        (tmp_path / limit).write_text("max\n" if version == 2 else f"{2**63 - 4096}\n")
        layer.forward(np.zeros((8, self.BATCH, 2)), store=False)
