"""A pass through time on the device: forward, and backward from what forward kept there.

Checkpoints give up the saved values and the other states between every so many steps, and compute them again; d_z and
x W_xh are whole in both cases, so that every product is the same, and the gradients are the same to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnbench.backends.base import Arrays, Gradients
from rnnbench.backends.cuda.gemm import Matrix, products
from rnnbench.backends.cuda.layers import BackwardArrays, Persistent, Sizes, Span, Stepwise, Weights, restored
from rnnbench.backends.cuda.plan import plan_for
from rnnbench.cells.base import Cell

__all__ = ["Pass", "Sizes"]


class Pass:
    """One layer and one batch on the device."""

    def __init__(
        self,
        device: Any,
        cell: Cell,
        dtype: np.dtype,
        sizes: Sizes,
        params: Arrays,
        x: np.ndarray,
        lengths: np.ndarray | None,
        fast: bool = False,
    ) -> None:
        self.device, self.cell, self.dtype, self.sizes = device, cell, dtype, sizes
        self.plan = plan_for(cell, sizes.hidden, sizes.batch, dtype, device.limits)
        self.weights = Weights(device, cell, dtype, params)
        self.x = device.upload(x)
        steps = np.full(sizes.batch, sizes.steps) if lengths is None else lengths
        way = Stepwise if self.plan.forward is None else Persistent
        self.padded = -(-sizes.hidden * dtype.itemsize // 16) * 16 // dtype.itemsize
        self.h = device.zeros((sizes.steps + 1) * sizes.batch * self.padded, dtype)
        self.recurrence = way(
            device, cell, dtype, sizes, self.plan, self.weights, self.h, device.upload(steps.astype(np.int32)), fast
        )
        self.slot = (len(cell.states) - 1) * sizes.batch * sizes.hidden
        self.every = sizes.steps
        self.spans: list[Span] = []
        self.checkpoints: list[Any] = []

    def forward(self, state: Arrays, every: int, store: bool) -> Arrays:
        """Run all steps, keeping what backward needs, or every so many steps' states alone; return the final states."""
        steps, batch, _, hidden = self.sizes
        self.every = every
        keeps = store and every == steps
        padded = np.zeros((batch, self.padded), self.dtype)
        padded[:, :hidden] = state["h" if "h" in state else self.cell.states[0]]
        self.device.write(padded, self.h, 0)
        memory, saved = self._tape(steps if keeps else 1, keeps)
        for k, name in enumerate(self.cell.states[1:]):
            self.device.write(np.asarray(state[name], self.dtype), memory, k * batch * hidden)
        x_product = self._project()
        for first in range(0, steps, every):
            if store and not keeps:
                self.checkpoints.append(self._copy(memory, 0))
            span = Span(first, min(every, steps - first), memory, saved, keeps)
            slot = self.recurrence.forward(x_product, span)
            if first + every < steps and self.slot and slot:
                self.device.copy(memory, slot * self.slot, self.slot, memory, 0)
        if keeps:
            self.spans = [span]
        return self._final(memory, slot)

    def backward(self, d_h: np.ndarray, d_state: Arrays, state_sequence: bool, input_gradient: bool) -> Gradients:
        """Return all gradients, given dL/dh_t of every step, zero past each sequence's end."""
        steps, batch, _, hidden = self.sizes
        cell, device, values = self.cell, self.device, steps * batch * hidden
        delta = np.zeros((len(cell.states), batch, hidden), self.dtype)
        for k, name in enumerate(cell.states):
            if name in d_state:
                delta[k] = d_state[name]
        arrays = BackwardArrays(
            d_h=device.upload(np.ascontiguousarray(d_h, self.dtype)),
            d_z=self._empty(values * len(cell.preactivations)),
            operands=self._empty(values if cell.late else 0),
            sequence=self._empty(values * len(cell.states) if state_sequence else 0),
            d_state=device.upload(delta),
            wants_sequence=state_sequence,
        )
        for span in reversed(self.spans):
            self.recurrence.backward(span, arrays)
        if not self.spans:
            self._backward_by_stretches(arrays)
        params, d_x = self._products(arrays, input_gradient)
        by_states = device.download(arrays.d_state).reshape(delta.shape)
        sequence = None
        if state_sequence:
            found = device.download(arrays.sequence).reshape(steps, len(cell.states), batch, hidden)
            sequence = {name: found[:, k] for k, name in enumerate(cell.states)}
        return Gradients(d_x, params, dict(zip(cell.states, by_states, strict=True)), sequence)

    def _backward_by_stretches(self, arrays: BackwardArrays) -> None:
        """Run each stretch between checkpoints forward once more, then backward."""
        memory, saved = self._tape(self.every, keeps=True)
        x_product = self._project()
        starts = range(0, self.sizes.steps, self.every)
        for first, checkpoint in reversed(list(zip(starts, self.checkpoints, strict=True))):
            if self.slot:
                self.device.copy(checkpoint, 0, self.slot, memory, 0)
            span = Span(first, min(self.every, self.sizes.steps - first), memory, saved, keeps=True)
            self.recurrence.forward(x_product, span)
            self.recurrence.backward(span, arrays)

    def _empty(self, size: int) -> Any:
        return self.device.empty(max(1, size), self.dtype)

    def _tape(self, steps: int, keeps: bool) -> tuple[Any, Any]:
        """Return memory for so many steps, and saved values if they are kept."""
        _, batch, _, hidden = self.sizes
        values = steps * len(self.cell.saved) * batch * hidden
        return self._empty((steps + 1) * self.slot), self._empty(values if keeps else 0)

    def _copy(self, memory: Any, slot: int) -> Any:
        copy = self._empty(self.slot)
        if self.slot:
            self.device.copy(memory, slot * self.slot, self.slot, copy, 0)
        return copy

    def _project(self) -> Any:
        """Return x W_xh of all steps, (T*B, G*H)."""
        steps, batch, features, hidden = self.sizes
        width = len(self.cell.gates) * hidden
        x = Matrix(self.x, steps * batch, features, features)
        return products(self.device, self.dtype).multiply(x, Matrix(self.weights.input, features, width, width))

    def _final(self, memory: Any, slot: int) -> Arrays:
        steps, batch, _, hidden = self.sizes
        size = batch * self.padded
        last = self.device.download(self.h[steps * size : (steps + 1) * size]).reshape(batch, self.padded)
        final = {self.cell.states[0]: last[:, :hidden].copy()}
        for k, name in enumerate(self.cell.states[1:]):
            start = slot * self.slot + k * batch * hidden
            final[name] = self.device.download(memory[start : start + batch * hidden]).reshape(batch, hidden)
        return final

    def _products(self, arrays: BackwardArrays, input_gradient: bool) -> tuple[Arrays, np.ndarray | None]:
        """Return the gradients by the parameters and by x, from d_z of all steps."""
        (steps, batch, features, hidden), cell = self.sizes, self.cell
        rows, gates, late = steps * batch, len(cell.gates), len(cell.late)
        width, z_width = gates * hidden, len(cell.preactivations) * hidden
        multiply, download = products(self.device, self.dtype).multiply, self.device.download

        def d_z(start: int, columns: int) -> Matrix:
            return Matrix(arrays.d_z, rows, columns, z_width, 1, start)

        inputs = d_z(0, width)
        x = Matrix(self.x, rows, features, features)
        ones = Matrix(self.device.upload(np.ones(1, self.dtype)), 1, rows, 0, 0)
        first_recurrent, early = len(cell.separate) * hidden, (gates - late) * hidden
        by_recurrent = []
        if early:
            h = Matrix(self.h, rows, hidden, self.padded)
            by_recurrent.append(download(multiply(h.transposed, d_z(first_recurrent, early))).reshape(hidden, -1))
        if late:
            operands = Matrix(arrays.operands, rows, hidden, hidden)
            by_late = multiply(operands.transposed, d_z(first_recurrent + early, late * hidden))
            by_recurrent.append(download(by_late).reshape(hidden, -1))
        bias = download(multiply(ones, d_z(0, z_width)))
        by_input = download(multiply(x.transposed, inputs)).reshape(features, width)
        params = {
            "W_xh": restored(by_input, cell.input_gates, hidden),
            "W_hh": restored(np.concatenate(by_recurrent, axis=1), cell.recurrent_gates, hidden),
            "b_h": restored(bias[:width], cell.input_gates, hidden),
        }
        if cell.separate:
            params[cell.separate_bias] = bias[width:].copy()
        if not input_gradient:
            return params, None
        weights = Matrix(self.weights.input, features, width, width)
        d_x = download(multiply(inputs, weights.transposed)).reshape(steps, batch, features)
        return params, d_x
