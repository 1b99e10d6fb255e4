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

AT_ONCE = 500
"""Sequences that are evaluated together: ten thousand would keep their states at all steps in memory."""


@dataclass(frozen=True)
class Recipe:
    """How to train. Zero switches a kind of clipping off; both may be on, by value first."""

    steps: int = 1000
    batch: int = 32
    optimizer: str = "adam"
    learning_rate: float = 3e-3
    decay_after: float = 1.0
    """From this fraction of the steps on the learning rate falls linearly, to 0 after the last; 1: it stays."""
    clip_norm: float = 1.0
    clip_value: float = 0.0
    regularization: float = 0.0
    """Weight of Pascanu's regulariser, see rnnbench/regularization.py."""
    evaluate_every: int = 100
    evaluation_size: int = 500
    stop_when_solved: bool = True

    def rate(self, number: int) -> float:
        """Return the learning rate of a step, counted from 1.

        >>> [Recipe(steps=10, learning_rate=1.0, decay_after=0.5).rate(step) for step in (1, 6, 7, 10)]
        [1.0, 1.0, 0.8, 0.2]
        """
        if not 0 <= self.decay_after <= 1:
            raise InputError(f"decay_after is {self.decay_after}; expected a fraction of the steps, from 0 to 1")
        falling = self.steps * (1 - self.decay_after)
        left = self.steps - number + 1
        return self.learning_rate if left >= falling else self.learning_rate * left / falling


class Step(NamedTuple):
    """One step of training; scores are None where nothing was evaluated."""

    number: int
    loss: float
    gradient_norm: float
    """The global norm before any clipping."""
    clipped: bool
    score: float | None
    """Of the evaluation data, the same ones each time."""
    confirmation: float | None = None
    """Of fresh data, drawn because the score says that the task is solved."""
    solved: bool = False
    """Both scores say so, or the one where the task's data cannot be drawn afresh."""


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

    The evaluation data are drawn once, so that scores differ by the network alone. Among many scores one may pass by
    luck: solved is what passes on fresh data as well, as many as the task asks for. Where the loss or the gradient is
    not finite its record is the last one: nothing is learned from NaN.
    """
    network.regularization = recipe.regularization
    optimizer = optimizers.make(recipe.optimizer, network.weights, recipe.learning_rate)
    evaluation, solved = task.evaluation(evaluation_rng, recipe.evaluation_size), False
    for number in range(1, recipe.steps + 1):
        batch = task.sample(training_rng, recipe.batch)
        with np.errstate(over="ignore", invalid="ignore"):  # looked for below, and reported
            loss = network.loss_and_gradient(batch.inputs, batch.targets, batch.mask, batch.lengths)
            norm, clipped = clip(network.gradient, recipe)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            yield Step(number, loss, norm, clipped, None)
            return
        optimizer.learning_rate = recipe.rate(number)
        optimizer.step(network.gradient)
        if number % recipe.evaluate_every != 0 and number != recipe.steps:
            yield Step(number, loss, norm, clipped, None)
            continue
        score, confirmation = evaluate(network, task, evaluation), None
        passed = task.solved(score)
        if passed and task.confirmation_size and not solved:
            confirmation = evaluate(network, task, task.evaluation(evaluation_rng, task.confirmation_size))
            passed = task.solved(confirmation)
        solved = solved or passed
        yield Step(number, loss, norm, clipped, score, confirmation, passed)
        if solved and recipe.stop_when_solved:
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
    """Return the task's score of the network on a batch, which is predicted some sequences at a time.

    What the network feeds back is its own answers.
    """
    outputs = [network.predict(part.inputs, part.lengths, len(part.targets)) for part in batch.parts(AT_ONCE)]
    return task.score(np.concatenate(outputs, axis=-2), batch)
