"""Wirings: which inputs are read, which states answered, and how gradients get back; a new one is one class here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from rnnbench.backends.base import Arrays
from rnnbench.errors import InputError, ShapeError
from rnnbench.layer import Stack, StackTrace

if TYPE_CHECKING:
    from rnnbench.network.model import Network


class Step(NamedTuple):
    """One step of a stack through time, numbers from 1; its state goes to the next step of the list."""

    stack: str
    """the stack that makes it: "encoder", "decoder", or "" where there is only one"""
    reads: int | None = None
    """the input that it reads"""
    feeds: int | None = None
    """the answer, of an earlier step, that it reads"""
    answers: int | None = None
    """the answer that is read out of it"""


class Wiring(ABC):
    """How inputs, states and answers are connected; everything that differs between wirings is here.

    `forward` returns the outputs in their own shape, (B, K) or (T, B, K), and a tape; `backward` takes dL/d(outputs)
    in that shape and writes the network's gradient. In between, a wiring may run its stacks as often as it needs:
    once over the inputs, or step by step on its own answers. Where answers are fed back, `targets` says that the
    right ones are to be fed (teacher forcing); None, that the network's own are, for `steps` steps.
    """

    name: ClassVar[str]
    answers_once: ClassVar[bool] = False
    """True where outputs are (B, K), one answer a sequence; otherwise they are (T, B, K)."""
    feeds_back: ClassVar[bool] = False
    """True where a step reads the answer of the one before, so that nothing may be read backwards in time."""

    def stack_inputs(self, input_size: int, output_size: int) -> dict[str, int]:
        """Return the stacks by name, in the order they run, with the number of features each reads."""
        return {"": input_size}

    @abstractmethod
    def steps(self, inputs: int, answers: int) -> list[Step]:
        """Return the steps in time for so many inputs and answers: what `forward` does, to be drawn and tested."""

    @abstractmethod
    def forward(
        self,
        network: Network,
        inputs: np.ndarray,
        lengths: np.ndarray | None,
        targets: np.ndarray | None = None,
        steps: int | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return (outputs, tape) for inputs (T, B, I)."""

    @abstractmethod
    def backward(self, network: Network, tape: Any, d_outputs: np.ndarray) -> None:
        """Write the gradient by every parameter into network.gradients."""

    def counted(self, outputs: np.ndarray, mask: np.ndarray | None) -> np.ndarray | None:
        """Return which rows of the flattened outputs count, (N,) booleans; None: all."""
        if mask is None:
            return None
        if self.answers_once:
            raise InputError(f"a {self.name} batch has a mask; expected None, as each sequence has one answer")
        if mask.shape != outputs.shape[:2]:
            raise ShapeError(f"mask has shape {mask.shape}; expected (T, B) = {outputs.shape[:2]}")
        return mask.reshape(-1)


class ManyToOne(Wiring):
    """One answer, after the last step of each sequence, from the final h of the last layer (both directions)."""

    name = "many-to-one"
    answers_once = True

    def steps(self, inputs: int, answers: int = 1) -> list[Step]:
        """See Wiring.steps."""
        return [Step("", reads=t, answers=1 if t == inputs else None) for t in range(1, inputs + 1)]

    def forward(
        self,
        network: Network,
        inputs: np.ndarray,
        lengths: np.ndarray | None,
        targets: np.ndarray | None = None,
        steps: int | None = None,
    ) -> tuple[np.ndarray, Any]:
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


class OneToOne(ManyToOne):
    """One input, one answer: a single step from a state of zeros, which makes it a multilayer perceptron.

    With the cell `rnn`, y = tanh(x W_xh + b_h) W_hy + b_y. W_hh is multiplied by zeros and gets no gradient.
    """

    name = "one-to-one"

    def steps(self, inputs: int = 1, answers: int = 1) -> list[Step]:
        """See Wiring.steps."""
        return [Step("", reads=1, answers=1)]

    def forward(
        self,
        network: Network,
        inputs: np.ndarray,
        lengths: np.ndarray | None,
        targets: np.ndarray | None = None,
        steps: int | None = None,
    ) -> tuple[np.ndarray, Any]:
        """See Wiring.forward; inputs (1, B, I), outputs (B, K)."""
        _expect_one_input(self.name, inputs, lengths)
        return super().forward(network, inputs, lengths)


class ManyToMany(Wiring):
    """An answer at every step, aligned with the inputs."""

    name = "many-to-many"

    def steps(self, inputs: int, answers: int = 0) -> list[Step]:
        """See Wiring.steps."""
        return [Step("", reads=t, answers=t) for t in range(1, inputs + 1)]

    def forward(
        self,
        network: Network,
        inputs: np.ndarray,
        lengths: np.ndarray | None,
        targets: np.ndarray | None = None,
        steps: int | None = None,
    ) -> tuple[np.ndarray, Any]:
        """See Wiring.forward; outputs (T, B, K)."""
        trace = network.stack.forward(inputs, lengths=lengths)
        return _answers(network, trace.h), trace

    def backward(self, network: Network, tape: StackTrace, d_outputs: np.ndarray) -> None:
        """See Wiring.backward."""
        network.stack_backward(tape, _answers_backward(network, tape.h, d_outputs), None)


class OneToMany(Wiring):
    """Many answers to one input: the first step reads it, every later one the answer of the step before.

    The stack reads [x, y], I + K features: at the first step the input beside zeros, then zeros beside the answer:
    a one-hot vector of the class for cross_entropy, the numbers themselves for mse.
    """

    name = "one-to-many"
    feeds_back = True

    def stack_inputs(self, input_size: int, output_size: int) -> dict[str, int]:
        """See Wiring.stack_inputs."""
        return {"": input_size + output_size}

    def steps(self, inputs: int, answers: int) -> list[Step]:
        """See Wiring.steps."""
        return [
            Step("", reads=1 if t == 1 else None, feeds=t - 1 if t > 1 else None, answers=t)
            for t in range(1, answers + 1)
        ]

    def forward(
        self,
        network: Network,
        inputs: np.ndarray,
        lengths: np.ndarray | None,
        targets: np.ndarray | None = None,
        steps: int | None = None,
    ) -> tuple[np.ndarray, Any]:
        """See Wiring.forward; inputs (1, B, I), outputs (T, B, K)."""
        _expect_one_input(self.name, inputs, lengths)
        return _decode(network, inputs[0], None, targets, steps)

    def backward(self, network: Network, tape: StackTrace, d_outputs: np.ndarray) -> None:
        """See Wiring.backward."""
        network.stack_backward(tape, _answers_backward(network, tape.h, d_outputs), None)


class SequenceToSequence(Wiring):
    """An encoder reads the inputs; its last state is the first of a decoder, which feeds its answers back to itself.

    Inputs (S, B, I) and answers (T, B, K) have lengths of their own. The decoder reads K features: zeros at its
    first step, then the answer of the step before, as in one-to-many.
    Source: Sutskever, Vinyals & Le 2014, "Sequence to Sequence Learning with Neural Networks" (without the
    reversal of the inputs); Cho et al. 2014 hand the encoder's state to every step instead.
    """

    name = "sequence-to-sequence"
    feeds_back = True

    def stack_inputs(self, input_size: int, output_size: int) -> dict[str, int]:
        """See Wiring.stack_inputs."""
        return {"encoder": input_size, "decoder": output_size}

    def steps(self, inputs: int, answers: int) -> list[Step]:
        """See Wiring.steps."""
        encoder = [Step("encoder", reads=t) for t in range(1, inputs + 1)]
        return encoder + [Step("decoder", feeds=t - 1 if t > 1 else None, answers=t) for t in range(1, answers + 1)]

    def forward(
        self,
        network: Network,
        inputs: np.ndarray,
        lengths: np.ndarray | None,
        targets: np.ndarray | None = None,
        steps: int | None = None,
    ) -> tuple[np.ndarray, Any]:
        """See Wiring.forward; lengths are those of the inputs; outputs (T, B, K)."""
        read = network.stacks["encoder"].forward(inputs, lengths=lengths)
        nothing = np.zeros((inputs.shape[1], 0), network.dtype)
        outputs, written = _decode(network, nothing, read.state, targets, steps)
        return outputs, (read, written)

    def backward(self, network: Network, tape: tuple[StackTrace, StackTrace], d_outputs: np.ndarray) -> None:
        """See Wiring.backward; dL/d(the decoder's first state) is the encoder's dL/d(final state)."""
        read, written = tape
        d_state = network.stack_backward(written, _answers_backward(network, written.h, d_outputs), None, "decoder")
        network.stack_backward(read, None, d_state, "encoder")


def _expect_one_input(name: str, inputs: np.ndarray, lengths: np.ndarray | None) -> None:
    if len(inputs) != 1 or lengths is not None:
        found = f"{len(inputs)} inputs{'' if lengths is None else ' and lengths'}"
        raise ShapeError(f"a {name} network got {found}; expected (1, B, I) and no lengths")


def _answers(network: Network, h: np.ndarray) -> np.ndarray:
    """Return the outputs (T, B, K) of states h (T, B, H)."""
    steps, batch, width = h.shape
    return network.read_out(np.ascontiguousarray(h).reshape(steps * batch, width)).reshape(steps, batch, -1)


def _answers_backward(network: Network, h: np.ndarray, d_outputs: np.ndarray) -> np.ndarray:
    """Write the readout's gradient and return dL/dh (T, B, H)."""
    features = np.ascontiguousarray(h).reshape(-1, h.shape[2])
    return network.read_out_backward(features, d_outputs.reshape(len(features), -1)).reshape(h.shape)


def _decode(
    network: Network, first: np.ndarray, state: Arrays | None, targets: np.ndarray | None, steps: int | None
) -> tuple[np.ndarray, StackTrace | None]:
    """Return the outputs of a stack that reads `first` (B, F) and then answers, and its trace if it was forced."""
    if targets is not None:
        fed = network.encode_answers(targets)
        x = np.zeros((*fed.shape[:2], first.shape[1] + fed.shape[2]), network.dtype)
        x[0, :, : first.shape[1]] = first
        x[1:, :, first.shape[1] :] = fed[:-1]
        trace = network.stack.forward(x, state)
        return _answers(network, trace.h), trace
    if steps is None:
        raise InputError(f"a {network.wiring.name} network is to answer on its own; expected the number of steps")
    none_yet = np.zeros((len(first), network.output_size), network.dtype)
    x = np.concatenate([first, none_yet], axis=1)
    return run_on_own_answers(network, network.stack, x, state, steps, network.own_answers), None


def run_on_own_answers(
    network: Network,
    stack: Stack,
    x: np.ndarray,
    state: Arrays | None,
    steps: int,
    choose: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return outputs (T, B, K) of a stack that reads x (B, F), then at each step what `choose` makes of its output.

    `choose` takes outputs (B, K) and returns answers (B, K); they take the last K of the F features, zeros the rest.
    """
    outputs = np.zeros((steps, len(x), network.output_size), network.dtype)
    for t in range(steps):
        trace = stack.forward(x[None], state)
        state = trace.state
        outputs[t] = network.read_out(trace.h[0])
        x = np.zeros_like(x)
        x[:, -network.output_size :] = choose(outputs[t])
    return outputs


WIRINGS: dict[str, Wiring] = {
    wiring.name: wiring for wiring in (OneToOne(), OneToMany(), ManyToOne(), ManyToMany(), SequenceToSequence())
}
