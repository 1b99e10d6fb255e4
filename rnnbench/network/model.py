"""The network itself: its parameters, each one flat vector with named views, its readout and its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnnbench.backends.base import Arrays, Backend, check_lengths
from rnnbench.backends.resident import Examples, Learning, Model, Resident
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError, ShapeError
from rnnbench.layer import Stack, StackTrace
from rnnbench.losses import check_targets, loss_and_gradient
from rnnbench.network.wirings import WIRINGS, run_on_own_answers
from rnnbench.registry import lookup
from rnnbench.regularization import add_penalty, check_applies


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
    """One stack, or an encoder and a decoder, with a linear readout.

    weights, gradient       flat vectors of all parameters and of the last gradient
    params, gradients       views of them by name: the stack's names, W_hy (D*H, K) and b_y (K,); the names of
                            an encoder and a decoder begin with "encoder." and "decoder."
    regularization          weight of Pascanu's regulariser in the gradient (the loss that is returned is without it)
    observe                 called with `gradients` while they are those of the loss alone, before the regulariser
    stacks                  the wiring's stacks by name; `stack` is the last of them, which is read out

    Raises InputError for a wiring that feeds answers back through a stack that reads backwards in time.
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
        self.observe: Callable[[Arrays], None] | None = None
        self._to_regularize: list[tuple[str, StackTrace, np.ndarray]] = []
        a = architecture
        if a.bidirectional and self.wiring.feeds_back:
            raise InputError(f"bidirectional is True; expected False, as {wiring} answers feed what comes after them")
        self.stacks = {
            name: Stack(
                a.cell,
                size,
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
            for name, size in self.wiring.stack_inputs(input_size, output_size).items()
        }
        self.stack = list(self.stacks.values())[-1]
        self.input_size, self.output_size = input_size, output_size
        self.dtype = self.stack.dtype
        width = a.hidden_size * self.stack.directions
        limit = np.sqrt(6 / (width + output_size))
        readout = {
            "W_hy": rng.uniform(-limit, limit, (width, output_size)),
            "b_y": np.zeros(output_size),
        }
        initial = {
            full_name(name, parameter): value
            for name, stack in self.stacks.items()
            for parameter, value in stack.params.items()
        } | readout
        size = sum(value.size for value in initial.values())
        self.weights = np.empty(size, self.dtype)
        self.gradient = np.zeros(size, self.dtype)
        self.params = views(self.weights, initial)
        self.gradients = views(self.gradient, initial)
        for name, value in initial.items():
            self.params[name][...] = value
        for name, stack in self.stacks.items():
            stack.use_params({parameter: self.params[full_name(name, parameter)] for parameter in stack.params})

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

    def stack_backward(
        self, trace: StackTrace, d_h: np.ndarray | None, d_state: Arrays | None, name: str = ""
    ) -> Arrays:
        """Write the gradient of the stack of that name; return dL/d(its initial states)."""
        stack, regularized = self.stacks[name], self.regularization > 0
        found = stack.backward(trace, d_h, d_state, state_sequence=regularized, input_gradient=False)
        for parameter, value in found.params.items():
            self.gradients[full_name(name, parameter)][...] = value
        if regularized and found.state_sequence is not None:
            check_applies(stack.cell, stack.directions)
            self._to_regularize.append((name, trace, found.state_sequence["h"]))
        return found.state

    def encode_answers(self, targets: np.ndarray) -> np.ndarray:
        """Return right answers as they are fed back, (T, B, K): one-hot vectors of classes, or the numbers of mse."""
        return encode(targets, self.output_size, self.dtype)

    def own_answers(self, outputs: np.ndarray) -> np.ndarray:
        """Return the network's own answers as they are fed back, (B, K): the likeliest class, or the numbers of mse."""
        return outputs if self.loss == "mse" else np.eye(self.output_size, dtype=self.dtype)[outputs.argmax(axis=1)]

    def predict(self, inputs: np.ndarray, lengths: np.ndarray | None = None, steps: int | None = None) -> np.ndarray:
        """Return the outputs, (B, K) or (T, B, K); `steps` is T where the network reads its own answers."""
        return self.wiring.forward(self, self.encode(inputs), lengths, None, steps)[0]

    def write(self, tokens: np.ndarray, steps: int, rng: np.random.Generator, temperature: float = 1.0) -> np.ndarray:
        """Return `steps` tokens (T, B) that continue tokens (S, B), each drawn from softmax(y / temperature).

        For networks that predict the next token of what they read (many-to-many, K = I): trained on the right
        tokens, they now read their own, as one-to-many.
        """
        one_way = self.stack.directions == 1
        if self.wiring.name != "many-to-many" or self.input_size != self.output_size or not one_way:
            raise InputError(
                f"a {'' if one_way else 'bidirectional '}{self.wiring.name} network of {self.input_size} inputs and "
                f"{self.output_size} outputs cannot write; expected many-to-many with as many outputs as inputs"
            )
        written: list[np.ndarray] = []

        def choose(outputs: np.ndarray) -> np.ndarray:
            noise = rng.gumbel(size=outputs.shape)  # the largest of logits and Gumbel noise is a draw from softmax
            written.append((outputs / temperature + noise).argmax(axis=1))
            return np.eye(self.output_size, dtype=self.dtype)[written[-1]]

        seen = self.encode(tokens)
        state = self.stack.forward(seen[:-1]).state if len(seen) > 1 else None
        run_on_own_answers(self, self.stack, seen[-1], state, steps, choose)
        return np.array(written)

    def loss_and_gradient(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        mask: np.ndarray | None = None,
        lengths: np.ndarray | None = None,
    ) -> float:
        """Return the loss of a batch, its gradient left in `gradient` and `gradients`."""
        outputs, tape = self.wiring.forward(self, self.encode(inputs), lengths, targets)
        answers = self._answers(outputs.shape, targets)
        rows = outputs.reshape(-1, self.output_size)
        loss, d_rows = loss_and_gradient(self.loss, rows, answers, self.wiring.counted(outputs, mask))
        self._to_regularize.clear()
        self.wiring.backward(self, tape, d_rows.reshape(outputs.shape))
        if self.observe is not None:
            self.observe(self.gradients)
        for name, trace, deltas in self._to_regularize:
            own = {parameter: self.gradients[full_name(name, parameter)] for parameter in self.stacks[name].params}
            add_penalty(self.regularization, trace, deltas, own)
        self._to_regularize.clear()
        return loss

    def _answers(self, shape: tuple[int, ...], targets: np.ndarray) -> np.ndarray:
        """Return right answers in rows, for outputs of a shape; ShapeError where they do not fit."""
        expected = shape if self.loss == "mse" else shape[:-1]
        if targets.shape != expected:
            raise ShapeError(f"targets have shape {targets.shape}; expected {expected} for outputs {shape}")
        return targets.reshape((-1, self.output_size) if self.loss == "mse" else -1)

    def resident(self, learning: Learning) -> Resident | None:
        """Return what trains this network where its backend's numbers are, None where it trains on the host's.

        That is for one stack that reads inputs alone: many-to-one and many-to-many, without the regulariser.
        """
        if self.wiring.name not in ("many-to-one", "many-to-many") or self.regularization:
            return None
        stack, once = self.stack, self.wiring.answers_once
        sizes = stack.num_layers, stack.directions, stack.hidden_size
        return stack.backend.resident(Model(stack.cell, *sizes, once, self.loss, self.params), learning)

    def examples(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        mask: np.ndarray | None = None,
        lengths: np.ndarray | None = None,
    ) -> Examples:
        """Return a batch as `resident` takes it; errors as in loss_and_gradient."""
        x = self.encode(inputs)
        if x.shape[2] != self.input_size:
            raise ShapeError(f"inputs have {x.shape[2]} features, the network expects {self.input_size}")
        if lengths is not None:
            check_lengths(lengths, len(x), x.shape[1])
        steps = () if self.wiring.answers_once else (len(x),)
        outputs = np.broadcast_to(np.zeros((), self.dtype), (*steps, x.shape[1], self.output_size))
        answers = self._answers(outputs.shape, targets)
        check_targets(self.loss, (outputs.size // self.output_size, self.output_size), answers)
        return Examples(x, answers, self.wiring.counted(outputs, mask), lengths)


def full_name(stack: str, parameter: str) -> str:
    """Return a parameter's name in the network, with the stack's in front where there are several."""
    return f"{stack}.{parameter}" if stack else parameter


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
