"""What holds for every implementation, parametrised over the registry; what is not installed is told as skipped."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from implementations.fakes import WORKLOAD, Absent, Outputs, Twin

from rnnbench import cells, implementations
from rnnbench.errors import InputError
from rnnbench.implementations import problems
from rnnbench.implementations.base import Kind, Workload
from rnnbench.implementations.processes import Remote

TOLERANCES = {"float32": 3e-6, "float64": 1e-13}
KINDS: tuple[Kind, ...] = ("cell", "direction", "dtype")
DIRECTIONS = ("forward", "forward_backward", "training_step")
WORKLOADS = [
    replace(WORKLOAD, cell=cell, direction=direction, dtype=dtype, features=2 if direction == "training_step" else 4)
    for cell, direction, dtype in itertools.product(cells.entries(), DIRECTIONS, TOLERANCES)
]
ACCEPTED = [
    (name, workload)
    for name, implementation in implementations.entries().items()
    for workload in WORKLOADS
    if not any(implementation.refuses(kind, getattr(workload, kind)) for kind in KINDS)
]
TRAINED = [
    name for name, implementation in implementations.entries().items() if "training_step" in implementation.directions
]


def draw(workload: Workload) -> dict[str, np.ndarray]:
    return problems.draw(workload, np.random.default_rng(0))


def label(value: object) -> str:
    return f"{value.cell}-{value.direction}-{value.dtype}" if isinstance(value, Workload) else str(value)


@pytest.fixture(scope="module")
def running() -> Iterator[Callable[[str], Remote]]:
    """Yield what returns the process of an implementation, one for all workloads."""
    with ExitStack() as stack:

        @cache
        def start(name: str) -> Remote:
            implementation = implementations.get(name)
            if reason := implementation.missing():
                pytest.skip(reason)
            environment = implementation.environment(WORKLOAD)
            process = Remote(name, 1, Outputs, type(implementation), environment=environment)
            stack.enter_context(process).receive()
            return process

        yield start


@pytest.mark.parametrize(("name", "workload"), ACCEPTED, ids=label)
def test_outputs_are_the_references(running: Callable[[str], Remote], name: str, workload: Workload) -> None:
    arrays = draw(workload)
    expected = Twin().prepare(workload, arrays).outputs()
    found = running(name).ask("outputs", workload, arrays)
    assert found.keys() == expected.keys()
    difference, output = problems.largest_difference(found, expected)
    assert difference <= TOLERANCES[workload.dtype], output


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_training_steps_follow_the_same_path(running: Callable[[str], Remote], name: str, cell: str) -> None:
    """Clipping and Adam are the same everywhere; PyTorch adds 1e-6 to the norm that it divides by."""
    workload = replace(WORKLOAD, cell=cell, direction="training_step", features=2)
    arrays = draw(workload)
    arrays["targets"] *= 30  # so that the norm is clipped
    losses = running(name).ask("losses", workload, arrays, 3 * problems.BATCHES)
    assert losses[-1] < losses[problems.BATCHES - 1] < losses[-1 - 2 * problems.BATCHES] * 1.0001
    np.testing.assert_allclose(losses, adam_losses(workload, arrays, len(losses)), rtol=1e-7)


def adam_losses(workload: Workload, arrays: dict[str, np.ndarray], steps: int) -> list[float]:
    """Return the losses of the recipe, written out in NumPy: Pascanu et al. 2013, algorithm 1; Kingma and Ba 2015."""
    weights = {name: value.copy() for name, value in arrays.items() if name not in ("inputs", "targets")}
    mean, square = ({name: np.zeros_like(value) for name, value in weights.items()} for _ in range(2))
    losses = []
    for step in range(steps):
        turn = slice(step % problems.BATCHES, step % problems.BATCHES + 1)
        batch = {"inputs": arrays["inputs"][turn], "targets": arrays["targets"][turn]}
        found = Twin().prepare(workload, weights | batch).outputs()
        losses.append(float(found["losses"][0]))
        norm = np.sqrt(sum(np.square(found[f"d_{name}"]).sum() for name in weights))
        for name, value in weights.items():
            gradient = found[f"d_{name}"] * min(1, problems.CLIP_NORM / norm)
            mean[name] += 0.1 * (gradient - mean[name])
            square[name] += 0.001 * (np.square(gradient) - square[name])
            corrected = np.sqrt(square[name] / (1 - 0.999 ** (step + 1)))
            value -= problems.LEARNING_RATE * mean[name] / (1 - 0.9 ** (step + 1)) / (corrected + 1e-8)
    return losses


@pytest.mark.parametrize("implementation", implementations.entries().values(), ids=lambda i: i.name)
def test_each_says_in_a_line_what_it_is(implementation: implementations.Implementation) -> None:
    assert implementation.__doc__
    assert set(implementation.cells) <= set(cells.entries())
    assert set(implementation.directions) <= set(DIRECTIONS)


@pytest.mark.parametrize(
    ("name", "kind", "value", "known"),
    [
        ("onnxruntime", "direction", "forward_backward", "forward"),
        ("onnxruntime", "dtype", "float64", "float32"),
        ("torch", "cell", "gru_reset_before", "rnn, rnn_relu, lstm, gru"),
        ("jax", "direction", "training_step", "forward, forward_backward"),
    ],
)
def test_what_it_has_not_is_refused(name: str, kind: Kind, value: str, known: str) -> None:
    expected = f"{name} has no {kind} '{value}' here; expected one of {known}"
    assert implementations.get(name).refuses(kind, value) == expected
    assert implementations.get(name).refuses(kind, known.split(", ")[0]) is None


def test_a_library_that_is_not_installed_is_named() -> None:
    assert (
        Absent().missing() == "no_such_package not installed; python -m pip install '.[peers]' in a clone of rnnbench"
    )
    assert Twin().missing() is None


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown implementation 'pytorch': did you mean 'torch'"):
        implementations.get("pytorch")


def test_a_difference_is_found_wherever_it_is() -> None:
    a = {"h": np.ones((2, 2)), "x": np.arange(4.0)}
    assert problems.largest_difference(a, {"h": np.ones((2, 2)), "x": np.array([0, 1, 2, 3.3])}) == (
        pytest.approx(0.3 / 3.3),
        "x",
    )
    assert problems.largest_difference(a, {**a, "h": np.full((2, 2), np.nan)}) == (np.inf, "h")
    with pytest.raises(KeyError, match="x"):
        problems.largest_difference({"h": a["h"]}, a)
    with pytest.raises(ValueError, match=r"shapes \(2, 2\) and \(4,\)"):
        problems.largest_difference(a, {**a, "h": np.ones(4)})


def test_the_same_seed_draws_the_same_numbers() -> None:
    for direction in ("forward", "training_step"):
        workload = replace(WORKLOAD, direction=direction, features=2)
        first, second, other = (problems.draw(workload, np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert problems.largest_difference(first, second)[0] == 0
        assert all((first[name] != other[name]).any() for name in first)
