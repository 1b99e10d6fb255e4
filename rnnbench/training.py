"""The training loop: fresh data at every step, clipping, and records of what happened on the way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench import optimizers
from rnnbench.errors import InputError
from rnnbench.network import Architecture, Network
from rnnbench.tasks.base import Batch, Task


@dataclass(frozen=True)
class Recipe:
    """How to train. Zero switches a kind of clipping off; both may be on, by value first."""

    steps: int = 1000
    batch: int = 32
    optimizer: str = "adam"
    learning_rate: float = 3e-3
    clip_norm: float = 1.0
    clip_value: float = 0.0
    regularization: float = 0.0
    """Weight of Pascanu's regulariser, see rnnbench/regularization.py."""
    evaluate_every: int = 100
    evaluation_size: int = 500
    stop_when_solved: bool = True


class Step(NamedTuple):
    """One step of training; the score is of the evaluation data and None between evaluations."""

    number: int
    loss: float
    gradient_norm: float
    """The global norm before any clipping."""
    clipped: bool
    score: float | None


def make_network(architecture: Architecture, task: Task, rng: np.random.Generator) -> Network:
    """Return a network that fits the task's inputs, answers, wiring and loss."""
    return Network(architecture, task.input_size, task.output_size, task.wiring, task.loss, rng)


def train(
    network: Network,
    task: Task,
    recipe: Recipe,
    training_rng: np.random.Generator,
    evaluation_rng: np.random.Generator,
) -> Iterator[Step]:
    """Train, and yield a record of every step. Ends early once the task is solved, if the recipe says so.

    The evaluation data are drawn once, so that scores differ by the network alone. Where the loss or the gradient
    is not finite its record is the last one: nothing is learned from NaN.
    """
    network.regularization = recipe.regularization
    optimizer = optimizers.make(recipe.optimizer, network.weights, recipe.learning_rate)
    evaluation = task.evaluation(evaluation_rng, recipe.evaluation_size)
    for number in range(1, recipe.steps + 1):
        batch = task.sample(training_rng, recipe.batch)
        with np.errstate(over="ignore", invalid="ignore"):  # looked for below, and reported
            loss = network.loss_and_gradient(batch.inputs, batch.targets, batch.mask, batch.lengths)
            norm, clipped = clip(network.gradient, recipe)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            yield Step(number, loss, norm, clipped, None)
            return
        optimizer.step(network.gradient)
        score = None
        if number % recipe.evaluate_every == 0 or number == recipe.steps:
            score = evaluate(network, task, evaluation)
        yield Step(number, loss, norm, clipped, score)
        if score is not None and recipe.stop_when_solved and task.solved(score):
            return


def clip(gradient: np.ndarray, recipe: Recipe) -> tuple[float, bool]:
    """Clip in place as the recipe says; return the norm before, and whether anything was clipped."""
    if recipe.clip_norm < 0 or recipe.clip_value < 0:
        raise InputError(
            f"clip_norm is {recipe.clip_norm}, clip_value {recipe.clip_value}; expected numbers >= 0, 0 for none"
        )
    norm = optimizers.global_norm(gradient)
    clipped = False
    if recipe.clip_value:
        clipped = bool(np.abs(gradient).max() > recipe.clip_value)
        optimizers.clip_by_value(gradient, gradient.dtype.type(recipe.clip_value))
    remaining = optimizers.global_norm(gradient) if clipped else norm
    if recipe.clip_norm and remaining > recipe.clip_norm:
        optimizers.clip_by_global_norm(gradient, recipe.clip_norm, remaining)
        clipped = True
    return norm, clipped


def evaluate(network: Network, task: Task, batch: Batch) -> float:
    """Return the task's score of the network on a batch."""
    return task.score(network.predict(batch.inputs, batch.lengths), batch)
