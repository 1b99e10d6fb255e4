"""A layer's numbers on the device, and the two ways to run its recurrence over a span of steps.

`Persistent` launches one kernel a span; `Stepwise` two products and two kernels a step, or twice that with late gates.
Both read and write the same arrays, so that all around them is the same.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from rnnbench.backends.base import Arrays
from rnnbench.backends.cuda import backward, forward, packing, stepwise
from rnnbench.backends.cuda.arrangement import QUAD_BYTES, rounded
from rnnbench.backends.cuda.elements import Elements, elements
from rnnbench.backends.cuda.gemm import Matrix, products
from rnnbench.backends.cuda.plan import Plan
from rnnbench.backends.cuda.simulator import ARRIVAL_STRIDE
from rnnbench.backends.functions import source_tag
from rnnbench.cells.base import Cell


class Sizes(NamedTuple):
    """T steps of B sequences, I features, H units."""

    steps: int
    batch: int
    features: int
    hidden: int


class Weights(NamedTuple):
    """Parameters on the device, columns in the order of the pre-activations."""

    input: Any
    """(I, G*H)"""
    recurrent: Any
    """(H, G*H)"""
    bias: Any
    """(P*H,)"""


def ordered_weights(cell: Cell, params: Arrays) -> Weights:
    """Return a layer's parameters in the order of the device, still the host's."""
    hidden = params["W_hh"].shape[0]
    separate = [params[cell.separate_bias]] if cell.separate else []
    return Weights(
        input=_ordered(params["W_xh"], cell.input_gates, hidden),
        recurrent=_ordered(params["W_hh"], cell.recurrent_gates, hidden),
        bias=np.concatenate([_ordered(params["b_h"], cell.input_gates, hidden), *separate]),
    )


def restored_params(cell: Cell, weights: Weights) -> Arrays:
    """Return a layer's parameters, or gradients by them, from the order of the device: input (I, G*H), and so on."""
    hidden = weights.recurrent.shape[0]
    width = len(cell.gates) * hidden
    params = {
        "W_xh": _restored(weights.input, cell.input_gates, hidden),
        "W_hh": _restored(weights.recurrent, cell.recurrent_gates, hidden),
        "b_h": _restored(weights.bias[:width], cell.input_gates, hidden),
    }
    return params | ({cell.separate_bias: weights.bias[width:].copy()} if cell.separate else {})


def _ordered(columns: np.ndarray, gates: tuple[int, ...], hidden: int) -> np.ndarray:
    """Return (..., G*H) with the gates in another order."""
    by_gate = columns.reshape(*columns.shape[:-1], len(gates), hidden)
    return by_gate[..., list(gates), :].reshape(columns.shape)


def _restored(columns: np.ndarray, gates: tuple[int, ...], hidden: int) -> np.ndarray:
    """Return (..., G*H) with the gates in the order of the parameters: what _ordered does, undone."""
    return _ordered(columns, tuple(int(k) for k in np.argsort(gates)), hidden)


@cache
def cell_elements(device: Any, cell: Cell, dtype: np.dtype, fast: bool) -> Elements:
    """Return a cell's device functions, made once."""
    return elements(cell, dtype, device, fast)


@cache
def packers(device: Any, dtype: np.dtype) -> tuple[Any, Any]:
    """Return the kernels that pack W_hh for forward and backward."""
    quad = QUAD_BYTES // dtype.itemsize
    first, second = packing.forward_packing(device, dtype, quad), packing.backward_packing(device, dtype)
    return (
        device.kernel(first, packing.FORWARD_ARGUMENTS, dtype, packing.THREADS, "pack_forward"),
        device.kernel(second, packing.BACKWARD_ARGUMENTS, dtype, packing.THREADS, "pack_backward"),
    )


def cell_tag(cell: Cell, fast: bool) -> str:
    """Return what tells a cell's compiled functions from those of any other cell, and of its own in the other mode."""
    functions = cell.forward_element, cell.backward_element, cell.operand_element, cell.operand_backward_element
    return f"{cell.name}_{source_tag(*functions)}{'_fast' if fast else ''}"


@cache
def persistent_kernels(device: Any, cell: Cell, dtype: np.dtype, plan: Plan, fast: bool) -> tuple[Any, Any]:
    """Return the kernels forward and backward of a plan."""
    functions, tag = cell_elements(device, cell, dtype, fast), cell_tag(cell, fast)
    first, second = plan.forward, plan.backward
    assert first is not None
    assert second is not None
    kernels = forward.forward_kernel(device, first, functions), backward.backward_kernel(device, second, functions)
    return (
        device.kernel(kernels[0], forward.ARGUMENTS, dtype, first.threads, f"forward_{tag}_{first.tag}"),
        device.kernel(kernels[1], backward.ARGUMENTS, dtype, second.threads, f"backward_{tag}_{second.tag}"),
    )


@cache
def stepwise_kernels(device: Any, cell: Cell, dtype: np.dtype, fast: bool) -> dict[str, Any]:
    """Return the kernels of the stepwise way by name."""
    own = cell, dtype, cell_elements(device, cell, dtype, fast)
    made = {
        "advance": (stepwise.advance_kernel(device, *own), stepwise.ADVANCE_ARGUMENTS),
        "differentiate": (stepwise.differentiate_kernel(device, *own), stepwise.DIFFERENTIATE_ARGUMENTS),
        "add": (stepwise.add_kernel(device), stepwise.ADD_ARGUMENTS),
    }
    if cell.late:
        made |= {
            "offer": (stepwise.offer_kernel(device, *own), stepwise.OFFER_ARGUMENTS),
            "through_operand": (stepwise.through_operand_kernel(device, *own), stepwise.THROUGH_OPERAND_ARGUMENTS),
        }
    tag = cell_tag(cell, fast)
    return {name: device.kernel(*kernel, dtype, stepwise.THREADS, f"{name}_{tag}") for name, kernel in made.items()}


class Span(NamedTuple):
    """Steps of one launch, and what belongs to them alone."""

    first: int
    steps: int
    memory: Any
    """[slots][S-1][B][H]: forward starts from slot 0"""
    saved: Any
    keeps: bool
    """whether memory has a slot a step, and saved is written"""


class BackwardArrays(NamedTuple):
    """Arrays of all steps that backward reads and writes: see backward.py."""

    d_h: Any
    d_z: Any
    operands: Any
    sequence: Any
    d_state: Any
    wants_sequence: bool


class Recurrence:
    """What both ways know: the device, the sizes, and the arrays of all steps."""

    def __init__(
        self,
        device: Any,
        cell: Cell,
        dtype: np.dtype,
        sizes: Sizes,
        plan: Plan,
        weights: Weights,
        h: Any,
        lengths: Any,
        fast: bool,
    ) -> None:
        self.device, self.cell, self.dtype, self.sizes, self.plan = device, cell, dtype, sizes, plan
        self.weights, self.h, self.lengths, self.fast = weights, h, lengths, fast
        self.padded = rounded(sizes.hidden, QUAD_BYTES // dtype.itemsize)
        self.row_size = sizes.batch * len(cell.gates) * sizes.hidden

    def empty(self, size: int) -> Any:
        """Return memory for so many numbers, at least one."""
        return self.device.empty(max(1, size), self.dtype)


class Persistent(Recurrence):
    """All steps of a span in one launch."""

    def forward(self, x_product: Any, span: Span) -> int:
        """Run a span; return the slot of memory that has its last states."""
        device, plan, sizes = self.device, self.plan.forward, self.sizes
        assert plan is not None
        pack, _ = packers(device, self.dtype)
        kernel, _ = persistent_kernels(device, self.cell, self.dtype, self.plan, self.fast)
        packed = packing.pack_forward(device, pack, plan, self.weights.recurrent)
        operand = self.empty(sizes.batch * self.padded if plan.late else 0)
        if plan.late:
            operand = device.zeros(sizes.batch * self.padded, self.dtype)
        arguments = (
            x_product[span.first * self.row_size :], self.weights.bias, packed, self.h, operand, span.memory,
            span.saved, self.lengths, device.zeros(self.plan.groups * ARRIVAL_STRIDE, np.dtype(np.int32)),
            span.first, span.steps, sizes.batch, int(span.keeps),
        )  # fmt: skip
        device.launch(kernel, (plan.blocks, self.plan.groups, 1), arguments, plan.shared_bytes, not plan.alone)
        return span.steps if span.keeps else 1

    def backward(self, span: Span, arrays: BackwardArrays) -> None:
        """Run a span backward."""
        device, plan, sizes = self.device, self.plan.backward, self.sizes
        assert plan is not None
        _, pack = packers(device, self.dtype)
        _, kernel = persistent_kernels(device, self.cell, self.dtype, self.plan, self.fast)
        packed = packing.pack_backward(device, pack, plan, self.weights.recurrent)
        parts = 0 if plan.alone else 2 * self.plan.groups * plan.sources * plan.tiled_rows * plan.padded
        arguments = (
            arrays.d_h, self.h, span.memory, span.saved, packed, arrays.d_z, arrays.operands, arrays.sequence,
            arrays.d_state, self.empty(parts), self.lengths,
            device.zeros(self.plan.groups * ARRIVAL_STRIDE, np.dtype(np.int32)),
            span.first, span.steps, sizes.batch, int(arrays.wants_sequence),
        )  # fmt: skip
        device.launch(kernel, (plan.blocks, self.plan.groups, 1), arguments, plan.shared_bytes, not plan.alone)


class Stepwise(Recurrence):
    """A product and a kernel a step, for layers that do not fit."""

    def _launch(self, name: str, arguments: tuple, now: int, step: int, *more: int) -> None:
        sizes = self.sizes
        kernel = stepwise_kernels(self.device, self.cell, self.dtype, self.fast)[name]
        blocks = -(-sizes.batch * sizes.hidden // stepwise.THREADS)
        numbers = now, step, sizes.batch, sizes.hidden, self.padded
        self.device.launch(kernel, (blocks, 1, 1), (*arguments, *numbers, *more))

    def _columns(self, first_gate: int, gates: int) -> Matrix:
        """Return the columns of some gates in W_hh."""
        hidden, width = self.sizes.hidden, len(self.cell.gates) * self.sizes.hidden
        return Matrix(self.weights.recurrent, hidden, gates * hidden, width, 1, first_gate * hidden)

    def forward(self, x_product: Any, span: Span) -> int:
        """Run a span; return the slot of memory that has its last states."""
        (_, batch, _, hidden), count = self.sizes, stepwise.Counts(self.cell)
        multiply = products(self.device, self.dtype).multiply
        operand, late_product = self.empty(batch * hidden), self.empty(0)
        inputs = x_product[span.first * self.row_size :], self.weights.bias
        slot = 0
        for step in range(span.steps):
            now = span.first + step
            before, slot = slot, step + 1 if span.keeps else 1 - slot
            states = Matrix(self.h, batch, hidden, self.padded, 1, now * batch * self.padded)
            product = multiply(states, self._columns(0, count.early)) if count.early else self.empty(0)
            if count.late:
                self._launch("offer", (*inputs, product, self.h, span.memory, operand), now, step, before)
                late_product = multiply(Matrix(operand, batch, hidden, hidden), self._columns(count.early, count.late))
            arrays = (*inputs, product, late_product, self.h, span.memory, span.saved, self.lengths)
            self._launch("advance", arrays, now, step, before, slot, int(span.keeps))
        return slot

    def backward(self, span: Span, arrays: BackwardArrays) -> None:
        """Run a span backward."""
        (_, batch, _, hidden), count = self.sizes, stepwise.Counts(self.cell)
        multiply = products(self.device, self.dtype).multiply
        states = self.h, span.memory, span.saved
        width = count.z * hidden
        for step in reversed(range(span.steps)):
            now = span.first + step
            written = arrays.d_z, arrays.sequence, arrays.d_state, self.lengths
            self._launch("differentiate", (arrays.d_h, *states, *written), now, step, int(arrays.wants_sequence))
            start = (now * batch * count.z + count.separate) * hidden
            if count.late:
                late = Matrix(arrays.d_z, batch, count.late * hidden, width, 1, start + count.early * hidden)
                product = multiply(late, self._columns(count.early, count.late).transposed)
                written = arrays.d_z, arrays.operands, arrays.d_state, self.lengths
                self._launch("through_operand", (product, *states, *written), now, step)
            if count.early:
                early = Matrix(arrays.d_z, batch, count.early * hidden, width, 1, start)
                product = multiply(early, self._columns(0, count.early).transposed)
                self._launch("add", (product, arrays.d_state, self.lengths), now, step)
