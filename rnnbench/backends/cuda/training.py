"""Training on the device: parameters, gradient and the optimizer's state are flat vectors that stay there.

Both vectors hold the layers one after the other, each as layers.Weights, then W_hy (D*H, K) and b_y (K,). What happens
to a weight depends on no other, so their order is the device's. The batches of all steps up to the next report go to
the device before the first of these steps; what became of the steps comes back, once, after the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from rnnbench.backends.base import without_padding
from rnnbench.backends.cuda import conclusion, pointwise
from rnnbench.backends.cuda.elements import update_element
from rnnbench.backends.cuda.gemm import Matrix, products
from rnnbench.backends.cuda.layers import Sizes, Weights, ordered_weights, restored_params
from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.passes import Pass
from rnnbench.backends.functions import source_tag
from rnnbench.backends.resident import Examples, Learning, Model, Resident, Taken

READOUT = ("W_hy", "b_y")


@cache
def kernels(device: Any, dtype: np.dtype, loss: str) -> dict[str, Any]:
    """Return the kernels around the layers by name."""
    threads = pointwise.threads_of(device)
    answer, arguments = {
        "mse": (conclusion.numbers_kernel, conclusion.NUMBERS_ARGUMENTS),
        "cross_entropy": (conclusion.classes_kernel, conclusion.CLASSES_ARGUMENTS),
    }[loss]
    made = {
        "gather": (pointwise.gather_kernel(device, dtype, threads), pointwise.GATHER_ARGUMENTS),
        "scatter": (pointwise.scatter_kernel(device, dtype, threads), pointwise.SCATTER_ARGUMENTS),
        "turn": (pointwise.turn_kernel(device, dtype, threads), pointwise.TURN_ARGUMENTS),
        f"answer_{loss}": (answer(device, dtype, threads), arguments),
        "square": (
            conclusion.square_kernel(device, dtype, threads, conclusion.blocks_of(device)),
            conclusion.SQUARE_ARGUMENTS,
        ),
        "conclude": (conclusion.conclude_kernel(device, threads), conclusion.CONCLUDE_ARGUMENTS),
    }
    return {name: device.kernel(*kernel, dtype, threads, f"training_{name}") for name, kernel in made.items()}


class Batch(NamedTuple):
    """A batch on the device, and what the host knows of it."""

    steps: int
    size: int
    features: int
    x: Any
    lengths: Any
    ones: Any
    """lengths of 1"""
    targets: Any
    counts: Any
    rows: int
    counted: int


class Reading(NamedTuple):
    """One layer's pass in one direction, and what it read."""

    run: Pass
    turned: int


class DeviceTraining(Resident):
    """One model in training; see Resident. What its layers read is float32 or float64, as its parameters are."""

    def __init__(self, device: Any, model: Model, learning: Learning, limits: Limits, fast: bool) -> None:
        self.device, self.model, self.learning, self.limits, self.fast = device, model, learning, limits, fast
        self.dtype = model.params[READOUT[0]].dtype
        self.threads = pointwise.threads_of(device)
        self.kernels = kernels(device, self.dtype, model.loss)
        self.kernels = self.kernels | {"update": self._update_kernel()}
        self.prefixes = [
            f"layer{level}." + ("reverse." if direction else "")
            for level in range(model.layers)
            for direction in range(model.directions)
        ]
        flat = np.concatenate([array.reshape(-1) for array in self._host_arrays()])
        self.size = flat.size
        self.weights, self.gradient = device.upload(flat), device.zeros(flat.size, self.dtype)
        self.state = device.zeros(flat.size * learning.slots, self.dtype)
        self.control = device.zeros(pointwise.CONTROLS, np.dtype(np.float64))
        self.adding = conclusion.blocks_of(device) * self.threads
        self.parts = device.empty(conclusion.SUMS * self.adding, np.dtype(np.float64))
        self.sums = device.empty((1 + conclusion.SUMS) * self.threads, np.dtype(np.float64))
        self.pieces = self._pieces(self.weights), self._pieces(self.gradient)
        self.width = model.hidden * model.directions
        self.outputs = model.params["b_y"].size

    def run(self, batches: Sequence[Examples], constants: np.ndarray) -> list[Taken]:
        """See Resident.run."""
        device, double = self.device, np.dtype(np.float64)
        uploaded = [self._uploaded(batch) for batch in batches]
        records = device.upload(np.full(len(batches) * conclusion.RECORD, np.nan, double))
        given = device.upload(constants.astype(self.dtype))
        for step, batch in enumerate(uploaded):
            self._step(batch, step, records, given)
        found = device.download(records).reshape(len(batches), conclusion.RECORD)
        self._fetch()
        return [Taken(float(loss), float(norm), bool(clipped == 1)) for loss, norm, clipped in found]

    def _host_arrays(self) -> list[np.ndarray]:
        """Return the host's parameters in the order of the flat vectors."""
        found: list[np.ndarray] = []
        for prefix in self.prefixes:
            found.extend(ordered_weights(self.model.cell, self._layer_params(prefix)))
        return [*found, *(self.model.params[name] for name in READOUT)]

    def _layer_params(self, prefix: str) -> dict[str, np.ndarray]:
        """Return the host's parameters of one layer in one direction, by the names of a layer."""
        own = {name.removeprefix(prefix): value for name, value in self.model.params.items() if name.startswith(prefix)}
        return {name: value for name, value in own.items() if "." not in name}

    def _fetch(self) -> None:
        """Copy the parameters to the host's."""
        flat, at = self.device.download(self.weights), 0
        pieces = []
        for array in self._host_arrays():
            pieces.append(flat[at : at + array.size].reshape(array.shape))
            at += array.size
        for k, prefix in enumerate(self.prefixes):
            own = Weights(*pieces[3 * k : 3 * k + 3])
            for name, value in restored_params(self.model.cell, own).items():
                self.model.params[prefix + name][...] = value
        for name, value in zip(READOUT, pieces[-2:], strict=True):
            self.model.params[name][...] = value

    def _uploaded(self, batch: Examples) -> Batch:
        steps, size, features = batch.inputs.shape
        rows = len(batch.targets)
        counts = np.ones(rows, np.int32) if batch.counts is None else batch.counts.astype(np.int32)
        lengths = np.full(size, steps) if batch.lengths is None else batch.lengths
        targets = batch.targets.astype(self.dtype if self.model.loss == "mse" else np.int32)
        x = np.ascontiguousarray(without_padding(batch.inputs, batch.lengths), self.dtype)
        arrays = x, lengths.astype(np.int32), np.ones(size, np.int32), targets, counts
        x_dev, lengths_dev, ones_dev, targets_dev, counts_dev = map(self.device.upload, arrays)
        counted = int(counts.sum())
        return Batch(steps, size, features, x_dev, lengths_dev, ones_dev, targets_dev, counts_dev, rows, counted)

    def _pieces(self, flat: Any) -> list[Any]:
        """Return the pieces of a flat vector, in the order of _host_arrays."""
        ends = np.cumsum([array.size for array in self._host_arrays()]).tolist()
        return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def _step(self, batch: Batch, step: int, records: Any, constants: Any) -> None:
        """Ask for one step: forward, the loss, backward, and the change of the weights."""
        weights, gradient = self.pieces
        readings, features = self._forward(batch, weights)
        d_features, losses = self._read_out(batch, features, weights[-2:], gradient[-2:])
        self._backward(batch, readings, d_features, gradient)
        self._change(batch, step, losses, records, constants)

    def _forward(self, batch: Batch, weights: list[Any]) -> tuple[list[Reading], Any]:
        """Run all layers; return their passes, and the features that are read out."""
        model, device = self.model, self.device
        x, width, readings = batch.x, batch.features, []
        for k in range(len(self.prefixes)):
            turned = k % model.directions
            seen = self._turned(batch, x, width, None) if turned else x
            sizes = Sizes(batch.steps, batch.size, width, model.hidden)
            own = Weights(*weights[3 * k : 3 * k + 3])
            run = Pass(device, model.cell, self.dtype, sizes, own, seen, batch.lengths, self.limits, self.fast)
            run.start(batch.steps, store=True)
            run.forward()
            readings.append(Reading(run, turned))
            if turned == model.directions - 1 and k + 1 < len(self.prefixes):
                x, width = self._gathered(batch, readings[-model.directions :], batch.steps), self.width
        steps = 1 if model.answers_once else batch.steps
        return readings, self._gathered(batch, readings[-model.directions :], steps)

    def _gathered(self, batch: Batch, readings: list[Reading], steps: int) -> Any:
        """Return features of the first so many steps; of one step: of the last, where all sequences have their own."""
        features = self.device.empty(steps * batch.size * self.width, self.dtype)
        once = self.model.answers_once and steps == 1
        for k, (run, turned) in enumerate(readings):
            h = run.h[(batch.steps - 1) * batch.size * run.padded :] if once else run.h
            lengths = batch.ones if once else batch.lengths
            sizes = steps, batch.size, self.model.hidden, run.padded, self.width, k * self.model.hidden
            self._launch("gather", steps * batch.size * self.model.hidden, (h, features, lengths, *sizes, turned))
        return features

    def _read_out(self, batch: Batch, features: Any, weights: list[Any], gradient: list[Any]) -> tuple[Any, Any]:
        """Return dL/d(features) and each row's part of the loss; write the readout's gradient."""
        device, rows, outputs = self.device, batch.rows, self.outputs
        multiply = products(device, self.dtype).multiply
        read, matrix = Matrix(features, rows, self.width, self.width), Matrix(weights[0], self.width, outputs, outputs)
        found = multiply(read, matrix)
        d_outputs, losses = device.empty(rows * outputs, self.dtype), device.empty(rows, np.dtype(np.float64))
        arrays = found, weights[1], batch.targets, batch.counts, d_outputs, losses
        self._launch(f"answer_{self.model.loss}", rows, (*arrays, rows, outputs, self._share(batch)))
        by_outputs = Matrix(d_outputs, rows, outputs, outputs)
        multiply(read.transposed, by_outputs, Matrix(gradient[0], self.width, outputs, outputs))
        ones = Matrix(device.ones(self.dtype), 1, rows, 0, 0)
        multiply(ones, by_outputs, Matrix(gradient[1], 1, outputs, outputs))
        return multiply(by_outputs, matrix.transposed), losses

    def _share(self, batch: Batch) -> float:
        """Return what one number of the loss's sum adds to the mean."""
        numbers = max(1, batch.counted) * (self.outputs if self.model.loss == "mse" else 1)
        return 1 / numbers

    def _backward(self, batch: Batch, readings: list[Reading], d_features: Any, gradient: list[Any]) -> None:
        """Run all layers backward, the last first; their gradients go where they belong."""
        model, once = self.model, self.model.answers_once
        for level in reversed(range(model.layers)):
            below = None
            for direction in range(model.directions):
                k = level * model.directions + direction
                run, turned = readings[k]
                arrays = self._gradient_from_above(batch, run, direction, d_features, once)
                into = Weights(*gradient[3 * k : 3 * k + 3])
                found = run.backward(arrays, input_gradient=level > 0, into=into)
                if level > 0:
                    below = self._turned(batch, found.x, self.width, below, turned)
            d_features, once = below, False

    def _gradient_from_above(self, batch: Batch, run: Pass, direction: int, d_features: Any, once: bool) -> Any:
        """Return what backward of one layer begins with: dL/dh_t, or dL/dh of the last step alone."""
        device, hidden = self.device, self.model.hidden
        d_state = device.zeros(len(self.model.cell.states) * batch.size * hidden, self.dtype)
        d_h = device.zeros(batch.steps * batch.size * hidden, self.dtype)
        steps, lengths, to = (1, batch.ones, d_state) if once else (batch.steps, batch.lengths, d_h)
        sizes = steps, batch.size, hidden, self.width, direction * hidden, direction
        self._launch("scatter", steps * batch.size * hidden, (d_features, to, lengths, *sizes))
        return run.backward_arrays(d_h, d_state, state_sequence=False)

    def _turned(self, batch: Batch, source: Any, width: int, to: Any, turned: int = 1) -> Any:
        """Return (T*B, F) in the other order of steps, added to what is in `to` if that is given."""
        size = batch.steps * batch.size * width
        made = self.device.empty(size, self.dtype) if to is None else to
        sizes = batch.steps, batch.size, width, turned, int(to is not None)
        self._launch("turn", size, (source, made, batch.lengths, *sizes))
        return made

    def _change(self, batch: Batch, step: int, losses: Any, records: Any, constants: Any) -> None:
        """Conclude the step, and change the weights."""
        norm, value = self.learning.clip_norm, self.learning.clip_value
        self._launch("square", self.adding, (self.gradient, self.parts, self.size, value))
        arrays = losses, self.parts, self.sums, self.control, records
        numbers = batch.rows, self.adding, step, self._share(batch), norm, value
        self._launch("conclude", self.threads, (*arrays, *numbers))
        vectors = self.weights, self.gradient, self.state, constants, self.control
        first = step * self.learning.constants
        self._launch("update", self.size, (*vectors, first, self.size, value))

    def _update_kernel(self) -> Any:
        learning, device = self.learning, self.device
        element = update_element(learning.element, learning.slots, learning.constants, self.dtype, device)
        kernel = pointwise.update_kernel(device, self.dtype, self.threads, element, learning.clip_value > 0)
        tag = f"update_{source_tag(learning.element)}_{learning.clip_value > 0}"
        return device.kernel(kernel, pointwise.UPDATE_ARGUMENTS, self.dtype, self.threads, tag)

    def _launch(self, name: str, size: int, arguments: tuple) -> None:
        """Launch a kernel, a thread a number."""
        self.device.launch(self.kernels[name], (-(-size // self.threads), 1, 1), arguments)
