"""What a machine with a GPU has to say about the cuda backend:   python -m rnnbench.backends.cuda.selftest

It prints what is installed, then compares every way to run every cell with the reference backend, and two steps of
training, runs each twice and compares the bits, and times layers against PyTorch (cuDNN), where it is there, and the
floor. The table comes last. Exit code 0: everything agrees; 1: something does not; 2: there is no GPU to run on.

With NUMBA_ENABLE_CUDASIM=1 it runs on a simulated GPU, at sizes for one.

`rnnbench run experiments/gpu.toml` stores such times as the rows of a run, with figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnbench import cells
from rnnbench.backends.base import Arrays, Gradients, Trace
from rnnbench.backends.cuda import Cuda, CudaFast, peers, timing, toolkit
from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.passes import Sizes
from rnnbench.backends.cuda.plan import RESERVED_BYTES, plan_for
from rnnbench.backends.reference import Reference
from rnnbench.backends.resident import Examples, Learning, Model
from rnnbench.cells import entries as known_cells
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError

TOLERANCES = {"float32": (1e-5, 1e-4), "float64": (1e-12, 1e-11)}
"""Relative errors forward and backward."""
FAST_TOLERANCE = 5e-3, 5e-2
"""Of tanh.approx, which is off by up to 2^-11 in every gate of every step."""
FEATURES, ALONE, GROUP, ODD = 5, 48, 160, 37
GRID = ((64, 128, 256, 512, 768, 1024), (1, 16, 64), 1024)
"""H, B and T of the timings."""
SIMULATED_GRID = ((8,), (2,), 3)


@dataclass
class Check:
    """One comparison: what was run, and how far it is off."""

    name: str
    path: str
    forward_error: float
    backward_error: float
    tolerance: tuple[float, float]
    repeatable: bool
    shared_bytes: int

    @property
    def passed(self) -> bool:
        """Whether the errors are within tolerance, and two runs gave the same bits."""
        return self.repeatable and self.forward_error <= self.tolerance[0] and self.backward_error <= self.tolerance[1]


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Return max |a - b| / max |b|; NaN, which is no error that passes, where anything is NaN."""
    scale = float(np.abs(expected).max())
    return float(np.abs(found - expected).max()) / (scale or 1.0)


def arrays_of(result: Trace | Gradients) -> list[np.ndarray]:
    """Return all numbers of a pass forward or backward."""
    if isinstance(result, Trace):
        return [result.h, *result.state.values()]
    assert result.x is not None
    assert result.state_sequence is not None
    return [result.x, *result.params.values(), *result.state.values(), *result.state_sequence.values()]


def checks(device: Any) -> Iterator[Check]:
    """Yield a comparison for every cell, dtype and way; sequences are of different lengths."""
    sizes = {"independent": ALONE, "persistent": GROUP, "stepwise": ODD}
    steps, batch = (3, 3) if device.simulated else (50, 9)
    if device.simulated:
        sizes = dict.fromkeys(sizes, 7)
    for name in sorted(known_cells()):
        for dtype in TOLERANCES:
            for path, hidden in sizes.items():
                limits = limits_for(device.limits, path, name, hidden, batch, dtype)
                for backend in (Cuda, CudaFast) if dtype == "float32" else (Cuda,):
                    yield check(backend(limits), name, dtype, path, hidden, steps, batch)
        yield training_check(name)


def limits_for(own: Limits, path: str, cell: str, hidden: int, batch: int, dtype: str) -> Limits:
    """Return the device's limits, or less shared memory, so that a layer runs the given way."""
    for shared_bytes in np.geomspace(own.shared_bytes - RESERVED_BYTES, 1, 150) + RESERVED_BYTES:
        limits = own._replace(shared_bytes=int(shared_bytes))
        if plan_for(cells.get(cell), hidden, batch, np.dtype(dtype), limits).path == path:
            return limits
    raise AssertionError(f"no shared memory lets {cell} in {dtype} with H = {hidden} run {path}")


def check(backend: Cuda, cell: str, dtype: str, path: str, hidden: int, steps: int, batch: int) -> Check:
    """Return how far the cuda backend is from the reference in one layer."""
    rng, known = np.random.default_rng(0), cells.get(cell)
    x, d_h = (rng.standard_normal((steps, batch, width)).astype(dtype) for width in (FEATURES, hidden))
    shapes = known.parameter_shapes(FEATURES, hidden)
    params = {name: rng.standard_normal(shape).astype(dtype) / np.sqrt(hidden) for name, shape in shapes.items()}
    params = {name: value.astype(dtype) for name, value in params.items()}
    state = {name: rng.standard_normal((batch, hidden)).astype(dtype) for name in known.states}
    lengths = rng.permutation(np.linspace(steps, 1, batch).round().astype(int))
    runs = [backend, backend, Reference()]
    traces = [backend.forward(known, params, x, state, lengths) for backend in runs]
    gradients = [backend.backward(trace, d_h, state) for backend, trace in zip(runs, traces, strict=True)]
    forward_error, backward_error = (
        max(map(relative_error, arrays_of(found), arrays_of(expected))) for found, _, expected in (traces, gradients)
    )
    repeatable = all(
        np.array_equal(a, b)
        for first, again, _ in (traces, gradients)
        for a, b in zip(arrays_of(first), arrays_of(again), strict=True)
    )
    assert backend.limits is not None
    plan = plan_for(known, hidden, batch, np.dtype(dtype), backend.limits)
    tolerance = FAST_TOLERANCE if backend.fast else TOLERANCES[dtype]
    shared = max((way.shared_bytes for way in (plan.forward, plan.backward) if way), default=0)
    name = f"{cell} {dtype}{' fast' if backend.fast else ''} H={hidden}"
    return Check(name, path, forward_error, backward_error, tolerance, repeatable, shared)


def descend(weight: Any, gradient: Any, state: Any, constants: Any) -> Any:
    """Return one weight a step down its gradient, which is what is kept."""
    return weight - constants[0] * gradient, (gradient,)


def training_check(cell: str) -> Check:
    """Return how far two steps of training on the device, of a layer with a readout, are from the reference."""
    known, steps, batch, hidden, dtype = cells.get(cell), 4, 3, 7, np.dtype(np.float32)
    rng, rate = np.random.default_rng(0), 0.1
    shapes = known.parameter_shapes(FEATURES, hidden)
    start = {name: (rng.standard_normal(shape) / np.sqrt(hidden)).astype(dtype) for name, shape in shapes.items()}
    readout = {"W_hy": rng.standard_normal((hidden, 2)).astype(dtype), "b_y": np.zeros(2, dtype)}
    x, targets = (rng.standard_normal(shape).astype(dtype) for shape in ((steps, batch, FEATURES), (batch, 2)))
    found = []
    for _ in range(2):
        params = {f"layer0.{name}": value.copy() for name, value in start.items()}
        params |= {name: value.copy() for name, value in readout.items()}
        model = Model(known, 1, 1, hidden, True, "mse", params)
        resident = Cuda().resident(model, Learning(descend, 1, 1, 0.0, 0.0))
        taken = resident.run([Examples(x, targets, None, None)] * 2, np.full((2, 1), rate))
        found.append([np.array([step.loss for step in taken]), *(params[name] for name in sorted(params))])
    losses, params = _descended(known, start | readout, x, targets, rate)
    weights = {name if name in readout else f"layer0.{name}": value for name, value in params.items()}
    loss_error, *errors = map(relative_error, found[0], [losses, *(weights[name] for name in sorted(weights))])
    same = all(np.array_equal(a, b) for a, b in zip(*found, strict=True))
    return Check(f"{cell} float32 H={hidden}", "training", loss_error, max(errors), TOLERANCES["float32"], same, 0)


def _descended(
    cell: Cell, params: Arrays, x: np.ndarray, targets: np.ndarray, rate: float
) -> tuple[np.ndarray, Arrays]:
    """Return the losses of two steps down the gradient of a mean squared error, and the parameters after them."""
    params, losses, reference = {name: value.astype(np.float64) for name, value in params.items()}, [], Reference()
    for _ in range(2):
        layer = {name: value for name, value in params.items() if name not in ("W_hy", "b_y")}
        hidden, batch = layer["W_hh"].shape[0], x.shape[1]
        trace = reference.forward(cell, layer, x, {name: np.zeros((batch, hidden)) for name in cell.states}, None)
        difference = trace.state["h"] @ params["W_hy"] + params["b_y"] - targets
        losses.append(np.square(difference).mean())
        d_outputs = 2 * difference / difference.size
        d_state = {"h": d_outputs @ params["W_hy"].T}
        gradients = dict(reference.backward(trace, np.zeros(trace.h.shape), d_state).params)
        gradients |= {"W_hy": trace.state["h"].T @ d_outputs, "b_y": d_outputs.sum(axis=0)}
        params = {name: value - rate * gradients[name] for name, value in params.items()}
    return np.array(losses), params


def timings(device: Any, repeats: int) -> Iterator[dict[str, Any]]:
    """Yield one row a layer: microseconds a step here, in PyTorch by precision, and of the floor."""
    widths, batches, steps = SIMULATED_GRID if device.simulated else GRID
    for cell in ("lstm", "gru", "rnn"):
        for hidden in widths:
            for batch in batches:
                try:
                    yield timed_row(device, cell, Sizes(steps, batch, hidden, hidden), repeats)
                except InputError as error:  # not enough memory: others may fit
                    print(f"{cell} H={hidden} B={batch}: {error}", flush=True)


def timed_row(device: Any, cell: str, sizes: Sizes, repeats: int) -> dict[str, Any]:
    """Return one layer's microseconds a step."""
    problem = timing.Problem(device, cells.get(cell), sizes, np.dtype(np.float32))
    step_us = 1e6 / sizes.steps
    floor = timing.floor_seconds(device, problem.plan, sizes, 4)
    row = {
        "cell": cell,
        "H": sizes.hidden,
        "B": sizes.batch,
        "path": problem.plan.path,
        "forward": float(np.median(problem.forward(repeats))) * step_us,
        "both": float(np.median(problem.forward_backward(repeats))) * step_us,
        "floor": None if floor is None else floor * step_us,
    }
    for precision in peers.PRECISIONS:
        try:
            found = peers.torch_seconds(cell, sizes, precision, repeats)
        except RuntimeError as error:  # of cuDNN's, or of its memory
            print(f"PyTorch {cell} H={sizes.hidden} B={sizes.batch} {precision}: {error}", flush=True)
            continue
        for direction, seconds in (found or {}).items():
            row[f"{precision} {direction}"] = seconds * step_us
    return row


def report(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table of microseconds a step."""
    columns = [*dict.fromkeys(name for row in rows for name in row)]
    text = [[_cell(row.get(name)) for name in columns] for row in rows]
    widths = [max(len(line[k]) for line in [columns, *text]) for k in range(len(columns))]
    return "\n".join(
        "  ".join(value.rjust(width) for value, width in zip(line, widths, strict=True)) for line in [columns, *text]
    )


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def main() -> int:
    """Run it all; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="timed passes of each layer")
    parser.add_argument("--no-timings", action="store_true", help="compare only")
    options = parser.parse_args()
    print(json.dumps(toolkit.describe(), indent=2))
    if reason := toolkit.missing():
        print(f"error: {reason}", file=sys.stderr)
        return 2
    device = toolkit.device()
    found = []
    for each in checks(device):
        found.append(each)
        verdict = "ok  " if each.passed else "FAIL"
        print(
            f"{verdict} {each.path:<11} {each.name:<35} forward {each.forward_error:.1e} backward "
            f"{each.backward_error:.1e} {'same bits twice' if each.repeatable else 'OTHER BITS THE SECOND TIME'} "
            f"{each.shared_bytes / 1024:.0f} KiB",
            flush=True,
        )
    failed = [each for each in found if not each.passed]
    print(f"{len(found) - len(failed)} of {len(found)} comparisons passed")
    if not options.no_timings:
        rows = []
        for row in timings(device, 1 if device.simulated else options.repeats):
            rows.append(row)
            print(json.dumps(row), flush=True)
        print("microseconds a step")
        print(report(rows))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
