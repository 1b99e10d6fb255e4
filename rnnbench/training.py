"""The training loop: fresh data at every step, clipping, and records of what happened on the way."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench import optimizers
from rnnbench.backends.resident import Learning, Resident, Taken
from rnnbench.errors import InputError
from rnnbench.network import Architecture, Network
from rnnbench.registry import lookup
from rnnbench.tasks.base import Batch, Task

AT_ONCE = 500
"""Sequences that are evaluated together: ten thousand would keep their states at all steps in memory."""
STEPS_AT_ONCE, NUMBERS_AT_ONCE = 1000, 1 << 26
"""Steps, and numbers of their inputs, that a device is given at once."""


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
    """Both scores say so; where the task's data cannot be drawn afresh, the score of the last step."""


def make_network(architecture: Architecture, task: Task, rng: np.random.Generator) -> Network:
    """Return a network that fits the task's inputs, answers, wiring and loss."""
    return Network(architecture, task.input_size, task.output_size, task.wiring, task.loss, rng)


def train(
    network: Network,
    task: Task,
    recipe: Recipe,
    training_rng: np.random.Generator,
    evaluation_rng: np.random.Generator,
    at_once: int = STEPS_AT_ONCE,
) -> Iterator[Step]:
    """Train, and yield a record of every step. Ends early once the task is solved, if the recipe says so.

    The evaluation data are drawn once, so that scores differ by the network alone. Among many scores one may pass by
    luck: solved is what passes on fresh data as well, as many as the task asks for. Where there are none, every score
    is of the same held-out data, and stopping at the first that passes would let them choose the network: such
    training never ends early, and the score of its last step alone decides. Where the loss or the gradient is not
    finite its record is the last one: nothing is learned from NaN.

    On a backend that trains where its own numbers are, up to `at_once` steps are taken between two looks at them: the
    network's weights are then those after the last of them, as they are at every evaluation. 1: after every step.
    """
    network.regularization = recipe.regularization
    learner = _learner(network, recipe, at_once, task.training_steps * recipe.batch * task.input_size)
    evaluation, solved = task.evaluation(evaluation_rng, recipe.evaluation_size), False
    number = 0
    while number < recipe.steps:
        last = min(
            number + learner.at_once, recipe.steps, number - number % recipe.evaluate_every + recipe.evaluate_every
        )
        rates = [recipe.rate(each) for each in range(number + 1, last + 1)]
        batches = [task.sample(training_rng, recipe.batch) for _ in rates]
        for taken in learner.take(batches, rates):
            number += 1
            loss, norm, clipped = taken
            if not (math.isfinite(loss) and math.isfinite(norm)):
                yield Step(number, loss, norm, clipped, None)
                return
            if number % recipe.evaluate_every != 0 and number != recipe.steps:
                yield Step(number, loss, norm, clipped, None)
        if number % recipe.evaluate_every != 0 and number != recipe.steps:
            continue
        score, confirmation = evaluate(network, task, evaluation), None
        passed = task.solved(score) and (task.confirmation_size > 0 or number == recipe.steps)
        if passed and task.confirmation_size and not solved:
            confirmation = evaluate(network, task, task.evaluation(evaluation_rng, task.confirmation_size))
            passed = task.solved(confirmation)
        solved = solved or passed
        yield Step(number, loss, norm, clipped, score, confirmation, passed)
        if solved and recipe.stop_when_solved:
            return


class _Learner(ABC):
    """Takes steps of training, some of them between two looks at what became of them."""

    at_once = 1

    def __init__(self, network: Network, recipe: Recipe) -> None:
        self.network, self.recipe = network, recipe
        self.optimizer = optimizers.make(recipe.optimizer, network.weights, recipe.learning_rate)

    @abstractmethod
    def take(self, batches: Sequence[Batch], rates: Sequence[float]) -> list[Taken]:
        """Take a step a batch, at its learning rate; nothing changes from the first that is not finite on."""


class _OnHost(_Learner):
    def take(self, batches: Sequence[Batch], rates: Sequence[float]) -> list[Taken]:
        network, [batch], [rate] = self.network, batches, rates
        with np.errstate(over="ignore", invalid="ignore"):  # looked for below, and reported
            loss = network.loss_and_gradient(batch.inputs, batch.targets, batch.mask, batch.lengths)
            norm, clipped = clip(network.gradient, self.recipe)
        if math.isfinite(loss) and math.isfinite(norm):
            self.optimizer.learning_rate = rate
            self.optimizer.step(network.gradient)
        return [Taken(loss, norm, clipped)]


class _OnDevice(_Learner):
    def __init__(self, network: Network, recipe: Recipe, resident: Resident, at_once: int) -> None:
        super().__init__(network, recipe)
        self.resident, self.at_once = resident, at_once

    def take(self, batches: Sequence[Batch], rates: Sequence[float]) -> list[Taken]:
        constants = []
        for rate in rates:
            self.optimizer.learning_rate = rate
            constants.append(self.optimizer.next_constants())
        examples = [self.network.examples(b.inputs, b.targets, b.mask, b.lengths) for b in batches]
        return self.resident.run(examples, np.array(constants))


def _learner(network: Network, recipe: Recipe, at_once: int, batch_size: int) -> _Learner:
    """Return what takes the steps; on a device, of so many batches at once as are no burden to it."""
    check_clipping(recipe)
    kind = lookup("optimizer", recipe.optimizer, optimizers.OPTIMIZERS)
    learning = Learning(kind.element, kind.slots, kind.constants, recipe.clip_norm, recipe.clip_value)
    resident = network.resident(learning)
    if resident is None:
        return _OnHost(network, recipe)
    return _OnDevice(network, recipe, resident, max(1, min(at_once, NUMBERS_AT_ONCE // batch_size)))


def clip(gradient: np.ndarray, recipe: Recipe) -> tuple[float, bool]:
    """Clip in place as the recipe says; return the norm before, and whether anything was clipped."""
    check_clipping(recipe)
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


def check_clipping(recipe: Recipe) -> None:
    """Raise InputError for what nothing can be clipped to."""
    if recipe.clip_norm < 0 or recipe.clip_value < 0:
        raise InputError(
            f"clip_norm is {recipe.clip_norm}, clip_value {recipe.clip_value}; expected numbers >= 0, 0 for none"
        )


def evaluate(network: Network, task: Task, batch: Batch) -> float:
    """Return the task's score of the network on a batch, which is predicted some sequences at a time.

    What the network feeds back is its own answers.
    """
    outputs = [network.predict(part.inputs, part.lengths, len(part.targets)) for part in batch.parts(AT_ONCE)]
    return task.score(np.concatenate(outputs, axis=-2), batch)
