"""What is compared on a device: layers and training with the reference backend, and one run with another.

    planned    the way that the device's own limits make best; any backend can be compared so
    forced     independent, persistent or stepwise: with less shared memory to reckon with, small layers take it
    training   steps with momentum, clipped by value and by norm

A race need not show the first time, so that each pass is run several times: all numbers must come out the same, to the
last bit. The probe device_parity is what asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnbench.backends.base import Arrays, Backend, Gradients, Trace
from rnnbench.backends.cuda import Cuda
from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.plan import RESERVED_BYTES, plan_for
from rnnbench.backends.reference import Reference
from rnnbench.backends.resident import Examples, Learning, Model
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError

TOLERANCES = {"float32": (1e-5, 1e-4), "float64": (1e-12, 1e-11)}
"""Relative errors forward and backward."""
FAST_TOLERANCE = 2e-3, 1e-2
"""Of tanh.approx, off by up to 2^-11 in every gate of every step: 50 simulated steps came to a third of this."""
RATE, MOMENTUM, CLIP_VALUE, CLIP_NORM = 0.1, 0.9, 0.1, 0.3


class Shape(NamedTuple):
    """T steps of B sequences, I features, H units."""

    steps: int
    batch: int
    features: int
    hidden: int


class Launch(NamedTuple):
    """How a plan is launched: the larger of forward and backward."""

    path: str
    """persistent, independent or stepwise"""
    blocks: int
    """of one launch; 0 where a step is a product and a kernel"""
    shared_bytes: int
    """of shared memory that a block asks for"""


class Agreement(NamedTuple):
    """What a comparison came to."""

    forward_error: float
    """max |a - b| / max |b| of the array that is furthest off; of training, that of losses and norms"""
    backward_error: float
    """the same of all gradients; of training, that of the weights"""
    tolerance: tuple[float, float]
    differing_runs: int
    """runs that gave any other bit than the first"""
    run_difference: float
    """the greatest relative difference of a run from the first"""

    def complaints(self) -> list[str]:
        """Return what is wrong, in words; NaN is within no tolerance."""
        found = []
        errors = self.forward_error, self.backward_error
        for name, error, most in zip(("forward", "backward"), errors, self.tolerance, strict=True):
            if not error <= most:
                found.append(f"the relative error {name} is {error:.3g}, expected at most {most:g}")
        if self.differing_runs:
            runs = "1 run" if self.differing_runs == 1 else f"{self.differing_runs} runs"
            found.append(f"{runs} gave other numbers than the first, by up to {self.run_difference:.3g}")
        return found


def tolerance(backend: Backend, dtype: str) -> tuple[float, float]:
    """Return what errors forward and backward may come to."""
    approximate = isinstance(backend, Cuda) and backend.fast and dtype == "float32"
    return FAST_TOLERANCE if approximate else TOLERANCES[dtype]


def largest_error(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Return the largest relative error of all arrays; NaN where any has one."""
    return float(np.max([relative_error(a, b) for a, b in zip(found, expected, strict=True)]))


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Return max |a - b| / max |b|; NaN where anything is NaN."""
    scale = float(np.abs(expected).max())
    return float(np.abs(found - expected).max()) / (scale or 1.0)


def differences(runs: Sequence[Sequence[np.ndarray]]) -> tuple[int, float]:
    """Return how many runs gave any other bit than the first, and the greatest relative difference."""
    first, *others = runs
    differing = sum([each.tobytes() for each in run] != [each.tobytes() for each in first] for run in others)
    return differing, float(np.max([largest_error(run, first) for run in others], initial=0.0))


def arrays_of(result: Trace | Gradients) -> list[np.ndarray]:
    """Return all numbers of a pass forward or backward."""
    if isinstance(result, Trace):
        return [result.h, *result.state.values()]
    assert result.x is not None
    assert result.state_sequence is not None
    return [result.x, *result.params.values(), *result.state.values(), *result.state_sequence.values()]


def limits_for(own: Limits, path: str, cell: Cell, shape: Shape, dtype: str) -> Limits:
    """Return the device's limits, or less shared memory, so that a layer runs the given way; InputError if none do."""
    for shared_bytes in np.geomspace(own.shared_bytes - RESERVED_BYTES, 1, 150) + RESERVED_BYTES:
        limits = own._replace(shared_bytes=int(shared_bytes))
        if plan_for(cell, shape.hidden, shape.batch, np.dtype(dtype), limits).path == path:
            return limits
    raise InputError(
        f"no amount of shared memory lets {cell.name} in {dtype} with H = {shape.hidden} and B = {shape.batch} run "
        f"{path} on {own.name}; another size may"
    )


def launch(limits: Limits, cell: Cell, shape: Shape, dtype: str) -> Launch:
    """Return how such a layer is launched under these limits."""
    plan = plan_for(cell, shape.hidden, shape.batch, np.dtype(dtype), limits)
    ways = [way for way in (plan.forward, plan.backward) if way]
    blocks = max((way.blocks for way in ways), default=0) * plan.groups
    return Launch(plan.path, blocks, max((way.shared_bytes for way in ways), default=0))


def compare(backend: Backend, cell: Cell, dtype: str, shape: Shape, runs: int, rng: np.random.Generator) -> Agreement:
    """Compare one layer with the reference, and its runs with each other."""
    steps, batch, features, hidden = shape
    x, d_h = (rng.standard_normal((steps, batch, width)).astype(dtype) for width in (features, hidden))
    params = {
        name: (rng.standard_normal(size) / np.sqrt(hidden)).astype(dtype)
        for name, size in cell.parameter_shapes(features, hidden).items()
    }
    state = {name: rng.standard_normal((batch, hidden)).astype(dtype) for name in cell.states}
    lengths = rng.permutation(np.linspace(steps, 1, batch).round().astype(int))

    def run(backend: Backend) -> tuple[list[np.ndarray], list[np.ndarray]]:
        trace = backend.forward(cell, params, x, state, lengths)
        return arrays_of(trace), arrays_of(backend.backward(trace, d_h, state))

    found, expected = [run(backend) for _ in range(runs)], run(Reference())
    forward_error, backward_error = (largest_error(found[0][k], expected[k]) for k in (0, 1))
    between = differences([[*forward, *backward] for forward, backward in found])
    return Agreement(forward_error, backward_error, tolerance(backend, dtype), *between)


def descend(weight: Any, gradient: Any, state: Any, constants: Any) -> Any:
    """Return one weight a step down its gradient, and the velocity, which is kept."""
    velocity = constants[1] * state[0] + gradient
    return weight - constants[0] * velocity, (velocity,)


def compare_training(
    backend: Backend, cell: Cell, dtype: str, shape: Shape, runs: int, rng: np.random.Generator
) -> Agreement:
    """Compare two steps of training on the device, of a layer with a readout, with the reference."""
    steps, batch, features, hidden = shape
    shapes = cell.parameter_shapes(features, hidden)
    start = {name: (rng.standard_normal(size) / np.sqrt(hidden)).astype(dtype) for name, size in shapes.items()}
    readout = {"W_hy": rng.standard_normal((hidden, 2)).astype(dtype), "b_y": np.zeros(2, dtype)}
    x, targets = (rng.standard_normal(size).astype(dtype) for size in ((steps, batch, features), (batch, 2)))
    found = []
    for _ in range(runs):
        params = {f"layer0.{name}": value.copy() for name, value in start.items()}
        params |= {name: value.copy() for name, value in readout.items()}
        model = Model(cell, 1, 1, hidden, True, "mse", params)
        resident = backend.resident(model, Learning(descend, 1, 2, CLIP_NORM, CLIP_VALUE))
        if resident is None:
            raise InputError(f"the backend {backend.name} trains no network by itself: there is nothing to compare")
        taken = resident.run([Examples(x, targets, None, None)] * 2, np.full((2, 2), (RATE, MOMENTUM)))
        numbers = np.array([(step.loss, step.gradient_norm, step.clipped) for step in taken])
        found.append([numbers, *(params[name] for name in sorted(params))])
    numbers, params = _descended(cell, start | readout, x, targets)
    weights = {name if name in readout else f"layer0.{name}": value for name, value in params.items()}
    own, expected = found[0], [weights[name] for name in sorted(weights)]
    errors = relative_error(own[0], numbers), largest_error(own[1:], expected)
    return Agreement(*errors, tolerance(backend, dtype), *differences(found))


def _descended(cell: Cell, params: Arrays, x: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, Arrays]:
    """Return loss, norm and whether it was clipped of two steps down a mean squared error, and the parameters then."""
    params, reference = {name: value.astype(np.float64) for name, value in params.items()}, Reference()
    velocity, records = {name: np.zeros(value.shape) for name, value in params.items()}, []
    for _ in range(2):
        layer = {name: value for name, value in params.items() if name not in ("W_hy", "b_y")}
        hidden, batch = layer["W_hh"].shape[0], x.shape[1]
        trace = reference.forward(cell, layer, x, {name: np.zeros((batch, hidden)) for name in cell.states}, None)
        difference = trace.state["h"] @ params["W_hy"] + params["b_y"] - targets
        d_outputs = 2 * difference / difference.size
        d_state = {"h": d_outputs @ params["W_hy"].T}
        gradients = dict(reference.backward(trace, np.zeros(trace.h.shape), d_state).params)
        gradients |= {"W_hy": trace.state["h"].T @ d_outputs, "b_y": d_outputs.sum(axis=0)}
        norm = np.sqrt(sum(np.square(value).sum() for value in gradients.values()))
        held = {name: np.clip(value, -CLIP_VALUE, CLIP_VALUE) for name, value in gradients.items()}
        remaining = np.sqrt(sum(np.square(value).sum() for value in held.values()))
        records.append((np.square(difference).mean(), norm, remaining < norm or remaining > CLIP_NORM))
        scale = min(1.0, CLIP_NORM / remaining)
        velocity = {name: MOMENTUM * velocity[name] + scale * held[name] for name in params}
        params = {name: value - RATE * velocity[name] for name, value in params.items()}
    return np.array(records), params
