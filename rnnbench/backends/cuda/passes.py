"""A pass through time on the device: forward, and backward from what forward kept there.

What comes from the host and goes back to it is apart from what runs on the device alone, so that the latter can be
timed, and so that numbers may stay there between passes.

Checkpoints give up the saved values and the other states between every so many steps, and compute them again; d_z and
x W_xh are whole in both cases, so that every product is the same, and the gradients are the same to the last bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnnbench.backends.base import Arrays, Gradients
from rnnbench.backends.cuda.arrangement import QUAD_BYTES, rounded
from rnnbench.backends.cuda.gemm import Matrix, products
from rnnbench.backends.cuda.layers import (
    BackwardArrays,
    Persistent,
    Sizes,
    Span,
    Stepwise,
    Weights,
    restored_params,
)
from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.plan import plan_for
from rnnbench.cells.base import Cell


class Products(NamedTuple):
    """Gradients on the device: sums over all steps and sequences."""

    x: Any
    """(T*B, I), None where it is not wanted"""
    weights: Weights
    """flat, in the shapes and the order of Weights"""


class Pass:
    """One layer and one batch on the device, where weights, x (T*B*I) and lengths (B) are already."""

    def __init__(
        self,
        device: Any,
        cell: Cell,
        dtype: np.dtype,
        sizes: Sizes,
        weights: Weights,
        x: Any,
        lengths: Any,
        limits: Limits,
        fast: bool = False,
    ) -> None:
        steps, batch, _, hidden = sizes
        self.device, self.cell, self.dtype, self.sizes = device, cell, dtype, sizes
        self.plan = plan_for(cell, hidden, batch, dtype, limits)
        self.weights, self.x = weights, x
        self.padded = rounded(hidden, QUAD_BYTES // dtype.itemsize)
        self.h = device.zeros((steps + 1) * batch * self.padded, dtype)
        self.memory_size = (len(cell.states) - 1) * batch * hidden
        way = Stepwise if self.plan.forward is None else Persistent
        self.recurrence = way(device, cell, dtype, sizes, self.plan, weights, self.h, lengths, fast)
        self.every = steps
        self.memory, self.saved, self.slot = self._empty(0), self._empty(0), 0
        self.checkpoints: list[Any] = []

    def start(self, every: int, store: bool) -> None:
        """Begin with states of zeros, and make room for what is kept: all of a step, or every so many steps' states."""
        steps = self.sizes.steps
        self.every, self.store, self.keeps = every, store, store and every == steps
        self.memory, self.saved = self._tape(steps if self.keeps else 1, self.keeps)
        if self.memory_size:
            self.device.copy(self.device.zeros(self.memory_size, self.dtype), 0, self.memory_size, self.memory, 0)

    def start_from(self, state: Arrays) -> None:
        """Begin with the host's states, after `start`."""
        _, batch, _, hidden = self.sizes
        first, *others = (np.asarray(state[name], self.dtype) for name in self.cell.states)
        padded = np.zeros((batch, self.padded), self.dtype)
        padded[:, :hidden] = first
        self.device.write(padded, self.h, 0)
        for k, values in enumerate(others):
            self.device.write(values, self.memory, k * batch * hidden)

    def forward(self) -> None:
        """Run all steps on the device, from the states of `start`."""
        steps, x_product = self.sizes.steps, self._project()
        self.checkpoints = []
        for first in range(0, steps, self.every):
            if self.store and not self.keeps:
                self.checkpoints.append(self._copy(self.memory, 0))
            span = Span(first, min(self.every, steps - first), self.memory, self.saved, self.keeps)
            self.slot = self.recurrence.forward(x_product, span)
            if first + self.every < steps and self.slot and self.memory_size:
                self.device.copy(self.memory, self.slot * self.memory_size, self.memory_size, self.memory, 0)

    def final(self) -> Arrays:
        """Return the states after the last step."""
        steps, batch, _, hidden = self.sizes
        size = batch * self.padded
        last = self.device.download(self.h[steps * size : (steps + 1) * size]).reshape(batch, self.padded)
        found = {self.cell.states[0]: last[:, :hidden].copy()}
        for k, name in enumerate(self.cell.states[1:]):
            start = self.slot * self.memory_size + k * batch * hidden
            found[name] = self.device.download(self.memory[start : start + batch * hidden]).reshape(batch, hidden)
        return found

    def start_backward(self, d_h: np.ndarray, d_state: Arrays, state_sequence: bool) -> BackwardArrays:
        """Take the host's dL/dh_t of every step, zero past each sequence's end, and gradients by the final states."""
        _, batch, _, hidden = self.sizes
        delta = np.zeros((len(self.cell.states), batch, hidden), self.dtype)
        for k, name in enumerate(self.cell.states):
            if name in d_state:
                delta[k] = d_state[name]
        arrays = self.device.upload(np.ascontiguousarray(d_h, self.dtype)), self.device.upload(delta)
        return self.backward_arrays(*arrays, state_sequence)

    def backward_arrays(self, d_h: Any, d_state: Any, state_sequence: bool) -> BackwardArrays:
        """Return what backward reads and writes, from dL/dh_t and the gradients by the final states on the device."""
        steps, batch, _, hidden = self.sizes
        cell, values = self.cell, steps * batch * hidden
        return BackwardArrays(
            d_h=d_h,
            d_z=self._empty(values * len(cell.preactivations)),
            operands=self._empty(values if cell.late else 0),
            sequence=self._empty(values * len(cell.states) if state_sequence else 0),
            d_state=d_state,
            wants_sequence=state_sequence,
        )

    def backward(self, arrays: BackwardArrays, input_gradient: bool, into: Weights | None = None) -> Products:
        """Run all steps backward on the device, then the products; gradients by the weights go to `into` if given."""
        if self.keeps:
            self.recurrence.backward(Span(0, self.sizes.steps, self.memory, self.saved, True), arrays)
        else:
            self._backward_by_stretches(arrays)
        return self._products(arrays, input_gradient, into or self._room())

    def gradients(self, arrays: BackwardArrays, found: Products) -> Gradients:
        """Return what backward found, in the order of the parameters."""
        (steps, batch, features, hidden), cell, download = self.sizes, self.cell, self.device.download
        width = len(cell.gates) * hidden
        by_input, by_recurrent, by_bias = map(download, found.weights)
        by_weights = Weights(by_input.reshape(features, width), by_recurrent.reshape(hidden, width), by_bias)
        sequence = None
        if arrays.wants_sequence:
            values = download(arrays.sequence).reshape(steps, len(cell.states), batch, hidden)
            sequence = {name: values[:, k] for k, name in enumerate(cell.states)}
        by_states = download(arrays.d_state).reshape(len(cell.states), batch, hidden)
        return Gradients(
            x=None if found.x is None else download(found.x).reshape(steps, batch, features),
            params=restored_params(cell, by_weights),
            state=dict(zip(cell.states, by_states, strict=True)),
            state_sequence=sequence,
        )

    def _backward_by_stretches(self, arrays: BackwardArrays) -> None:
        """Run each stretch between checkpoints forward once more, then backward."""
        memory, saved = self._tape(self.every, keeps=True)
        x_product = self._project()
        starts = range(0, self.sizes.steps, self.every)
        for first, checkpoint in reversed(list(zip(starts, self.checkpoints, strict=True))):
            if self.memory_size:
                self.device.copy(checkpoint, 0, self.memory_size, memory, 0)
            span = Span(first, min(self.every, self.sizes.steps - first), memory, saved, True)
            self.recurrence.forward(x_product, span)
            self.recurrence.backward(span, arrays)

    def _empty(self, size: int) -> Any:
        return self.device.empty(max(1, size), self.dtype)

    def _tape(self, steps: int, keeps: bool) -> tuple[Any, Any]:
        """Return memory for so many steps, and saved values if they are kept."""
        _, batch, _, hidden = self.sizes
        values = steps * len(self.cell.saved) * batch * hidden
        return self._empty((steps + 1) * self.memory_size), self._empty(values if keeps else 0)

    def _copy(self, memory: Any, slot: int) -> Any:
        copy = self._empty(self.memory_size)
        if self.memory_size:
            self.device.copy(memory, slot * self.memory_size, self.memory_size, copy, 0)
        return copy

    def _project(self) -> Any:
        """Return x W_xh of all steps, (T*B, G*H)."""
        steps, batch, features, hidden = self.sizes
        width = len(self.cell.gates) * hidden
        x = Matrix(self.x, steps * batch, features, features)
        return products(self.device, self.dtype).multiply(x, Matrix(self.weights.input, features, width, width))

    def _room(self) -> Weights:
        """Return room for the gradients by the weights."""
        _, _, features, hidden = self.sizes
        width = len(self.cell.gates) * hidden
        sizes = features * width, hidden * width, len(self.cell.preactivations) * hidden
        return Weights(*(self._empty(size) for size in sizes))

    def _products(self, arrays: BackwardArrays, input_gradient: bool, into: Weights) -> Products:
        """Return the gradients by the parameters and by x, from d_z of all steps."""
        (steps, batch, features, hidden), cell = self.sizes, self.cell
        rows, late = steps * batch, len(cell.late) * hidden
        width, z_width = len(cell.gates) * hidden, len(cell.preactivations) * hidden
        first_recurrent, early = len(cell.separate) * hidden, width - late
        multiply = products(self.device, self.dtype).multiply

        def d_z(start: int, columns: int) -> Matrix:
            return Matrix(arrays.d_z, rows, columns, z_width, 1, start)

        x, weights = Matrix(self.x, rows, features, features), Matrix(self.weights.input, features, width, width)
        h, operands = Matrix(self.h, rows, hidden, self.padded), Matrix(arrays.operands, rows, hidden, hidden)
        ones = Matrix(self.device.ones(self.dtype), 1, rows, 0, 0)
        multiply(x.transposed, d_z(0, width), Matrix(into.input, features, width, width))
        multiply(ones, d_z(0, z_width), Matrix(into.bias, 1, z_width, z_width))
        if early:
            multiply(h.transposed, d_z(first_recurrent, early), Matrix(into.recurrent, hidden, early, width))
        if late:
            to = Matrix(into.recurrent, hidden, late, width, 1, early)
            multiply(operands.transposed, d_z(first_recurrent + early, late), to)
        return Products(multiply(d_z(0, width), weights.transposed) if input_gradient else None, into)
