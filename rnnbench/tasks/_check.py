"""What a task is asked before it is registered: the same batch for the same seed, well formed, and a finite score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rnnbench.errors import InputError
from rnnbench.tasks.base import Batch, Task

SIZE = 4
SAYS = (
    "name", "wiring", "loss", "metric", "metric_unit", "higher_is_better", "default_length", "solved_threshold",
    "input_size", "output_size", "baseline",
)  # fmt: skip
LOSSES = ("mse", "cross_entropy")


def check(kind: type[Task]) -> None:
    """Raise InputError, which names the task and what is wrong, unless a small batch of it is one to learn from."""
    name = getattr(kind, "name", kind.__name__)

    def refuse(what: str, error: Exception | None = None) -> None:
        raise InputError(f"task '{name}': {what}") from error

    try:
        task = kind()
    except Exception as error:
        refuse(f"cannot be made with its default length: {type(error).__name__}: {error}", error)
    missing = [attribute for attribute in SAYS if not hasattr(task, attribute)]
    if missing:
        refuse(f"it does not say {', '.join(missing)}")
    if task.loss not in LOSSES:
        refuse(f"loss is {task.loss!r}; expected one of {', '.join(LOSSES)}")
    try:
        first, second = (task.sample(np.random.default_rng(0), SIZE) for _ in range(2))
        outputs = task.baseline_outputs(first)
        score = task.score(outputs, first)
    except Exception as error:
        refuse(f"a batch of it cannot be made and scored: {type(error).__name__}: {error}", error)
    if not (np.array_equal(first.inputs, second.inputs) and np.array_equal(first.targets, second.targets)):
        refuse("the same generator gives different batches; expected every random number to come from it")
    for what in _faults(task, first, outputs):
        refuse(what)
    if not (math.isfinite(score) and math.isfinite(task.baseline.value)):
        refuse(f"its baseline scores {score}, and is said to score {task.baseline.value}; expected finite numbers")


def _faults(task: Task, batch: Batch, outputs: np.ndarray) -> Sequence[str]:
    """Return what is wrong with a batch, and with the baseline's answers to it."""
    tokens = batch.inputs.dtype.kind in "iu"
    features = 1 + int(batch.inputs.max()) if tokens else batch.inputs.shape[-1]
    faults = []
    if batch.inputs.shape[1] != SIZE:
        faults.append(f"inputs have shape {batch.inputs.shape}; expected (T, B, ...) with B = {SIZE}")
    elif features > task.input_size or (not tokens and features != task.input_size):
        faults.append(f"inputs have {features} features or tokens; it says input_size = {task.input_size}")
    if task.loss == "cross_entropy" and not 0 <= batch.targets.min() <= batch.targets.max() < task.output_size:
        found = f"targets go from {batch.targets.min()} to {batch.targets.max()}"
        faults.append(f"{found}; expected classes below output_size = {task.output_size}")
    if outputs.shape[-1] != task.output_size:
        faults.append(f"baseline_outputs have shape {outputs.shape}; expected (..., K) with K = {task.output_size}")
    return faults
