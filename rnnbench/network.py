"""Network: encoder -> Stack -> readout -> loss, in one of the wirings.

    many-to-one       x_1 ... x_T -> y            y = h_T W_hy + b_y, h_T the last step's of each sequence
    many-to-many      x_t -> y_t                  y_t = h_t W_hy + b_y at every step

A wiring decides which states are read out and how gradients get back to them; a new one is one class here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rnnbench.backends.base import Arrays, Backend
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError, ShapeError
from rnnbench.layer import Stack, StackTrace
from rnnbench.losses import loss_and_gradient
from rnnbench.registry import lookup
from rnnbench.regularization import add_penalty, check_applies


class Wiring(ABC):
    """How inputs, states and answers are connected; everything that differs between wirings is here.

    `forward` returns the outputs in their own shape, (B, K) or (T, B, K), and a tape; `backward` takes dL/d(outputs)
    in that shape and adds what it finds to the network's gradient. In between, a wiring may run the stack as
    often as it needs: once over the inputs, or step by step on its own answers.
    """

    name: ClassVar[str]

    @abstractmethod
    def forward(self, network: Network, inputs: np.ndarray, lengths: np.ndarray | None) -> tuple[np.ndarray, Any]:
        """Return (outputs, tape) for inputs (T, B, I)."""

    @abstractmethod
    def backward(self, network: Network, tape: Any, d_outputs: np.ndarray) -> None:
        """Write the gradient by every parameter into network.gradients."""

    @abstractmethod
    def counted(self, outputs: np.ndarray, mask: np.ndarray | None) -> np.ndarray | None:
        """Return which rows of the flattened outputs count, (N,) booleans; None: all."""


class ManyToOne(Wiring):
    """One answer, after the last step of each sequence, from the final h of the last layer (both directions)."""

    name = "many-to-one"

    def forward(self, network: Network, inputs: np.ndarray, lengths: np.ndarray | None) -> tuple[np.ndarray, Any]:
        """See Wiring.forward; outputs (B, K)."""
        stack = network.stack
        trace = stack.forward(inputs, lengths=lengths)
        features = np.concatenate(list(trace.state["h"][-stack.directions :]), axis=1)
        return network.read_out(features), (trace, features)

    def backward(self, network: Network, tape: tuple[StackTrace, np.ndarray], d_outputs: np.ndarray) -> None:
        """See Wiring.backward."""
        trace, features = tape
        stack = network.stack
        d_features = network.read_out_backward(features, d_outputs)
        d_h = np.zeros_like(trace.state["h"])
        d_h[-stack.directions :] = np.split(d_features, stack.directions, axis=1)
        network.stack_backward(trace, None, {"h": d_h})

    def counted(self, outputs: np.ndarray, mask: np.ndarray | None) -> np.ndarray | None:
        """Every sequence has its one answer; a mask has no place."""
        if mask is not None:
            raise InputError("a many-to-one batch has a mask; expected None, as each sequence has one answer")
        return None


class ManyToMany(Wiring):
    """An answer at every step, aligned with the inputs."""

    name = "many-to-many"

    def forward(self, network: Network, inputs: np.ndarray, lengths: np.ndarray | None) -> tuple[np.ndarray, Any]:
        """See Wiring.forward; outputs (T, B, K)."""
        trace = network.stack.forward(inputs, lengths=lengths)
        steps, batch, width = trace.h.shape
        features = np.ascontiguousarray(trace.h).reshape(steps * batch, width)
        return network.read_out(features).reshape(steps, batch, -1), (trace, features)

    def backward(self, network: Network, tape: tuple[StackTrace, np.ndarray], d_outputs: np.ndarray) -> None:
        """See Wiring.backward."""
        trace, features = tape
        d_features = network.read_out_backward(features, d_outputs.reshape(len(features), -1))
        network.stack_backward(trace, d_features.reshape(trace.h.shape), None)

    def counted(self, outputs: np.ndarray, mask: np.ndarray | None) -> np.ndarray | None:
        """The mask says which steps count."""
        if mask is not None and mask.shape != outputs.shape[:2]:
            raise ShapeError(f"mask has shape {mask.shape}; expected (T, B) = {outputs.shape[:2]}")
        return None if mask is None else mask.reshape(-1)


WIRINGS: dict[str, Wiring] = {wiring.name: wiring for wiring in (ManyToOne(), ManyToMany())}


@dataclass(frozen=True)
class Architecture:
    """What a network is made of, but for the sizes of its inputs and outputs."""

    cell: str | Cell = "lstm"
    hidden_size: int = 64
    num_layers: int = 1
    bidirectional: bool = False
    initialization: str = "orthogonal"
    gain: float = 1.0
    gate_bias: float = 1.0
    chrono: int | None = None
    dtype: str = "float32"
    backend: str | Backend = "cpu"


class Network:
    """A stack with a linear readout, its parameters and gradients each one flat vector with named views.

    weights, gradient       flat vectors of all parameters and of the last gradient
    params, gradients       views of them by name: the stack's names, W_hy (D*H, K) and b_y (K,)
    regularization          weight of Pascanu's regulariser in the gradient (the loss that is returned is without it)
    """

    def __init__(
        self,
        architecture: Architecture,
        input_size: int,
        output_size: int,
        wiring: str,
        loss: str,
        rng: np.random.Generator,
    ) -> None:
        self.wiring = lookup("wiring", wiring, WIRINGS)
        self.loss = loss
        self.regularization = 0.0
        a = architecture
        self.stack = Stack(
            a.cell,
            input_size,
            a.hidden_size,
            a.num_layers,
            a.bidirectional,
            a.dtype,
            a.backend,
            rng,
            a.initialization,
            a.gain,
            a.gate_bias,
            a.chrono,
        )
        self.input_size, self.output_size = input_size, output_size
        self.dtype = self.stack.dtype
        width = a.hidden_size * self.stack.directions
        limit = np.sqrt(6 / (width + output_size))
        readout = {
            "W_hy": rng.uniform(-limit, limit, (width, output_size)),
            "b_y": np.zeros(output_size),
        }
        initial = self.stack.params | readout
        size = sum(value.size for value in initial.values())
        self.weights = np.empty(size, self.dtype)
        self.gradient = np.zeros(size, self.dtype)
        self.params = views(self.weights, initial)
        self.gradients = views(self.gradient, initial)
        for name, value in initial.items():
            self.params[name][...] = value
        self.stack.use_params({name: self.params[name] for name in self.stack.params})

    def encode(self, inputs: np.ndarray) -> np.ndarray:
        """Return what the stack reads, (T, B, I); see `encode`."""
        return encode(inputs, self.input_size, self.dtype)

    def read_out(self, features: np.ndarray) -> np.ndarray:
        """Return y = features W_hy + b_y, (N, K)."""
        return features @ self.params["W_hy"] + self.params["b_y"]

    def read_out_backward(self, features: np.ndarray, d_outputs: np.ndarray) -> np.ndarray:
        """Write the readout's gradient and return dL/d(features)."""
        self.gradients["W_hy"][...] = features.T @ d_outputs
        self.gradients["b_y"][...] = d_outputs.sum(axis=0)
        return d_outputs @ self.params["W_hy"].T

    def stack_backward(self, trace: StackTrace, d_h: np.ndarray | None, d_state: Arrays | None) -> None:
        """Write the stack's gradient, the regulariser's share included."""
        regularized = self.regularization > 0
        found = self.stack.backward(trace, d_h, d_state, state_sequence=regularized, input_gradient=False)
        for name, value in found.params.items():
            self.gradients[name][...] = value
        if regularized and found.state_sequence is not None:
            check_applies(self.stack.cell, self.stack.directions)
            add_penalty(self.regularization, trace, found.state_sequence["h"], self.gradients)

    def predict(self, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """Return the outputs, (B, K) or (T, B, K)."""
        return self.wiring.forward(self, self.encode(inputs), lengths)[0]

    def loss_and_gradient(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        mask: np.ndarray | None = None,
        lengths: np.ndarray | None = None,
    ) -> float:
        """Return the loss of a batch, its gradient left in `gradient` and `gradients`."""
        outputs, tape = self.wiring.forward(self, self.encode(inputs), lengths)
        rows = outputs.reshape(-1, self.output_size)
        answers = targets.reshape(len(rows), -1) if self.loss == "mse" else targets.reshape(-1)
        loss, d_rows = loss_and_gradient(self.loss, rows, answers, self.wiring.counted(outputs, mask))
        self.wiring.backward(self, tape, d_rows.reshape(outputs.shape))
        return loss


def views(vector: np.ndarray, like: Arrays) -> Arrays:
    """Return named views of one flat vector, in the shapes of `like`, one after the other."""
    ends = np.cumsum([value.size for value in like.values()])
    return {
        name: vector[end - value.size : end].reshape(value.shape)
        for (name, value), end in zip(like.items(), ends, strict=True)
    }


def encode(inputs: np.ndarray, size: int, dtype: np.dtype) -> np.ndarray:
    """Return (T, B, I) numbers: real inputs as they are, integer tokens (T, B) as one-hot vectors of I = size."""
    if inputs.ndim == 3:
        return np.asarray(inputs, dtype)
    if inputs.ndim != 2 or not np.issubdtype(inputs.dtype, np.integer):
        raise ShapeError(f"inputs are {inputs.dtype} {inputs.shape}; expected (T, B, I) or integer tokens (T, B)")
    if inputs.min() < 0 or inputs.max() >= size:
        raise InputError(f"tokens lie in [{inputs.min()}, {inputs.max()}]; expected [0, {size})")
    encoded = np.zeros((*inputs.shape, size), dtype)
    np.put_along_axis(encoded, inputs[:, :, None], 1, axis=2)
    return encoded
