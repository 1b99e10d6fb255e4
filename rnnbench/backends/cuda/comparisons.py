"""What the self-test compares: layers and training on the device with the reference backend, and one run with another.

    forced     every cell, float32 and float64, every way: with less shared memory to reckon with, small layers take it
    planned    the plans that wide layers have: most of the multiprocessors, most of their shared memory
    training   steps with momentum, clipped by value and by norm

A race need not show the first time, so that each pass is run several times: all numbers must come out the same, to the
last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rnnbench import cells
from rnnbench.backends.base import Arrays, Gradients, Trace
from rnnbench.backends.cuda import Cuda, CudaFast
from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.plan import RESERVED_BYTES, plan_for
from rnnbench.backends.reference import Reference
from rnnbench.backends.resident import Examples, Learning, Model
from rnnbench.cells.base import Cell

TOLERANCES = {"float32": (1e-5, 1e-4), "float64": (1e-12, 1e-11)}
"""Relative errors forward and backward."""
FAST_TOLERANCE = 2e-3, 1e-2
"""Of tanh.approx, off by up to 2^-11 in every gate of every step: 50 simulated steps came to a third of this."""
FEATURES = 5
FORCED = {"independent": 48, "persistent": 160, "stepwise": 37}
"""H of the layers that are made to run each way."""
PLANNED_CELLS = ("gru", "gru_reset_before", "lstm", "rnn")
PLANNED = ((64, 16), (768, 16), (1024, 1), (1024, 64))
"""H and B, of those that are timed."""
RATE, MOMENTUM, CLIP_VALUE, CLIP_NORM = 0.1, 0.9, 0.1, 0.3


class Case(NamedTuple):
    """Something for the self-test to try by itself; it returns a row of results."""

    name: str
    run: Callable[[], dict[str, Any]]


class Shape(NamedTuple):
    """T steps of B sequences, H units."""

    steps: int
    batch: int
    hidden: int


def cases(device: Any, names: Sequence[str], runs: int) -> Iterator[Case]:
    """Yield the comparisons of these cells, each pass run so many times."""
    steps, batch = (3, 3) if device.simulated else (50, 9)
    for name in names:
        for dtype in TOLERANCES:
            for path, hidden in FORCED.items():
                shape = Shape(steps, batch, 7 if device.simulated else hidden)
                for kind in (Cuda, CudaFast) if dtype == "float32" else (Cuda,):
                    run = partial(compare_forced, device.limits, kind, name, dtype, path, shape, runs)
                    yield Case(f"{name} {dtype}{' fast' if kind.fast else ''} H={shape.hidden} {path}", run)
        yield Case(f"{name} float32 training", partial(compare_training, name, runs))
    for name in [each for each in PLANNED_CELLS if each in names and not device.simulated]:
        for hidden, batch in PLANNED:
            run = partial(compare, Cuda(device.limits), name, "float32", Shape(20, batch, hidden), runs)
            yield Case(f"{name} float32 H={hidden} B={batch} as planned", run)


def row(
    forward_error: float, backward_error: float, tolerance: tuple[float, float], same_bits: bool, **more: Any
) -> dict[str, Any]:
    """Return a row; `passed` says whether errors are within tolerance, which NaN is not, and all runs the same."""
    passed = same_bits and forward_error <= tolerance[0] and backward_error <= tolerance[1]
    errors = {"forward_error": forward_error, "backward_error": backward_error}
    return {"passed": bool(passed), **errors, "same_bits": same_bits, **more}


def largest_error(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Return the largest relative error of all arrays; NaN where any has one."""
    return float(np.max([relative_error(a, b) for a, b in zip(found, expected, strict=True)]))


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Return max |a - b| / max |b|; NaN where anything is NaN."""
    scale = float(np.abs(expected).max())
    return float(np.abs(found - expected).max()) / (scale or 1.0)


def same(found: Sequence[Sequence[np.ndarray]]) -> bool:
    """Return whether all runs gave the numbers of the first."""
    return all(np.array_equal(a, b) for run in found[1:] for a, b in zip(found[0], run, strict=True))


def arrays_of(result: Trace | Gradients) -> list[np.ndarray]:
    """Return all numbers of a pass forward or backward."""
    if isinstance(result, Trace):
        return [result.h, *result.state.values()]
    assert result.x is not None
    assert result.state_sequence is not None
    return [result.x, *result.params.values(), *result.state.values(), *result.state_sequence.values()]


def limits_for(own: Limits, path: str, cell: str, hidden: int, batch: int, dtype: str) -> Limits:
    """Return the device's limits, or less shared memory, so that a layer runs the given way."""
    for shared_bytes in np.geomspace(own.shared_bytes - RESERVED_BYTES, 1, 150) + RESERVED_BYTES:
        limits = own._replace(shared_bytes=int(shared_bytes))
        if plan_for(cells.get(cell), hidden, batch, np.dtype(dtype), limits).path == path:
            return limits
    raise AssertionError(f"no shared memory lets {cell} in {dtype} with H = {hidden} run {path}")


def compare_forced(
    own: Limits, kind: type[Cuda], cell: str, dtype: str, path: str, shape: Shape, runs: int
) -> dict[str, Any]:
    """Compare a layer that is made to run the given way."""
    return compare(kind(limits_for(own, path, cell, shape.hidden, shape.batch, dtype)), cell, dtype, shape, runs)


def compare(backend: Cuda, cell: str, dtype: str, shape: Shape, runs: int) -> dict[str, Any]:
    """Compare one layer with the reference, and its runs with each other."""
    (steps, batch, hidden), rng, known = shape, np.random.default_rng(0), cells.get(cell)
    x, d_h = (rng.standard_normal((steps, batch, width)).astype(dtype) for width in (FEATURES, hidden))
    params = {
        name: (rng.standard_normal(size) / np.sqrt(hidden)).astype(dtype)
        for name, size in known.parameter_shapes(FEATURES, hidden).items()
    }
    state = {name: rng.standard_normal((batch, hidden)).astype(dtype) for name in known.states}
    lengths = rng.permutation(np.linspace(steps, 1, batch).round().astype(int))

    def run(backend: Cuda | Reference) -> tuple[list[np.ndarray], list[np.ndarray]]:
        trace = backend.forward(known, params, x, state, lengths)
        return arrays_of(trace), arrays_of(backend.backward(trace, d_h, state))

    found, expected = [run(backend) for _ in range(runs)], run(Reference())
    forward_error, backward_error = (largest_error(found[0][k], expected[k]) for k in (0, 1))
    tolerance = FAST_TOLERANCE if backend.fast else TOLERANCES[dtype]
    assert backend.limits is not None
    plan = plan_for(known, hidden, batch, np.dtype(dtype), backend.limits)
    ways = [way for way in (plan.forward, plan.backward) if way]
    return row(
        forward_error,
        backward_error,
        tolerance,
        same([[*forward, *backward] for forward, backward in found]),
        path=plan.path,
        blocks=max((way.blocks for way in ways), default=0) * plan.groups,
        shared_kib=max((way.shared_bytes for way in ways), default=0) // 1024,
    )


def descend(weight: Any, gradient: Any, state: Any, constants: Any) -> Any:
    """Return one weight a step down its gradient, and the velocity, which is kept."""
    velocity = constants[1] * state[0] + gradient
    return weight - constants[0] * velocity, (velocity,)


def compare_training(cell: str, runs: int) -> dict[str, Any]:
    """Compare two steps of training on the device, of a layer with a readout, with the reference."""
    known, steps, batch, hidden, dtype = cells.get(cell), 4, 3, 7, np.dtype(np.float32)
    rng = np.random.default_rng(0)
    shapes = known.parameter_shapes(FEATURES, hidden)
    start = {name: (rng.standard_normal(shape) / np.sqrt(hidden)).astype(dtype) for name, shape in shapes.items()}
    readout = {"W_hy": rng.standard_normal((hidden, 2)).astype(dtype), "b_y": np.zeros(2, dtype)}
    x, targets = (rng.standard_normal(shape).astype(dtype) for shape in ((steps, batch, FEATURES), (batch, 2)))
    found = []
    for _ in range(runs):
        params = {f"layer0.{name}": value.copy() for name, value in start.items()}
        params |= {name: value.copy() for name, value in readout.items()}
        model = Model(known, 1, 1, hidden, True, "mse", params)
        resident = Cuda().resident(model, Learning(descend, 1, 2, CLIP_NORM, CLIP_VALUE))
        taken = resident.run([Examples(x, targets, None, None)] * 2, np.full((2, 2), (RATE, MOMENTUM)))
        numbers = np.array([(step.loss, step.gradient_norm, step.clipped) for step in taken])
        found.append([numbers, *(params[name] for name in sorted(params))])
    numbers, params = _descended(known, start | readout, x, targets)
    weights = {name if name in readout else f"layer0.{name}": value for name, value in params.items()}
    own, expected = found[0], [weights[name] for name in sorted(weights)]
    errors = relative_error(own[0], numbers), largest_error(own[1:], expected)
    return row(*errors, TOLERANCES["float32"], same(found), path="training", blocks=0, shared_kib=0)


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
