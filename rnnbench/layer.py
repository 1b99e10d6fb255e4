"""Layer: one cell through time on a backend. Stack: several layers, one direction or both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rnnbench import backends, cells
from rnnbench.backends.base import Arrays, Backend, Gradients, Trace
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError, ShapeError
from rnnbench.initialization import initialize


def _checked_size(name: str, value: int) -> int:
    if not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{name} is {value!r}; expected a whole number >= 1")
    return int(value)


def _as_arrays(state: Arrays | None, what: str = "state") -> Arrays:
    return {name: _real_numbers(f"{what} '{name}'", value) for name, value in (state or {}).items()}


def _real_numbers(name: str, value: object) -> np.ndarray:
    """Return an array of real numbers; InputError for what is none, and would be cut to fit or fail in the middle."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name} is no array: {error}") from None
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} is {array.dtype}; expected real numbers")
    return array


def _checked_dtype(dtype: str | np.dtype) -> np.dtype:
    if str(getattr(dtype, "__name__", dtype)) not in ("float32", "float64"):
        raise InputError(f"dtype is {dtype}; expected float32 or float64")
    return np.dtype(dtype)


class Layer:
    """One recurrent layer in one direction: parameters, forward and backward.

    params   W_xh (I, G*H), W_hh (H, G*H), b_h (G*H,); a reset-after GRU has b_hn (H,) as well. Columns are in the
             order of the cell's gates: LSTM input, forget, candidate, output; GRU reset, update, candidate.
    dtype    "float32" or "float64", of the parameters and of everything computed (the reference backend computes
             in float64 whatever the dtype).

    Raises InputError for an unknown cell, backend or initialization, and sizes below 1.
    """

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        dtype: str | np.dtype = "float32",
        backend: str | Backend = "cpu",
        seed: int | np.random.Generator = 0,
        initialization: str = "orthogonal",
        gain: float = 1.0,
        gate_bias: float = 1.0,
        chrono: int | None = None,
    ) -> None:
        self.cell = cells.get(cell)
        self.backend = backends.get(backend)
        self.input_size = _checked_size("input_size", input_size)
        self.hidden_size = _checked_size("hidden_size", hidden_size)
        self.dtype = _checked_dtype(dtype)
        rng = np.random.default_rng(seed)
        params = initialize(self.cell, input_size, hidden_size, rng, initialization, gain, gate_bias, chrono)
        self.params: Arrays = {name: value.astype(self.dtype) for name, value in params.items()}

    def zero_state(self, batch: int) -> Arrays:
        """Return states of zeros, each (B, H)."""
        return {name: np.zeros((batch, self.hidden_size), self.dtype) for name in self.cell.states}

    def forward(
        self,
        x: np.ndarray,
        state: Arrays | None = None,
        lengths: np.ndarray | None = None,
        *,
        store: bool = True,
        checkpoint_every: int | None = None,
    ) -> Trace:
        """Run x (T, B, I) from `state` (zeros if None); `lengths` (B,) says how many steps each sequence has.

        Past its length a sequence's h is 0 and its state stays: a padded batch equals each sequence run alone.

        store             False for inference: nothing is kept for backward, which then refuses the trace.
        checkpoint_every  k for backpropagation in memory of O(T/k + k) beside h: only every k-th step's states are
                          kept, and backward runs each stretch forward once more, on as many threads as the first
                          time. The gradients are the same to the last bit (on the same number of threads).

        Raises ShapeError with both shapes where they do not fit, InputError for a checkpoint_every below 1.
        """
        if checkpoint_every is not None:
            checkpoint_every = _checked_size("checkpoint_every", checkpoint_every)
        x = _real_numbers("x", x).astype(self.dtype, copy=False)
        if x.ndim != 3:
            raise ShapeError(f"x has shape {x.shape}; expected (T, B, I) with I = {self.input_size}")
        state = self.zero_state(x.shape[1]) if state is None else _as_arrays(state)
        lengths = None if lengths is None else np.asarray(lengths)
        return self.backend.forward(
            self.cell, self.params, x, state, lengths, store=store, checkpoint_every=checkpoint_every
        )

    def backward(
        self,
        trace: Trace,
        d_h: np.ndarray | None = None,
        d_state: Arrays | None = None,
        *,
        state_sequence: bool = True,
        input_gradient: bool = True,
    ) -> Gradients:
        """Backpropagate dL/dh_t (T, B, H), as it comes from outside at each step, and dL/d(final states).

        `state_sequence` and `input_gradient` can be switched off where nobody reads them.
        """
        if d_h is None:
            d_h = np.zeros(trace.h.shape, self.dtype)
        return self.backend.backward(
            trace,
            _real_numbers("d_h", d_h),
            _as_arrays(d_state, "d_state"),
            state_sequence=state_sequence,
            input_gradient=input_gradient,
        )


@dataclass
class StackTrace:
    """What Stack.forward returns; shapes as in Trace but for the directions and layers."""

    h: np.ndarray
    """(T, B, D*H): the last layer's h, forward direction first."""
    state: Arrays
    """Final states, each (L*D, B, H), layer by layer, forward direction first."""
    traces: list[Trace]
    lengths: np.ndarray | None


class Stack:
    """`num_layers` layers, each reading the outputs of the one below, in one direction or both.

    params   the layers' parameters by prefixed name: "layer0.W_xh", "layer0.reverse.W_xh", "layer1.W_xh", ...
             They are the layers' own arrays; write into them in place.
    """

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dtype: str | np.dtype = "float32",
        backend: str | Backend = "cpu",
        seed: int | np.random.Generator = 0,
        initialization: str = "orthogonal",
        gain: float = 1.0,
        gate_bias: float = 1.0,
        chrono: int | None = None,
    ) -> None:
        self.num_layers = _checked_size("num_layers", num_layers)
        self.directions = 2 if bidirectional else 1
        rng = np.random.default_rng(seed)
        self.layers = [
            Layer(
                cell,
                input_size if level == 0 else hidden_size * self.directions,
                hidden_size,
                dtype,
                backend,
                rng,
                initialization,
                gain,
                gate_bias,
                chrono,
            )
            for level in range(num_layers)
            for _ in range(self.directions)
        ]
        first = self.layers[0]
        self.cell, self.backend, self.dtype = first.cell, first.backend, first.dtype
        self.input_size, self.hidden_size = first.input_size, first.hidden_size

    def _prefixes(self) -> Iterator[tuple[str, Layer]]:
        for k, layer in enumerate(self.layers):
            level, direction = divmod(k, self.directions)
            yield f"layer{level}." + ("reverse." if direction else ""), layer

    @property
    def params(self) -> Arrays:
        """The parameters of all layers by prefixed name."""
        return {prefix + name: value for prefix, layer in self._prefixes() for name, value in layer.params.items()}

    def use_params(self, params: Arrays) -> None:
        """Let the layers work on the given arrays, such as views of one long vector."""
        for prefix, layer in self._prefixes():
            layer.params = {name: params[prefix + name] for name in layer.params}

    def forward(self, x: np.ndarray, state: Arrays | None = None, lengths: np.ndarray | None = None) -> StackTrace:
        """Run x (T, B, I) through all layers; `state` holds (L*D, B, H) for each state. See Layer.forward."""
        x = _real_numbers("x", x).astype(self.dtype, copy=False)
        lengths = None if lengths is None else np.asarray(lengths)
        state = None if state is None else _as_arrays(state)
        self._check_state(state)
        traces: list[Trace] = []
        h = x
        for level in range(self.num_layers):
            outputs = []
            for direction in range(self.directions):
                k = level * self.directions + direction
                initial = None if state is None else {name: value[k] for name, value in state.items()}
                trace = self.layers[k].forward(reverse(h, lengths) if direction else h, initial, lengths)
                traces.append(trace)
                outputs.append(reverse(trace.h, lengths) if direction else trace.h)
            h = outputs[0] if self.directions == 1 else np.concatenate(outputs, axis=2)
        final = {name: np.stack([trace.state[name] for trace in traces]) for name in self.cell.states}
        return StackTrace(h, final, traces, lengths)

    def backward(
        self,
        trace: StackTrace,
        d_h: np.ndarray | None = None,
        d_state: Arrays | None = None,
        *,
        state_sequence: bool = True,
        input_gradient: bool = True,
    ) -> Gradients:
        """Backpropagate dL/dh (T, B, D*H) and dL/d(final states) (L*D, B, H); state sequences are (L*D, T, B, H).

        The state sequence of a reverse direction is in the order of the input's steps, not of its own.
        """
        d_state = _as_arrays(d_state, "d_state")
        self._check_state(d_state)
        d_h = np.zeros(trace.h.shape, self.dtype) if d_h is None else _real_numbers("d_h", d_h)
        if d_h.shape != trace.h.shape:
            raise ShapeError(f"d_h has shape {d_h.shape}; expected that of h, {trace.h.shape}")
        found: list[Gradients | None] = [None] * len(self.layers)
        size = self.hidden_size
        for level in reversed(range(self.num_layers)):
            below: np.ndarray | None = None
            for direction in range(self.directions):
                k = level * self.directions + direction
                d_out = d_h[:, :, direction * size : (direction + 1) * size]
                gradients = self.layers[k].backward(
                    trace.traces[k],
                    reverse(d_out, trace.lengths) if direction else d_out,
                    {name: value[k] for name, value in d_state.items()},
                    state_sequence=state_sequence,
                    input_gradient=input_gradient or level > 0,
                )
                if direction and gradients.x is not None:
                    gradients.x = reverse(gradients.x, trace.lengths)
                if direction and gradients.state_sequence is not None:
                    gradients.state_sequence = {
                        name: reverse(value, trace.lengths) for name, value in gradients.state_sequence.items()
                    }
                found[k] = gradients
                if gradients.x is not None:
                    below = gradients.x if below is None else below + gradients.x
            if level > 0:
                assert below is not None
                d_h = below
        return self._gathered([gradients for gradients in found if gradients is not None], below)

    def _gathered(self, found: list[Gradients], d_x: np.ndarray | None) -> Gradients:
        names = self.cell.states
        sequences = [gradients.state_sequence for gradients in found if gradients.state_sequence is not None]
        prefixes = [prefix for prefix, _ in self._prefixes()]
        return Gradients(
            x=d_x,
            params={
                prefix + name: value
                for prefix, gradients in zip(prefixes, found, strict=True)
                for name, value in gradients.params.items()
            },
            state={name: np.stack([gradients.state[name] for gradients in found]) for name in names},
            state_sequence={name: np.stack([sequence[name] for sequence in sequences]) for name in names}
            if sequences
            else None,
        )

    def _check_state(self, state: Arrays | None) -> None:
        for name, value in (state or {}).items():
            if len(value) != len(self.layers):
                raise ShapeError(
                    f"state '{name}' has shape {value.shape}; expected (L*D, B, H) with L*D = {len(self.layers)}"
                )


def reverse(x: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """Return (T, B, ...) with the steps of each sequence in reverse order; padding stays where it is."""
    if lengths is None:
        return x[::-1]
    steps = np.arange(len(x))[:, None]
    source = np.where(steps < lengths, lengths - 1 - steps, steps)
    return x[source, np.arange(x.shape[1])]
